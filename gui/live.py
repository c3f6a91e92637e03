"""What the Live page shows, without a widget: the last hour of the bot, a training, the reports."""

import contextlib
import dataclasses
import json
import math
import sqlite3
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import psutil

from bot import config
from bot.config import ROOT, UserError
from child_process import Child
from gui.session import Session
from model import report
from storage import database, judgements
from storage.judgements import Exchange
from storage.stats import reply_times

SAMPLE_SECONDS = 5.0
HOUR = 3600.0
RECENT = 20  # replies that a percentile is taken of
EXCHANGES = 20
SMOOTH = 0.9  # of the loss before, in an exponential average

Points = tuple[tuple[float, float], ...]


@dataclasses.dataclass(frozen=True)
class Chart:
    """Lines by their names over `span` (the first and the last x); `now` says the newest value.

    `ends` are written below the first and the last x, `empty` where there is nothing to draw.
    """

    title: str
    lines: dict[str, Points]
    span: tuple[float, float]
    ends: tuple[str, str]
    now: str = ""
    empty: str = "Nothing yet"

    @property
    def top(self) -> float:
        """A round number that no line exceeds."""
        most = max((y for points in self.lines.values() for _, y in points), default=0.0)
        return _round_up(most)


@dataclasses.dataclass(frozen=True)
class Sample:
    """What the bot's process and all below it took at a moment: MB, and cores in use."""

    at: float
    bot_mb: float
    worker_mb: float
    bot_cores: float
    worker_cores: float


class Live:
    """Call `tick` with every beat; `version` changes when there may be something new to draw."""

    def __init__(self, session: Session) -> None:
        self.version = 0
        self._session = session
        self._models_dir = _models_dir(session)
        self._samples: deque[Sample] = deque(maxlen=int(HOUR / SAMPLE_SECONDS))
        self._cpu: dict[int, float] = {}
        self._sampled_at = 0.0
        self._now = 0.0
        self._connection: sqlite3.Connection | None = None
        self._loss: tuple[Any, Chart] | None = None
        self._reports: tuple[Any, list[report.Facts]] = (None, [])

    def look_at(self, session: Session) -> None:
        """Go on with another of the bot's servers; its process is the same."""
        self.close()
        self._session, self._models_dir = session, _models_dir(session)
        self._connection = self._loss = None
        self._reports = (None, [])
        self.version += 1

    def tick(self, now: float) -> None:
        """Take a sample, where it is time for one."""
        if 0 <= now - self._sampled_at < SAMPLE_SECONDS:
            return
        child = self._session.controller.child
        if child and child.exit_code() is None:
            self._samples.append(self._sample(child, now))
        self._sampled_at = self._now = now
        self.version += 1

    def charts(self) -> list[Chart]:
        """Replies a minute, seconds a reply, memory, processor."""
        since = self._now - HOUR
        times = self._ask(lambda connection: reply_times(connection, since)) or []
        return [self._pace(times), self._speed(times), self._memory(), self._processor()]

    def loss(self) -> Chart:
        """The loss of the training that runs or ran last."""
        files = list((self._models_dir / "training").glob("*/loss.jsonl"))
        stamps = {path: _stamp(path) for path in files}
        newest = max(files, key=lambda path: stamps[path], default=None)
        key = (newest, newest and stamps[newest])
        if self._loss is None or self._loss[0] != key:
            self._loss = key, loss_chart(newest)
        return self._loss[1]

    def reports(self) -> list[report.Facts]:
        """The figures of all reports, oldest first."""
        files = sorted((self._models_dir / "finetuned").glob(f"*/*.{report.FILE}"))
        key = [(path, _stamp(path)) for path in files]
        if key != self._reports[0]:
            self._reports = key, report.history(self._models_dir)
        return self._reports[1]

    def newest_page(self) -> Path | None:
        """The newest report that has one, as a page for a browser."""
        folder = self._session.data_dir / "reports"
        pages = (folder / f"{one['name']}.{one['quant']}.html" for one in reversed(self.reports()))
        return next((page for page in pages if page.is_file()), None)

    def exchanges(self) -> list[Exchange]:
        """The bot's newest replies, and what they answered."""
        return self._ask(lambda connection: judgements.exchanges(connection, EXCHANGES)) or []

    def judge(self, reply_id: int, is_bad: bool) -> None:
        """Keep that a reply is bad, or no longer."""
        change = judgements.reject if is_bad else judgements.take_back
        self._ask(lambda connection: change(connection, reply_id))

    def close(self) -> None:
        """Let go of the database."""
        if self._connection:
            self._connection.close()

    def _ask(self, question: Callable[[sqlite3.Connection], Any]) -> Any:
        """What the database answers; None while it is locked."""
        try:
            if self._connection is None:
                self._connection = database.connect(self._session.database_path)
                self._connection.execute("PRAGMA busy_timeout = 100")
            return question(self._connection)
        except (UserError, sqlite3.OperationalError):
            return None

    def _sample(self, child: Child, now: float) -> Sample:
        seconds = max(now - self._sampled_at, 0.1) if self._cpu else math.inf
        before, self._cpu = self._cpu, {}
        memory, cores = [0.0, 0.0], [0.0, 0.0]
        for process in child.family():
            with contextlib.suppress(psutil.Error):
                with process.oneshot():
                    used, size = sum(process.cpu_times()[:2]), process.memory_info().rss
                place = int(process.pid != child.pid)
                memory[place] += size / 2**20
                cores[place] += max(0.0, used - before.get(process.pid, used)) / seconds
                self._cpu[process.pid] = used
        return Sample(now, *memory, *cores)

    def _pace(self, times: Sequence[tuple[float, float]]) -> Chart:
        counts = [0] * 60
        for sent_at, _ in times:
            counts[min(59, max(0, int(60 - (self._now - sent_at) / 60)))] += 1
        points = tuple((float(minute), float(count)) for minute, count in enumerate(counts))
        return Chart(
            "Replies a minute",
            {"replies": points} if times else {},
            (0.0, 59.0),
            ("1 hour ago", "now"),
            f"{len(times)} in an hour",
            "No replies in the last hour",
        )

    def _speed(self, times: Sequence[tuple[float, float]]) -> Chart:
        halves, tails = [], []
        for end in range(1, len(times) + 1):
            sent_at, recent = times[end - 1][0], sorted(s for _, s in times[:end][-RECENT:])
            halves.append((sent_at, statistics.median(recent)))
            tails.append((sent_at, percentile(recent, 0.95)))
        newest = f"p50 {halves[-1][1]:.1f} s, p95 {tails[-1][1]:.1f} s" if times else ""
        lines = {"p50": tuple(halves), "p95": tuple(tails)} if times else {}
        return self._over_the_hour("Seconds a reply", lines, newest, "No replies in the last hour")

    def _memory(self) -> Chart:
        now = self._samples[-1] if self._samples else None
        return self._over_the_hour(
            "Memory, MB",
            self._lines(bot=lambda one: one.bot_mb, model=lambda one: one.worker_mb),
            f"bot {now.bot_mb:,.0f}, model {now.worker_mb:,.0f}" if now else "",
            "The bot does not run",
        )

    def _processor(self) -> Chart:
        now = self._samples[-1] if self._samples else None
        return self._over_the_hour(
            "Processor, cores",
            self._lines(bot=lambda one: one.bot_cores, model=lambda one: one.worker_cores),
            f"bot {now.bot_cores:.2f}, model {now.worker_cores:.2f}" if now else "",
            "The bot does not run",
        )

    def _lines(self, **values: Callable[[Sample], float]) -> dict[str, Points]:
        samples = [one for one in self._samples if one.at >= self._now - HOUR]
        if not samples:
            return {}
        return {name: tuple((one.at, of(one)) for one in samples) for name, of in values.items()}

    def _over_the_hour(self, title: str, lines: dict[str, Points], now: str, empty: str) -> Chart:
        span = self._now - HOUR, self._now
        return Chart(title, lines, span, ("1 hour ago", "now"), now, empty)


