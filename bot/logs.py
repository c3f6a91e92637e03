"""The log line: written by every child process, parsed by the window. Writer and reader together.

`2026-11-23T14:32:15.123Z INFO bot.main connected as 1234` - one line an entry, ids and durations
only. Progress of a pipeline step is a line of its own that starts with `@progress `.
"""

import dataclasses
import json
import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

LINE_LIMIT = 2000
PROGRESS = "@progress "
_LINE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z) ([A-Z]{4,8}) (\S+) (.*)", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]")
_TOKEN = re.compile(r"(?<![\w-])[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}")
_WEBHOOK = re.compile(r"(/webhooks/\d+/)[\w-]+")

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class LogLine:
    """One entry for the log view. `time` is ISO 8601 UTC, "" where the child did not say."""

    time: str
    level: str
    source: str
    text: str


@dataclasses.dataclass(frozen=True)
class Progress:
    """How far a step is: `done` of `total` units (`total` 0: unknown), and the seconds left."""

    step: str
    done: int
    total: int
    seconds_left: float | None = None
    note: str = ""


class _Formatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        text = redact(text[: 2 * LINE_LIMIT]).replace("\n", "\\n")
        millis = int(record.msecs) % 1000
        return f"{stamp}.{millis:03d}Z {record.levelname} {record.name} {_clean(text)}"


def setup(level: str = "INFO") -> None:
    """Send every log entry of this process to stdout as log lines.

    discord.py's own loggers never go below INFO: at DEBUG they print whole messages.
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Formatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for name in ("discord", "aiohttp", "asyncio", "httpx", "urllib3"):
        logging.getLogger(name).setLevel(max(logging.INFO, logging.getLevelName(level)))


def redact(text: str) -> str:
    """Blank out what looks like a bot token or a webhook's secret."""
    return _WEBHOOK.sub(r"\1[secret]", _TOKEN.sub("[token]", text))


def parse(line: str) -> LogLine | Progress:
    """Read one line of a child's output. Garbage becomes an INFO entry, never an error."""
    line = line.rstrip("\r\n")
    if line.startswith(PROGRESS):
        progress = _parse_progress(line[len(PROGRESS) :])
        if progress:
            return progress
    if match := _LINE.fullmatch(line[: LINE_LIMIT + 200]):
        stamp, level, source, text = match.groups()
        return LogLine(stamp, level, source, _clean(text.replace("\\n", "\n")))
    return LogLine("", "INFO", "", _clean(redact(line[: 2 * LINE_LIMIT])))


def report(progress: Progress) -> None:
    """Tell a person (a bar on a terminal) or the window (a `@progress` line) how far we are."""
    if sys.stdout.isatty():
        _draw(progress)
    else:
        print(PROGRESS + json.dumps(dataclasses.asdict(progress)), flush=True)


def track(step: str, items: Iterable[T], total: int, every_seconds: float = 0.25) -> Iterator[T]:
    """Yield `items` while reporting progress and the time left."""
    update = meter(step, total, every_seconds)
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        update(done, "")
    report(Progress(step, done, done, 0.0))


def meter(step: str, total: int, every_seconds: float = 0.25) -> Callable[[int, str], None]:
    """A function `(done, note)` that reports at most once in `every_seconds`, with an estimate."""
    started = time.monotonic()
    last = started - every_seconds

    def update(done: int, note: str) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < every_seconds and done < total:
            return
        last = now
        left = (now - started) / done * (total - done) if done and total else None
        report(Progress(step, done, total, left and round(left, 1), note))

    return update


def _parse_progress(text: str) -> Progress | None:
    try:
        fields = json.loads(text)
        step, note = str(fields["step"]), str(fields.get("note", ""))
        left = fields.get("seconds_left")
        return Progress(
            _clean(step),
            int(fields["done"]),
            int(fields["total"]),
            None if left is None else float(left),
            _clean(note),
        )
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        OverflowError,
        RecursionError,
    ):
        return None


def _draw(progress: Progress) -> None:
    width = 24
    if progress.total:
        filled = width * min(progress.done, progress.total) // progress.total
        bar = "#" * filled + "-" * (width - filled)
        text = f"{progress.step:<9} [{bar}] {progress.done}/{progress.total}"
    else:
        text = f"{progress.step:<9} {progress.done}"
    if progress.seconds_left:
        text += f"  {_duration(progress.seconds_left)} left"
    text += f"  {progress.note}" if progress.note else ""
    finished = progress.total and progress.done >= progress.total
    sys.stdout.write(f"\r\x1b[2K{text[:118]}" + ("\n" if finished else ""))
    sys.stdout.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _clean(text: str) -> str:
    """Cut over-long text and show control characters, so that no line can forge another."""
    text = _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", text)
    return text if len(text) <= LINE_LIMIT else text[:LINE_LIMIT] + "…"
