"""The way to a running bot, step by step, while it is being prepared."""

from typing import Any

from gui import theme
from gui.components import controls
from gui.components.progress import ProgressPanel
from gui.setup import SetupView

_DONE, _NOW, _LATER = "✓", "●", "○"


class SetupCard:
    """A list of steps, with a mark before each, over the progress of the one that is on."""

    def __init__(self, parent: Any) -> None:
        self.frame = controls.card(parent)
        self.frame.grid_columnconfigure(0, weight=1)
        self.labels: list[Any] = []
        self._list = controls.group(self.frame)
        self._progress = ProgressPanel(self.frame)
        self._place()

    def _place(self) -> None:
        title = controls.heading(self.frame, "Getting ready")
        title.grid(row=0, column=0, sticky="w", padx=theme.PAD, pady=(12, 4))
        self._list.grid(row=1, column=0, sticky="w", padx=theme.PAD)
        self._progress.frame.grid(row=2, column=0, sticky="ew", padx=theme.PAD, pady=(8, 12))

    def show(self, view: SetupView) -> None:
        """Fill in how far it is."""
        for place, name in enumerate(view.steps):
            if place == len(self.labels):
                self.labels.append(controls.label(self._list))
                self.labels[place].grid(row=place, column=0, sticky="w", pady=1)
            mark = _NOW if place == view.current else _DONE if place < view.current else _LATER
            color = theme.TEXT if place <= view.current else theme.MUTED
            controls.set_text(self.labels[place], f"{mark}  {name}", color)
        title = view.steps[view.current]
        self._progress.show(title, view.fraction, view.seconds_left, view.note)
