"""How much memory the bot may take, and what happens when it takes more.

The limit is twice the model's file and 2 GB (the model lies in memory once, its context and the
index of past messages beside it), and at most 80 % of the machine's memory. A further server adds
half a GB, and its model if that is another one. Above it there is a
warning; a bot that stays there is restarted at a quiet moment, before the system ends something.
"""

import contextlib
import enum
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import psutil

from bot.config import Config, UserError
from model import catalog
from storage import database
from storage.stats import stats

MACHINE_SHARE = 0.8
MODEL_FACTOR, MODEL_EXTRA_MB, SERVER_EXTRA_MB = 2.0, 2048.0, 512.0
CALM_SHARE = 0.9  # the warning is taken back below this share of the limit
STAYS_SECONDS = 120.0
QUIET_SECONDS = 60.0  # without a reply
LONGEST_SECONDS = 900.0  # a room that is never quiet
APART_SECONDS = 3600.0  # a leak must not spend the day's starts


class Verdict(enum.Enum):
    """What a look at the memory comes to."""

    FINE = enum.auto()
    HIGH = enum.auto()
    RESTART = enum.auto()


class MemoryWatch:
    """Judges one figure after another.

    `find_limit` gives the limit in MB and is asked whenever the bot is started, as it may come
    with another model; `is_quiet(now)` says whether a restart would disturb nobody.
    """

    def __init__(
        self,
        find_limit: Callable[[], float] | None = None,
        is_quiet: Callable[[float], bool] = lambda now: True,
    ) -> None:
        self.limit_mb = 0.0
        self._find_limit = find_limit or (lambda: limit_mb(None))
        self._is_quiet = is_quiet
        self._above_since: float | None = None
        self._restarted_at = float("-inf")

    def begin(self) -> None:
        """A bot was started."""
        self.limit_mb = self._find_limit()
        self._above_since = None

    def look(self, memory_mb: float, now: float) -> Verdict:
        """Judge the memory that the bot has at `now`."""
        allowed = self.limit_mb * (1.0 if self._above_since is None else CALM_SHARE)
        if memory_mb <= allowed:
            self._above_since = None
            return Verdict.FINE
        if self._above_since is None or now < self._above_since:
            self._above_since = now
        seconds = now - self._above_since
        is_late = seconds >= LONGEST_SECONDS
        is_apart = abs(now - self._restarted_at) >= APART_SECONDS
        if seconds < STAYS_SECONDS or not is_apart or not (is_late or self._is_quiet(now)):
            return Verdict.HIGH
        self._restarted_at = now
        return Verdict.RESTART


def watch(servers: Sequence[Config]) -> MemoryWatch:
    """The watch over the bot that serves these."""

    def find_limit() -> float:
        return limit_mb(_models_size_mb(servers), len(servers))

    def is_quiet(now: float) -> bool:
        replied_at = filter(None, (_last_reply_at(settings, now) for settings in servers))
        return all(abs(now - moment) >= QUIET_SECONDS for moment in replied_at)

    return MemoryWatch(find_limit, is_quiet)


def limit_mb(models_size_mb: float | None, servers: int = 1) -> float:
    """The limit for models of that size together; None where nobody knows it."""
    machine = MACHINE_SHARE * psutil.virtual_memory().total / 2**20
    if models_size_mb is None:
        return machine
    extra = MODEL_EXTRA_MB + SERVER_EXTRA_MB * (servers - 1)
    return min(machine, MODEL_FACTOR * models_size_mb + extra)


def _models_size_mb(servers: Iterable[Config]) -> float | None:
    """Of the models that the bot takes at its next start, each once, and adapters' bases."""
    try:
        sizes = dict(size for settings in servers for size in _sizes_mb(settings))
    except (OSError, UserError, sqlite3.Error):
        return None
    return sum(sizes.values())


def _sizes_mb(settings: Config) -> Iterator[tuple[Path | None, float]]:
    """The files that one server needs, None for the small model, with their sizes."""
    path = settings.model_path or _chosen(settings) or settings.base_model
    if path is None:
        yield None, float(catalog.SMALL_MODEL.size_mb)
        return
    for file in filter(None, (path, catalog.base_of(path))):
        yield file, file.stat().st_size / 2**20


def _last_reply_at(settings: Config, now: float) -> float | None:
    try:
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            return stats(connection, now).last_reply_at
    except (UserError, sqlite3.Error):
        return None


def _chosen(settings: Config) -> Path | None:
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        return database.chosen_path(connection)
