"""A question that somebody has to answer with their own hand."""

from collections.abc import Callable
from typing import Any

import customtkinter as ctk

from gui import theme
from gui.components import controls


class Confirm:
    """A window over the main one; `confirmed` is called only by its confirming button."""

    def __init__(
        self, root: Any, title: str, text: str, button: str, confirmed: Callable[[], None]
    ) -> None:
        self._confirmed = confirmed
        self.window = ctk.CTkToplevel(root, fg_color=theme.CARD)
        self.window.title(title)
        self.window.transient(root)
        self.window.resizable(False, False)
        self.text = controls.label(self.window, text)
        self.text.configure(wraplength=420, justify="left")
        self.no = controls.button(self.window, "Cancel", self.close)
        self.yes = controls.button(self.window, button, self.confirm, "main")
        self._place()

    def _place(self) -> None:
        self.window.grid_columnconfigure(0, weight=1)
        self.text.grid(row=0, column=0, columnspan=2, padx=24, pady=(24, 16), sticky="w")
        self.no.grid(row=1, column=0, sticky="e", pady=(0, 20))
        self.yes.grid(row=1, column=1, padx=(8, 24), pady=(0, 20))
        self.window.bind("<Escape>", lambda _: self.close())
        self.no._canvas.focus_set()

    def confirm(self) -> None:
        """Take the answer as yes."""
        self.close()
        self._confirmed()

    def close(self) -> None:
        """Take the answer as no; it may have been answered already."""
        if self.window.winfo_exists():
            self.window.destroy()
