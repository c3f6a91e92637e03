"""A button that shows what is chosen, and a menu to choose something else; all by keyboard."""

import tkinter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gui import theme
from gui.components import controls

_LONGEST = 30  # characters that are shown of a choice


class Dropdown:
    """Call `show` with what there is; `chosen` is called with the place of what is picked."""

    def __init__(self, parent: Any, chosen: Callable[[int], object], width: int = 240) -> None:
        self.button = controls.button(parent, "", self.open, width=width)
        self.button.configure(anchor="w")
        self.menu = tkinter.Menu(self.button, tearoff=False, borderwidth=1, relief="flat")
        self._chosen = chosen
        self._texts: Sequence[str] = ()
        for key in ("<Down>", "<Up>"):
            self.button._canvas.bind(key, lambda _: self.open())

    def show(self, current: str, texts: Sequence[str]) -> None:
        """Show what is chosen, and offer some texts."""
        self._texts = texts
        controls.set_text(self.button, f"{_short(current)}  \u25be")

    def open(self) -> None:
        """Unfold the menu below the button."""
        if not self._texts:
            return
        self.menu.delete(0, "end")
        self.menu.configure(
            font=(theme.font().actual("family"), -round(13 * self._scale())),
            background=theme.now(theme.CARD),
            foreground=theme.now(theme.TEXT),
            activebackground=theme.now(theme.CHOSEN),
            activeforeground=theme.now(theme.TEXT),
        )
        for place, text in enumerate(self._texts):
            self.menu.add_command(label=text, command=partial(self._chosen, place))
        below = self.button.winfo_rooty() + self.button.winfo_height()
        self.menu.tk_popup(self.button.winfo_rootx(), below, 0)

    def _scale(self) -> float:
        return float(self.button._get_widget_scaling())


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"
