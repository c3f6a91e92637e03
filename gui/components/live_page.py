"""The page to watch the bot on: its pace, its weight, its training, its last words."""

import time
from typing import Any

from bot.config import UserError
from gui import desktop, theme
from gui.components import controls
from gui.components.chart import ChartCard
from gui.components.report_card import ReportCard
from gui.components.table import Row, Table
from gui.live import Live
from gui.presenter import Presenter

_COLUMNS = ("Bad", "Message", "Reply", "Seconds")
_WIDTHS = (110, 380, 400, 90)
_LONGEST = 60  # characters of a text


class LivePage:
    """Charts above, the last exchanges below; a mark before an exchange is a thumbs down."""

    def __init__(self, parent: Any, live: Live, presenter: Presenter) -> None:
        self._live, self._presenter = live, presenter
        self._version = -1
        self._rows: list[Row] | None = None
        self._bad: set[str] = set()
        self.frame = controls.scroll_frame(parent)
        self.frame.configure(fg_color=theme.WINDOW, corner_radius=0)
        self.charts = [ChartCard(self.frame) for _ in range(4)]
        self.loss = ChartCard(self.frame)
        self.report = ReportCard(self.frame, self.open_report)
        self.heading = controls.heading(self.frame, "Last exchanges")
        about = "Mark a reply that is bad: it is kept as an example of what not to say."
        self.about = controls.label(self.frame, about, 12, theme.MUTED)
        self.table = Table(self.frame, lambda: None, sum(_WIDTHS))
        self._place()

    def _place(self) -> None:
        self.frame.grid_columnconfigure((0, 1, 2, 3), weight=1, uniform="chart")
        for column, chart in enumerate(self.charts):
            chart.frame.grid(row=0, column=column, sticky="nsew", padx=_sides(column))
        gap = (theme.GAP, theme.GAP)
        self.loss.frame.grid(row=1, column=0, columnspan=2, sticky="nsew", padx=(0, 6), pady=gap)
        self.report.frame.grid(row=1, column=2, columnspan=2, sticky="nsew", padx=(6, 0), pady=gap)
        self.heading.grid(row=2, column=0, columnspan=4, sticky="w")
        self.about.grid(row=3, column=0, columnspan=4, sticky="w", pady=(0, 6))
        self.table.frame.grid(row=4, column=0, columnspan=4, sticky="w")

    def show(self) -> None:
        """Draw what is new, and take over what was marked."""
        self._judge()
        self.table.refresh()
        if self._version == self._live.version:
            return
        self._version = self._live.version
        for card, chart in zip(self.charts, self._live.charts(), strict=True):
            card.show(chart)
        self.loss.show(self._live.loss())
        self.report.show(self._live.reports(), self._live.newest_page() is not None)
        self._list()

    def close(self) -> None:
        """Take it away."""
        self.frame.destroy()

    def open_report(self) -> None:
        """Show the newest report in the browser."""
        if page := self._live.newest_page():
            try:
                desktop.open_page(page.as_uri())
            except UserError as error:
                self._presenter.say("ERROR", str(error))

    def _list(self) -> None:
        exchanges = self._live.exchanges()
        rows: list[Row] = [
            (
                str(one.reply_id),
                (
                    time.strftime("%H:%M", time.localtime(one.sent_at)),
                    _short(f"{one.said_by}: {one.said}" if one.said else "(not stored any more)"),
                    _short(one.reply),
                    f"{one.seconds:.1f}",
                ),
            )
            for one in exchanges
        ]
        bad = {str(one.reply_id) for one in exchanges if one.is_rejected}
        if rows != self._rows or bad != self._bad:
            self._rows, self._bad = rows, bad
            self.table.show(_COLUMNS, _WIDTHS, rows, sorted(bad), takes_many=True)

    def _judge(self) -> None:
        for key in self._bad.symmetric_difference(self.table.chosen):
            self._live.judge(int(key), key in self.table.chosen)
        self._bad = set(self.table.chosen)


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}\u2026"


def _sides(column: int) -> tuple[int, int]:
    return (0 if column == 0 else 4, 0 if column == 3 else 4)
