"""The first page: what the bot may say and how often, what it did, the pipeline, and the log."""

from collections.abc import Callable, Sequence
from typing import Any

from bot.logs import LogLine
from gui import theme
from gui.components import controls
from gui.components.log_text import LogText
from gui.components.quick_actions import QuickActions
from gui.components.setup_card import SetupCard
from gui.components.statistics import Statistics
from gui.components.tuning import Tuning
from gui.pipeline import Action
from gui.presenter import Presenter
from gui.snapshot import Snapshot

LEFT_WIDTH = 350


class Overview:
    """Cards in two columns; while there is no bot yet, its setup stands where statistics will."""

    def __init__(
        self,
        parent: Any,
        presenter: Presenter,
        run_step: Callable[[Action], None],
        open_folder: Callable[[], None],
        open_settings: Callable[[], None],
    ) -> None:
        self.frame = controls.group(parent)
        self.tuning = Tuning(self.frame, presenter.change)
        self.actions = QuickActions(
            self.frame, run_step, presenter.cancel_step, open_folder, open_settings
        )
        self.statistics = Statistics(self.frame)
        self.setup = SetupCard(self.frame)
        self.log_card = controls.card(self.frame)
        self.log = LogText(self.log_card)
        self._place()

    def _place(self) -> None:
        self.frame.grid_columnconfigure(0, minsize=LEFT_WIDTH)
        self.frame.grid_columnconfigure(1, weight=1)
        self.frame.grid_rowconfigure(2, weight=1)
        gap = theme.GAP
        self.tuning.frame.grid(row=0, column=0, sticky="nsew")
        self._statistics_at = {"row": 0, "column": 1, "sticky": "nsew", "padx": (gap, 0)}
        self.statistics.frame.grid(**self._statistics_at)
        self.actions.frame.grid(row=1, column=0, rowspan=2, sticky="nsew", pady=(gap, 0))
        self.log_card.grid(row=1, column=1, rowspan=2, sticky="nsew", padx=(gap, 0), pady=(gap, 0))
        self.log_card.grid_columnconfigure(0, weight=1)
        self.log_card.grid_rowconfigure(1, weight=1)
        heading = controls.heading(self.log_card, "Log")
        heading.grid(row=0, column=0, sticky="w", padx=theme.PAD, pady=(12, 6))
        self.log.frame.grid(row=1, column=0, sticky="nsew", padx=gap, pady=(0, gap))

    def show(self, snapshot: Snapshot) -> None:
        """Fill in what the snapshot says."""
        self.tuning.show(snapshot)
        self.statistics.show(snapshot)
        self.actions.show(snapshot)
        if snapshot.setup:
            self.setup.show(snapshot.setup)
            self.setup.frame.grid(**self._statistics_at)
            self.statistics.frame.grid_remove()
        elif not self.statistics.frame.winfo_manager():
            self.setup.frame.grid_remove()
            self.statistics.frame.grid(**self._statistics_at)

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add new log lines."""
        self.log.append(lines)
