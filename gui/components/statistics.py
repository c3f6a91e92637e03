"""The dashboard: the last 24 hours beside the last 7 days."""

from typing import Any

from gui import theme
from gui.components import controls
from gui.snapshot import Rows, Snapshot


class Statistics:
    """Two small tables."""

    def __init__(self, parent: Any) -> None:
        self.frame = controls.card(parent)
        self.frame.grid_columnconfigure((0, 1), weight=1, uniform="half")
        self.values: dict[tuple[str, str], Any] = {}
        self._tables = {
            title: self._build(title, column)
            for column, title in enumerate(("Last 24 hours", "Last 7 days"))
        }

    def _build(self, title: str, column: int) -> Any:
        table = controls.group(self.frame)
        table.grid(row=0, column=column, sticky="new", padx=theme.PAD, pady=12)
        table.grid_columnconfigure(0, weight=1)
        controls.heading(table, title).grid(row=0, column=0, sticky="w", pady=(0, 4))
        return table

    def show(self, snapshot: Snapshot) -> None:
        """Fill in what the snapshot says."""
        self._fill("Last 24 hours", snapshot.day)
        self._fill("Last 7 days", snapshot.week)

    def _fill(self, title: str, rows: Rows) -> None:
        for row, (name, text) in enumerate(rows, 1):
            if (title, name) not in self.values:
                caption = controls.label(self._tables[title], name, color=theme.MUTED)
                caption.grid(row=row, column=0, sticky="w", pady=3)
                self.values[title, name] = controls.label(self._tables[title])
                self.values[title, name].grid(row=row, column=1, sticky="e", pady=3)
            controls.set_text(self.values[title, name], text)
