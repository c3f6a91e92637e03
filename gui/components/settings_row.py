"""One setting: its words, the widget that holds its value, and what is wrong with it."""

from collections.abc import Callable
from pathlib import Path
from tkinter import filedialog
from typing import Any

from gui import theme
from gui.components import controls
from gui.components.dropdown import Dropdown
from gui.settings_fields import CHOICE, FILE, NO, SECRET, SWITCH, YES, Field
from gui.words import translate

_WIDE, _WRAP = 340, 470
_DOT = "\u2022"


class Row:
    """`changed` is called with the field's name whenever somebody changes the value."""

    def __init__(self, parent: Any, field: Field, changed: Callable[[str], None]) -> None:
        self.field = field
        self._tell = changed
        self._value = ""
        self.frame = controls.group(parent)
        self.entry: Any = None
        self.dropdown: Dropdown | None = None
        self.buttons: dict[str, Any] = {}
        if field.kind == SWITCH:
            self._make_switch()
        else:
            controls.label(self.frame, field.label).grid(row=0, column=0, columnspan=3, sticky="w")
            self._make_choice() if field.kind == CHOICE else self._make_entry()
        if field.help:
            self._small(field.help, theme.MUTED).grid(row=2, column=0, columnspan=3, sticky="w")
        self.problem = self._small("", theme.DANGER)

    @property
    def value(self) -> str:
        """What the widget holds now."""
        if self.field.kind == SWITCH:
            return YES if self.switch.get() else NO
        return self._value if self.field.kind == CHOICE else str(self.entry.get()).strip()

    def show(self, value: str) -> None:
        """Fill in a value."""
        self._value = value
        if self.field.kind == SWITCH:
            self.switch.select() if value == YES else self.switch.deselect()
        elif self.dropdown:
            words = dict(self.field.choices)
            texts = [translate(text) for text in words.values()]
            self.dropdown.show(translate(words.get(value, value)), texts)
        else:
            self._fill(value)

    def show_problem(self, text: str) -> None:
        """Say what is wrong; nothing for an empty text."""
        controls.set_text(self.problem, text)
        if text:
            self.problem.grid(row=3, column=0, columnspan=3, sticky="w")
        else:
            self.problem.grid_remove()

    def focus(self) -> None:
        """Put the keyboard here."""
        if self.entry:
            self.entry.focus_set()
        else:
            (self.dropdown.button if self.dropdown else self.switch)._canvas.focus_set()

    def _changed(self, _: object = None) -> None:
        self._tell(self.field.name)

    def _make_switch(self) -> None:
        self.switch = controls.switch(self.frame, self.field.label, self._changed)
        self.switch.grid(row=1, column=0, columnspan=3, sticky="w")

    def _make_choice(self) -> None:
        self.dropdown = Dropdown(self.frame, self._pick, width=_WIDE)
        self.dropdown.button.grid(row=1, column=0, sticky="w", pady=2)

    def _pick(self, place: int) -> None:
        self.show(self.field.choices[place][0])
        self._changed()

    def _make_entry(self) -> None:
        self.entry = controls.entry(self.frame, "")
        self.entry.configure(width=_WIDE)
        self.entry.grid(row=1, column=0, sticky="w", pady=2)
        self.entry.bind("<KeyRelease>", self._changed)
        for event in ("<<Paste>>", "<<Cut>>"):
            self.entry.bind(event, lambda _: self.frame.after(1, self._changed))
        if self.field.kind == SECRET:
            self.entry.configure(show=_DOT)
            self._add_button("Show", self.reveal)
            self._add_button("Edit", self.edit)
        elif self.field.kind == FILE:
            self._add_button("Choose", self._choose)

    def _add_button(self, text: str, command: Callable[[], object]) -> None:
        made = controls.button(self.frame, text, command, width=70)
        made.grid(row=1, column=1 + len(self.buttons), padx=(8, 0))
        self.buttons[text] = made

    def _fill(self, value: str) -> None:
        self.entry.configure(state="normal")
        self.entry.delete(0, "end")
        self.entry.insert(0, value)
        if self.field.kind == SECRET:
            self._hide()
            if value:  # not to be spoiled by a slip of the hand
                self.entry.configure(state="disabled")

    def reveal(self) -> None:
        """Show the secret, or hide it again."""
        if self.entry.cget("show"):
            self.entry.configure(show="")
            controls.set_text(self.buttons["Show"], "Hide")
        else:
            self._hide()

    def edit(self) -> None:
        """Let the secret be typed anew."""
        self.entry.configure(state="normal")
        self.entry.focus_set()
        self.entry.select_range(0, "end")

    def _hide(self) -> None:
        self.entry.configure(show=_DOT)
        controls.set_text(self.buttons["Show"], "Show")

    def _choose(self) -> None:
        folder = Path(self.value).expanduser().parent if self.value else Path.home()
        path = filedialog.askopenfilename(
            parent=self.frame,
            initialdir=folder if folder.is_dir() else Path.home(),
            filetypes=[("GGUF", "*.gguf"), ("*", "*")],
        )
        if path:
            self.show(str(path))
            self._changed()

    def _small(self, text: str, color: theme.Pair) -> Any:
        made = controls.label(self.frame, text, 12, color)
        made.configure(wraplength=_WRAP, justify="left")
        return made
