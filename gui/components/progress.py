"""A bar with words: what is going on, how long it takes, and what was said last."""

from typing import Any

import customtkinter as ctk

from gui import theme
from gui.components import controls
from gui.snapshot import duration


class ProgressPanel:
    """A title with the time left, a bar, and a line of small print."""

    def __init__(self, parent: Any) -> None:
        self.frame = controls.group(parent)
        self.frame.grid_columnconfigure(0, weight=1)
        self.title = controls.label(self.frame)
        self.left = controls.label(self.frame, size=12, color=theme.MUTED)
        self.bar = ctk.CTkProgressBar(
            self.frame, height=8, fg_color=theme.TRACK, progress_color=theme.TRACK
        )
        self.note = controls.label(self.frame, size=12, color=theme.MUTED)
        self._fraction: float | None = 0.0
        self._place()

    def _place(self) -> None:
        self.title.grid(row=0, column=0, sticky="w")
        self.left.grid(row=0, column=1, sticky="e")
        self.bar.grid(row=1, column=0, columnspan=2, sticky="ew", pady=(4, 4))
        self.note.grid(row=2, column=0, columnspan=2, sticky="w")
        self.bar.set(0)

    def show(
        self, title: str, fraction: float | None, seconds_left: float | None, note: str
    ) -> None:
        """`fraction` None: nobody knows how far it is, and the bar wanders."""
        controls.set_text(self.title, title)
        controls.set_text(self.left, "" if not seconds_left else f"{duration(seconds_left)} left")
        controls.set_text(self.note, note)
        if fraction == self._fraction:
            return
        if fraction is None:
            self.bar.configure(mode="indeterminate", progress_color=theme.ACCENT)
            self.bar.start()
        else:
            self.bar.stop()
            self.bar.configure(mode="determinate")
            self.bar.set(fraction)
            # an empty bar would still show a dot
            self.bar.configure(progress_color=theme.ACCENT if fraction else theme.TRACK)
        self._fraction = fraction
