"""A conversation in the playground, as one of its models has it."""

import tkinter
from typing import Any

import customtkinter as ctk

from gui import keyboard, theme
from gui.components import controls
from gui.emoji_probe import shown
from gui.playground.exchange import FAILED, LOADING, STOPPED, WAITING, Exchange, Reply

Pieces = list[tuple[str, str]]  # texts and their tags

_END, _SETTLE_MS = 0.999, 5
HIDDEN, BETTER = "A reply", ", picked"
_EMPTY = [("Say something below: the bot answers as it would on Discord.\n", "dim")]
_STATES = {WAITING: "waits for its turn", LOADING: "is being loaded", STOPPED: "stopped"}


def pieces(exchange: Exchange, column: int, is_blind: bool) -> Pieces:
    """An exchange as a column shows it; blind, nothing tells which model it is."""
    place = exchange.order[min(column, len(exchange.order) - 1)]
    reply = exchange.replies[place]
    title = HIDDEN if is_blind else reply.model.name
    title += BETTER if exchange.picked == place and not exchange.is_alike else ""
    made = [(f"{exchange.name}\n", "who"), (f"{exchange.text}\n", "said"), (f"{title}\n", "who")]
    if exchange.is_blind and not exchange.is_over:  # the pace of its words would tell
        return [*made, ("writing\u2026\n", "dim")]
    return [*made, *_said(reply), *_below(reply, is_blind)]


def _said(reply: Reply) -> Pieces:
    texts = list(reply.messages) if reply.is_over else [reply.text] if reply.text else []
    return [(f"{text}\n", "reply") for text in texts]


def _below(reply: Reply, is_blind: bool) -> Pieces:
    """What is to be said of a reply."""
    if reply.state == FAILED:
        return [(f"{reply.problem}\n", "problem")]
    if reply.state in (WAITING, LOADING):
        return [(f"{_STATES[reply.state]}\u2026\n", "dim")]
    if not reply.is_over:
        return [] if reply.text else [("reads\u2026\n", "dim")]
    said = [] if reply.messages else ["it said nothing"]
    said += [_STATES[STOPPED]] if reply.state == STOPPED else []
    said += [] if is_blind else [reply.figures()]
    return [(f"{' · '.join(said)}\n", "dim")] if said else []


class Transcript:
    """A read-only text that draws only what changed, and follows its end."""

    def __init__(self, parent: Any, column: int) -> None:
        self.column = column
        self.frame = ctk.CTkFrame(parent, fg_color=theme.INSET, corner_radius=8)
        self._drawn: list[Pieces] = []
        self._look: tuple[Any, ...] = ()
        self._settles = ""  # the timer that goes back to the end
        self._follows = True  # until somebody scrolls away from the end
        self._build()

    def _build(self) -> None:
        self.text = tkinter.Text(
            self.frame,
            wrap="word",
            state="disabled",
            borderwidth=0,
            highlightthickness=2,
            height=4,
            width=20,
            cursor="arrow",
        )
        self._bar = controls.scroll_bar(self.frame, self._dragged)
        self._bar.grid(row=0, column=1, sticky="ns", pady=4, padx=(2, 0))
        self.text.configure(yscrollcommand=self._scrolled)
        for event in ("<MouseWheel>", "<Button-4>", "<Button-5>", "<Key>"):
            self.text.bind(event, lambda _: self.text.after_idle(self._moved), add="+")
        keyboard.pass_focus(self.text)
        self.frame.grid_columnconfigure(0, weight=1)
        self.frame.grid_rowconfigure(0, weight=1)
        self.text.grid(row=0, column=0, sticky="nsew", padx=(10, 0), pady=8)
        self.frame.grid_columnconfigure(1, minsize=14)

    def _scrolled(self, first: float, last: float) -> None:
        controls.show_where_needed(self._bar, first, last)
        if self._follows and float(last) < _END and not self._settles:
            self._settles = self.text.after(_SETTLE_MS, self._settle)

    def _settle(self) -> None:
        """Stay at the end, as Tk measures wrapped lines by and by."""
        self._settles = ""
        if self._follows:
            self.text.yview_moveto(1.0)

    def _dragged(self, *where: Any) -> None:
        self.text.yview(*where)
        self._moved()

    def _moved(self) -> None:
        """Somebody scrolled."""
        self._follows = self.text.yview()[1] >= _END

    def dress(self) -> None:
        """Take on the colours and the size that are in force, where they changed."""
        scale = ctk.ScalingTracker.get_widget_scaling(self.frame)
        look = (theme.now(theme.INSET), scale)
        if look == self._look:
            return
        self._look = look
        family = theme.font().actual("family")
        inset, text, muted = map(theme.now, (theme.INSET, theme.TEXT, theme.MUTED))
        self.text.configure(
            font=(family, -round(13 * scale)),
            background=inset,
            foreground=text,
            highlightbackground=inset,
            highlightcolor=theme.now(theme.ACCENT),
            selectbackground=theme.now(theme.ACCENT),
            selectforeground=theme.now(theme.ON_ACCENT),
        )
        small, step = (family, -round(12 * scale)), round(12 * scale)
        bold = (*small, "bold")
        self.text.tag_configure("who", font=bold, foreground=muted, spacing1=step)
        self.text.tag_configure("said", spacing1=2)
        self.text.tag_configure("reply", lmargin1=step, lmargin2=step, spacing1=3)
        self.text.tag_configure("dim", lmargin1=step, lmargin2=step, spacing1=3)
        self.text.tag_configure("dim", font=small, foreground=muted)
        danger = theme.now(theme.DANGER)
        self.text.tag_configure("problem", lmargin1=step, lmargin2=step, foreground=danger)
        self.text.tag_raise("sel")

    def show(self, exchanges: list[Exchange], is_blind: bool) -> None:
        """Draw anew from the first exchange on that looks different."""
        self.dress()
        wanted = [pieces(exchange, self.column, is_blind) for exchange in exchanges] or [_EMPTY]
        same = 0
        while same < min(len(wanted), len(self._drawn)) and wanted[same] == self._drawn[same]:
            same += 1
        if same == len(wanted) == len(self._drawn):
            return
        self._follows |= len(wanted) > len(self._drawn)
        self.text.configure(state="normal")
        if same < len(self._drawn):
            self.text.delete(f"exchange{same}", "end-1c")
        for number, drawn in enumerate(wanted[same:], same):
            self.text.mark_set(f"exchange{number}", "end-1c")
            self.text.mark_gravity(f"exchange{number}", "left")
            for text, tag in drawn:
                self.text.insert("end", shown(text), tag)
        self.text.configure(state="disabled")
        self._drawn = wanted
        if self._follows:
            self.text.yview_moveto(1.0)
