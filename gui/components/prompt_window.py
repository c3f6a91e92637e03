"""What a model was really given for its last reply, to the letter."""

import tkinter
from typing import Any

import customtkinter as ctk

from gui import keyboard, theme
from gui.components import controls
from gui.emoji_probe import shown
from gui.playground.talk import Playground


class PromptWindow:
    """Made once and hidden when closed; `show` fills it when the text has come."""

    def __init__(self, root: Any, playground: Playground) -> None:
        self._playground = playground
        self._place_shown = 0
        self._text: str | None = None
        self.window = ctk.CTkToplevel(root, fg_color=theme.WINDOW)
        self.window.title("Prompt - Discord Personality Bot")
        self.window.geometry("760x520")
        self.window.minsize(420, 260)
        self.window.protocol("WM_DELETE_WINDOW", self.window.withdraw)
        self.window.bind("<Escape>", lambda _: self.window.withdraw())
        self._build()

    def _build(self) -> None:
        self.window.grid_columnconfigure(0, weight=1)
        self.window.grid_rowconfigure(1, weight=1)
        self.head = controls.label(self.window, weight="bold")
        self.head.grid(row=0, column=0, sticky="w", padx=theme.PAD, pady=theme.GAP)
        self.other = controls.button(self.window, "Other model", self._turn, width=120)
        self.text = tkinter.Text(
            self.window,
            wrap="word",
            state="disabled",
            borderwidth=0,
            highlightthickness=2,
            padx=10,
            pady=8,
        )
        self.text.grid(row=1, column=0, columnspan=2, sticky="nsew", padx=theme.PAD)
        keyboard.pass_focus(self.text)
        about = "The text of all tokens, with what each model spells its turns with."
        self.about = controls.label(self.window, about, 12, theme.MUTED)
        self.about.grid(row=2, column=0, columnspan=2, sticky="w", padx=theme.PAD, pady=8)

    def raise_(self) -> None:
        """Ask for the prompt of the last reply, and come to the front."""
        self._ask(0)
        self.window.deiconify()
        self.window.lift()
        self.text.focus_set()

    def show(self, text: str) -> None:
        """Show a prompt."""
        if text == self._text:
            return
        self._text = text
        inset = theme.now(theme.INSET)
        self.text.configure(
            state="normal",
            font=theme.monospace(self.window),
            background=inset,
            foreground=theme.now(theme.TEXT),
            highlightbackground=inset,
            highlightcolor=theme.now(theme.ACCENT),
            selectbackground=theme.now(theme.ACCENT),
            selectforeground=theme.now(theme.ON_ACCENT),
        )
        self.text.delete("1.0", "end")
        self.text.insert("1.0", shown(text))
        self.text.configure(state="disabled")

    def _turn(self) -> None:
        self._ask(1 - self._place_shown)

    def _ask(self, place: int) -> None:
        exchanges = self._playground.exchanges
        replies = exchanges[-1].replies if exchanges else []
        if not replies:
            return
        self._place_shown = place % len(replies)
        reply = replies[self._place_shown]
        controls.set_text(self.head, reply.model.name)
        if len(replies) > 1:
            self.other.grid(row=0, column=1, padx=theme.PAD)
        else:
            self.other.grid_remove()
        self._playground.ask_prompt(reply)
