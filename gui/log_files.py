"""The log on disk: a file a day in data_storage/logs, for its owner's eyes, gone after some weeks.

One thread writes; whoever hands lines over never waits. What does not fit any more, because the
disk is full or the bot raves, is counted and said.
"""

import contextlib
import os
import threading
from collections import deque
from collections.abc import Iterable
from datetime import date, timedelta
from pathlib import Path
from typing import TextIO

from bot.logs import LogLine
from gui.log_store import written

WRITE_SECONDS = 0.5
WAITING = 20_000  # lines
LARGEST = 20_000_000  # bytes of a file; then the one before it goes
_LONGEST = 2000  # characters of a line


class LogFiles:
    """`folder` is made when the first line comes; `keep_days` may be changed at any time."""

    def __init__(self, folder: Path, keep_days: int) -> None:
        self.keep_days = keep_days
        self.dropped = 0
        self._folder = folder
        self._waiting: deque[str] = deque()
        self._is_over = threading.Event()
        self._day: date | None = None
        self._thread = threading.Thread(target=self._run, name="log-files", daemon=True)
        self._thread.start()

    def put(self, lines: Iterable[LogLine]) -> None:
        """Have lines written soon."""
        for line in lines:
            if len(self._waiting) >= WAITING:
                self.dropped += 1
            else:
                self._waiting.append(written(line)[:_LONGEST])

    def close(self) -> None:
        """Write what is left; at most a moment."""
        self._is_over.set()
        self._thread.join(1.0)

    def _run(self) -> None:
        while not self._is_over.wait(WRITE_SECONDS):
            self._write()
        self._write()

    def _write(self) -> None:
        lines = [self._waiting.popleft() for _ in range(len(self._waiting))]
        if not lines:
            return
        today = date.today()
        if today != self._day:
            self._day = today
            purge(self._folder, today - timedelta(days=self.keep_days))
        dropped, self.dropped = self.dropped, 0
        if dropped:
            lines.append(f"({dropped:,} lines are missing here)")
        try:
            with self._file(today) as file:
                file.write("".join(f"{line}\n" for line in lines))
        except OSError:
            self.dropped += dropped + len(lines) - bool(dropped)

    def _file(self, today: date) -> TextIO:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / f"{today.isoformat()}.log"
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_size > LARGEST:
                os.replace(path, path.with_suffix(".log.1"))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return os.fdopen(descriptor, "a", encoding="utf-8", errors="replace")


def purge(folder: Path, before: date) -> int:
    """Delete the log files of days before one; how many."""
    count = 0
    for path in folder.glob("*.log*"):
        with contextlib.suppress(ValueError, OSError):
            if date.fromisoformat(path.name[:10]) < before:
                path.unlink()
                count += 1
    return count
