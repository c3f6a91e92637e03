"""What the keyboard can do, as a list."""

from typing import Any

import customtkinter as ctk

from gui import theme
from gui.components import controls

SHORTCUTS = (
    ("F1", "This list"),
    ("Ctrl + 1, 2, 3", "The pages"),
    ("Ctrl + L", "Logs"),
    ("Ctrl + ,", "Settings"),
    ("Ctrl + plus, minus, 0", "Larger, smaller, as the screen asks for"),
    ("Tab, Shift + Tab", "The next button, the one before"),
    ("Space, Return", "Press it"),
    ("Arrows, Page up, Page down", "Move a slider, a little or a lot"),
    ("Esc", "Close a window over this one"),
    ("Ctrl + Q", "Quit"),
)


class ShortcutsWindow:
    """Made once and hidden when closed."""

    def __init__(self, root: Any) -> None:
        self.window = ctk.CTkToplevel(root, fg_color=theme.CARD)
        self.window.title("Keyboard shortcuts")
        self.window.transient(root)
        self.window.resizable(False, False)
        self.window.protocol("WM_DELETE_WINDOW", self.window.withdraw)
        self.window.bind("<Escape>", lambda _: self.window.withdraw())
        for row, (keys, meaning) in enumerate(SHORTCUTS):
            last = row == len(SHORTCUTS) - 1
            pad = (20 if row == 0 else 4, 20 if last else 4)
            controls.label(self.window, keys, weight="bold").grid(
                row=row, column=0, sticky="w", padx=(24, 16), pady=pad
            )
            controls.label(self.window, meaning).grid(
                row=row, column=1, sticky="w", padx=(0, 24), pady=pad
            )

    def raise_(self) -> None:
        """Bring it to the front."""
        self.window.deiconify()
        self.window.lift()
        self.window.focus_set()
