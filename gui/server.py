"""A Discord server as the window knows it, by what stands in its own database."""

import contextlib
import dataclasses
import logging
import sqlite3
import time
from collections.abc import Iterator
from typing import Any

from gui.chores import Chores
from gui.rounds import Rounds
from gui.session import Session
from storage import database, milestones, shadow
from storage.database import Heartbeat, Settings
from storage.stats import Stats, stats

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.3
SETTINGS_SECONDS = 1.0
STATS_SECONDS = 5.0


class Server:
    """One of the bot's servers. Raises `UserError` when its database cannot be opened."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.connection = database.connect(session.database_path)
        self.connection.execute("PRAGMA busy_timeout = 100")  # a window waits for nobody
        self.chores = Chores(session.data_dir, time.time())
        self.name = str(session.server_id)
        self.beat: Heartbeat | None = None
        self.stats = Stats()
        self.is_shadow = False
        self._kept = Settings()
        self._pending: dict[str, Any] = {}
        self._write_at = 0.0
        self._reached: int | None = None
        self._rounds = Rounds()

    @property
    def settings(self) -> Settings:
        """As they are, or will be in a moment."""
        return dataclasses.replace(self._kept, **self._pending)

    def change(self, name: str, value: float) -> None:
        """Keep a setting, once it has not been changed again for a moment."""
        self._pending[name] = value
        self._write_at = time.monotonic() + DEBOUNCE_SECONDS

    def hurry(self) -> None:
        """Keep with the next tick what was changed."""
        self._write_at = 0.0

    def tick(self, now: float, is_shown: bool) -> None:
        """Keep what was changed, and look at what others changed."""
        with later_if_locked():
            if self._pending and time.monotonic() >= self._write_at:
                self._write()
            if self._rounds.is_due("settings", SETTINGS_SECONDS, now):
                self._read()
            if self._rounds.is_due("milestone", STATS_SECONDS, now):
                self._reached = milestones.take(self.connection) or self._reached
            if is_shown and self._rounds.is_due("stats", STATS_SECONDS, now):
                self.stats = stats(self.connection, now)

    def take_milestone(self) -> int | None:
        """A milestone that nobody was told of yet."""
        reached, self._reached = self._reached, None
        return reached

    def _read(self) -> None:
        self._kept = database.settings(self.connection)
        self.is_shadow = shadow.is_on(self.connection)
        self.beat = database.heartbeat(self.connection, "bot")
        told = database.recall(self.connection, "server_name") or str(self.session.server_id)
        self.name = " ".join(told.split())

    def _write(self) -> None:
        for name, value in list(self._pending.items()):
            database.change_setting(self.connection, name, value)
            del self._pending[name]
        self._kept = database.settings(self.connection)


@contextlib.contextmanager
def later_if_locked() -> Iterator[None]:
    """Leave something for another time while a database is locked."""
    try:
        yield
    except sqlite3.OperationalError as error:
        log.warning("the database is busy: %s", error)
