"""The last report's verdict, and how the models before it did."""

from collections.abc import Callable, Sequence
from typing import Any

from gui import theme
from gui.components import controls
from model.report import Facts
from model.sides import CANDIDATE

_SHOWN = 4  # reports
_EMPTY = "Evaluate a trained model, and its verdict stands here."


class ReportCard:
    """`open_page` shows the newest report in the browser."""

    def __init__(self, parent: Any, open_page: Callable[[], None]) -> None:
        self.frame = controls.card(parent)
        self.button = controls.button(self.frame, "Open report", open_page, width=110)
        self.verdict = controls.label(self.frame, size=12)
        self.history = controls.label(self.frame, size=12, color=theme.MUTED)
        for label in (self.verdict, self.history):
            label.configure(justify="left")
        self.frame.grid_columnconfigure(0, weight=1)
        heading = controls.label(self.frame, "Report", 13, weight="bold")
        heading.grid(row=0, column=0, sticky="w", padx=12, pady=(8, 0))
        self.button.grid(row=0, column=1, padx=12, pady=(8, 0))
        self.verdict.grid(row=1, column=0, columnspan=2, sticky="w", padx=12, pady=(4, 4))
        self.history.grid(row=2, column=0, columnspan=2, sticky="w", padx=12)
        self.frame.bind("<Configure>", self._wrap)

    def show(self, reports: Sequence[Facts], has_page: bool) -> None:
        """Fill in the newest of some reports, oldest first."""
        controls.set_text(self.verdict, reports[-1]["verdict"] if reports else _EMPTY)
        lines = [_line(facts) for facts in reversed(reports[-_SHOWN:])]
        controls.set_text(self.history, "\n".join(lines))
        controls.enable(self.button, has_page)

    def _wrap(self, event: Any) -> None:
        width = int(event.width / self.frame._get_widget_scaling()) - 28
        if self.verdict.cget("wraplength") != width:
            self.verdict.configure(wraplength=width)


def _line(facts: Facts) -> str:
    side = facts["sides"][CANDIDATE]
    low, high = side["detection"]["auc_95"]
    found = side["detection"]["auc"]
    return f"{facts['name']}: match {side['match']:.0%}, AUC {found:.2f} ({low:.2f} to {high:.2f})"
