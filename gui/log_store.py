"""The log lines that the window remembers, and how they are written out."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime

from bot.logs import LogLine

KEEP = 5000
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
DAY_SECONDS = 86_400


class LogStore:
    """The newest `KEEP` lines, and the moments of the errors of the last 24 hours."""

    def __init__(self) -> None:
        self.lines: deque[LogLine] = deque(maxlen=KEEP)
        self._errors: deque[float] = deque(maxlen=100_000)

    def add(self, lines: Iterable[LogLine], now: float) -> None:
        """Remember lines that arrived at `now`, in seconds since 1970."""
        for line in lines:
            self.lines.append(line)
            if rank(line) == LEVELS.index("ERROR"):
                self._errors.append(now)

    def errors(self, now: float) -> int:
        """How many errors there were within 24 hours."""
        while self._errors and self._errors[0] < now - DAY_SECONDS:
            self._errors.popleft()
        return len(self._errors)

    def clear(self) -> None:
        """Forget the lines; the count of errors stays."""
        self.lines.clear()


def rank(line: LogLine) -> int:
    """A line's level as its place in `LEVELS`; what is worse than ERROR counts as ERROR."""
    if line.level == "CRITICAL":
        return LEVELS.index("ERROR")
    return LEVELS.index(line.level) if line.level in LEVELS else LEVELS.index("INFO")


def matches(line: LogLine, query: str, least: str) -> bool:
    """Whether a line is at least of a level and contains `query`, in upper or lower case."""
    if rank(line) < LEVELS.index(least):
        return False
    return query.casefold() in f"{line.source} {line.text}".casefold()


def moment(line: LogLine) -> str:
    """A line's time as `2026-11-23 14:32:15` on this computer's clock; "" where unknown."""
    try:
        utc = datetime.fromisoformat(line.time.replace("Z", "+00:00"))
    except ValueError:
        return line.time
    return utc.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def written(line: LogLine) -> str:
    """A line as it is exported: `[2026-11-23 14:32:15] [INFO] bot.main: connected`."""
    source = f"{line.source}: " if line.source else ""
    return f"[{moment(line)}] [{line.level}] {source}{line.text}"