def loss_chart(path: Path | None) -> Chart:
    """The curve that a training writes; lines that cannot be read are left out."""
    rows = list(_rows(path)) if path else []
    stage = rows[-1]["stage"] if rows else ""
    rows = [row for row in rows if row["stage"] == stage]
    learned, average = [], None
    for step, loss in _pairs(rows, "loss"):
        average = loss if average is None else SMOOTH * average + (1 - SMOOTH) * loss
        learned.append((step, average))
    lines = {"training": tuple(learned), "held out": tuple(_pairs(rows, "held_out"))}
    lines = {name: points for name, points in lines.items() if points}
    last = max((points[-1][0] for points in lines.values()), default=1.0)
    now = ", ".join(f"{name} {points[-1][1]:.3f}" for name, points in lines.items())
    title = f"Loss of {path.parent.name}, {stage.upper()}" if path and lines else "Loss"
    empty = "A training draws its curve here"
    return Chart(title, lines, (0.0, max(1.0, last)), ("step 0", f"{last:,.0f}"), now, empty)


def percentile(values: Sequence[float], share: float) -> float:
    """The value that so large a share of the sorted values does not exceed."""
    return values[max(0, math.ceil(share * len(values)) - 1)]


def _pairs(rows: Iterable[dict[str, Any]], name: str) -> Iterable[tuple[float, float]]:
    for row in rows:
        value = row.get(name)
        if isinstance(value, float | int) and math.isfinite(value):
            yield float(row["step"]), float(value)


def _rows(path: Path) -> Iterable[dict[str, Any]]:
    try:
        lines = path.read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    for line in lines:  # the last may be half written
        with contextlib.suppress(ValueError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int) and row.get("stage"):
                yield {**row, "stage": str(row["stage"])}


def _stamp(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _round_up(value: float) -> float:
    """The next of 1, 2, 5, 10, 20, 50 and so on."""
    if value <= 0:
        return 1.0
    unit = float(10 ** math.floor(math.log10(value)))
    return next(unit * step for step in (1, 2, 5, 10) if value <= unit * step * (1 + 1e-9))


def _models_dir(session: Session) -> Path:
    try:
        return config.load(session.env_path, needs_discord=False).models_dir
    except UserError:
        return ROOT / "models"
