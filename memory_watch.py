"""How much memory the bot may take, and what happens when it takes more.

The limit is twice the model's file and 2 GB (the model lies in memory once, its context and the
index of past messages beside it), and at most 80 % of the machine's memory. Above it there is a
warning; a bot that stays there is restarted at a quiet moment, before the system ends something.
"""

import contextlib
import enum
import sqlite3
from collections.abc import Callable
from pathlib import Path

import psutil

from bot.config import Config, UserError
from model import catalog
from storage import database
from storage.stats import stats

MACHINE_SHARE = 0.8
MODEL_FACTOR, MODEL_EXTRA_MB = 2.0, 2048.0
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


def watch(settings: Config) -> MemoryWatch:
    """The watch over the bot of these settings."""

    def find_limit() -> float:
        return limit_mb(_model_size_mb(settings))

    def is_quiet(now: float) -> bool:
        try:
            with contextlib.closing(database.connect(settings.database_path)) as connection:
                replied_at = stats(connection, now).last_reply_at
        except (UserError, sqlite3.Error):
            return True
        return replied_at is None or abs(now - replied_at) >= QUIET_SECONDS

    return MemoryWatch(find_limit, is_quiet)


def limit_mb(model_size_mb: float | None) -> float:
    """The limit for a model of that size; None where nobody knows it."""
    machine = MACHINE_SHARE * psutil.virtual_memory().total / 2**20
    if model_size_mb is None:
        return machine
    return min(machine, MODEL_FACTOR * model_size_mb + MODEL_EXTRA_MB)


def _model_size_mb(settings: Config) -> float | None:
    """Of the model that the bot takes at its next start, an adapter's base included."""
    try:
        path = settings.model_path or _chosen(settings) or settings.base_model
        if path is None:
            return float(catalog.SMALL_MODEL.size_mb)
        files = filter(None, (path, catalog.base_of(path)))
        return sum(file.stat().st_size for file in files) / 2**20
    except (OSError, UserError, sqlite3.Error):
        return None


def _chosen(settings: Config) -> Path | None:
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        return database.chosen_path(connection)
