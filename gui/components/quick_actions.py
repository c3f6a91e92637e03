"""The pipeline's steps as buttons, and the progress of the one that runs."""

from collections.abc import Callable
from functools import partial
from typing import Any

from gui import theme
from gui.chores import CHECK
from gui.components import controls
from gui.components.progress import ProgressPanel
from gui.pipeline import ACTIONS, Action
from gui.snapshot import Snapshot

_LINE = 46  # characters of the small print that fit


class QuickActions:
    """Eight buttons and a progress panel with a Cancel button."""

    def __init__(
        self,
        parent: Any,
        run: Callable[[Action], None],
        cancel: Callable[[], None],
        open_folder: Callable[[], None],
        open_settings: Callable[[], None],
    ) -> None:
        self.frame = controls.card(parent)
        self.buttons = {
            action.text: controls.button(self.frame, action.text, partial(run, action))
            for action in ACTIONS
        }
        self.folder = controls.button(self.frame, "Open data folder", open_folder)
        self.settings = controls.button(self.frame, "Settings", open_settings)
        self.check = controls.button(self.frame, CHECK.text, partial(run, CHECK))
        self.progress = ProgressPanel(self.frame)
        self.cancel = controls.button(self.progress.frame, "Cancel", cancel, "danger")
        self._place()

    def _place(self) -> None:
        self.frame.grid_columnconfigure((0, 1), weight=1, uniform="half")
        title = controls.heading(self.frame, "Quick actions")
        title.grid(row=0, column=0, columnspan=2, sticky="w", padx=theme.PAD, pady=(12, 6))
        for place, button in enumerate(
            (*self.buttons.values(), self.folder, self.settings, self.check)
        ):
            row, column = divmod(place, 2)
            side = (theme.PAD, 4) if column == 0 else (4, theme.PAD)
            button.grid(row=row + 1, column=column, sticky="ew", padx=side, pady=4)
        self.progress.frame.grid(
            row=5, column=0, columnspan=2, sticky="ew", padx=theme.PAD, pady=(8, 12)
        )

    def show(self, snapshot: Snapshot) -> None:
        """Fill in what the snapshot says."""
        step, has_bot = snapshot.step, snapshot.settings is not None
        for button in self.buttons.values():
            controls.enable(button, snapshot.can_run_steps)
        controls.enable(self.folder, has_bot)
        controls.enable(self.check, snapshot.can_run_steps)
        if step.is_running:
            self.cancel.grid(row=0, column=2, rowspan=3, padx=(12, 0))
        else:
            self.cancel.grid_remove()
        note = step.note or step.last_line
        self.progress.show(step.title, step.fraction, step.seconds_left, _cut(note))
        color = theme.DANGER if step.is_failed else theme.TEXT
        controls.set_text(self.progress.title, step.title, color)


def _cut(text: str) -> str:
    text = text.partition("\n")[0]
    return text if len(text) <= _LINE else text[: _LINE - 1] + "…"
