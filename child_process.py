"""Child processes: one with everything it starts, and one step of the pipeline.

A child is asked to finish by closing its stdin, and is tethered: should this process die, it dies
too. Its output is always being read, into a buffer that forgets the oldest lines first.
"""

import atexit
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import IO, Any

import psutil

from bot import tether
from bot.config import ROOT
from bot.logs import PROGRESS, LogLine, Progress, parse

BUFFER_LINES = 5000
LINE_BYTES = 16_384
CHUNK_BYTES = 65_536
CANCEL_SECONDS = 10.0
ERROR = "error: "  # what `config.exit_with` prints


class Output:
    """What children said and nobody took yet: the newest lines, and the newest progress.

    Any thread may `put` and `take`. `dropped` counts the lines that had to be forgotten.
    """

    def __init__(self, keep: int = BUFFER_LINES) -> None:
        self.dropped = 0
        self._keep = keep
        self._lines: deque[LogLine | bytes] = deque(maxlen=keep)
        self._progress: Progress | None = None
        self._lock = threading.Lock()

    def put(self, event: LogLine | Progress) -> None:
        """Add one event; a progress replaces the one before it."""
        with self._lock:
            if isinstance(event, Progress):
                self._progress = event
                return
        self.feed([event])

    def feed(self, lines: Sequence[LogLine | bytes]) -> None:
        """Add lines; raw ones are parsed when they are taken, which most of a flood never is."""
        with self._lock:
            self.dropped += max(0, len(self._lines) + len(lines) - self._keep)
            self._lines.extend(lines)

    def take(self, limit: int = 500) -> list[LogLine | Progress]:
        """Remove and give back up to `limit` lines, oldest first, and then a new progress."""
        with self._lock:
            count = min(limit, len(self._lines))
            lines = [self._lines.popleft() for _ in range(count)]
            progress, self._progress = self._progress, None
        events = [_event(line) if isinstance(line, bytes) else line for line in lines]
        return [*events, progress] if progress else events

    def say(self, level: str, text: str, now: float) -> None:
        """Add a line of our own."""
        self.put(LogLine(_stamp(now), level, "supervisor", text))


class Child:
    """One running process and everything it starts. Raises `OSError` if it cannot be started.

    To be made in a thread that outlives it (`bot/tether.py` says why).
    """

    def __init__(self, command: Sequence[str], output: Output, cwd: Path = ROOT) -> None:
        self.output = output
        self.last_error = ""
        self._process = subprocess.Popen(
            tether.command(command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=cwd,
            env={**os.environ, "PYTHONUTF8": "1", "PYTHONUNBUFFERED": "1"},
            **_apart(),
        )
        tether.bind(self.pid)
        self._family: dict[int, psutil.Process] = {}
        with contextlib.suppress(psutil.Error):  # it may be over already
            self._family[self.pid] = psutil.Process(self.pid)
        _children.add(self)
        self._reader = threading.Thread(target=self._read, name="child-output", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative for the signal that ended it."""
        return self._process.poll()

    def family(self) -> list[psutil.Process]:
        """It and all its descendants that live, those it left behind included."""
        for process in list(self._family.values()):
            with contextlib.suppress(psutil.Error):
                found = process.children(recursive=True)
                self._family.update((child.pid, child) for child in found)
        self._family = {pid: p for pid, p in self._family.items() if p.is_running()}
        return list(self._family.values())

    def memory_mb(self) -> float:
        """Resident memory of the whole family."""
        total = 0
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                total += process.memory_info().rss
        return total / 2**20

    def ask_to_finish(self) -> None:
        """Close its stdin."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def interrupt(self) -> None:
        """Close its stdin and press Ctrl+C (Ctrl+Break on Windows)."""
        self.ask_to_finish()
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                self._process.send_signal(signal.CTRL_BREAK_EVENT)
            else:
                self._process.send_signal(signal.SIGINT)

    def kill_tree(self) -> None:
        """End it and all its descendants at once."""
        for process in self.family():
            with contextlib.suppress(psutil.Error):
                process.kill()  # psutil makes sure that the id still means the same process

    def clear_up(self) -> None:
        """After its end: end what it left behind, and wait until its last line was read."""
        self.ask_to_finish()
        self.kill_tree()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=0.5)
        self._reader.join(timeout=0.5)

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for lines in _batches(stream):
                self._note([line for line in lines if line.startswith(_ERROR)])
                if progress := [line for line in lines if line.startswith(_PROGRESS)]:
                    self.output.put(_event(progress[-1]))
                self.output.feed([line for line in lines if not line.startswith(_PROGRESS)])

    def _note(self, errors: list[bytes]) -> None:
        for event in map(_event, errors[-1:]):
            if isinstance(event, LogLine):
                self.last_error = event.text.removeprefix(ERROR)


class Step:
    """One script of the pipeline, running. Raises `OSError` if it cannot be started."""

    def __init__(self, command: Sequence[str], cwd: Path = ROOT) -> None:
        self.output = Output()
        self.is_cancelled = False
        self.child = Child(command, self.output, cwd)
        self._kill_at: float | None = None

    def cancel(self) -> None:
        """Have it stop; `tick` ends it by force if it takes longer than `CANCEL_SECONDS`."""
        if not self.is_cancelled:
            self.is_cancelled = True
            self.child.interrupt()

    def tick(self, now: float) -> int | None:
        """Its exit code once it ended and its last line can be taken, before that None."""
        code = self.child.exit_code()
        if code is not None:
            self.child.clear_up()
            return code
        if self.is_cancelled:
            self._kill_at = self._kill_at or now + CANCEL_SECONDS
            if now >= self._kill_at:
                self.child.kill_tree()
        return None


def run_step(
    command: Sequence[str],
    on_event: Callable[[LogLine | Progress], None],
    is_cancelled: Callable[[], bool] = lambda: False,
    cwd: Path = ROOT,
) -> int:
    """Run one script to its end, in this thread, and give back its exit code."""
    step = Step(command, cwd)
    try:
        code = None
        while code is None:
            time.sleep(0.05)
            if is_cancelled():
                step.cancel()
            code = step.tick(time.monotonic())
            for event in step.output.take(BUFFER_LINES):
                on_event(event)
        return code
    finally:
        step.child.clear_up()


_PROGRESS, _ERROR = PROGRESS.encode(), ERROR.encode()

_children: weakref.WeakSet[Child] = weakref.WeakSet()


@atexit.register
def end_all() -> None:
    """End what still runs when this process leaves, such as a step of an abandoned thread."""
    for child in list(_children):
        if child.exit_code() is None:
            child.kill_tree()


def _apart() -> dict[str, Any]:
    """A process group of its own: Ctrl+C in our terminal is ours alone."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW
        return {"creationflags": flags}
    return {"start_new_session": True}


def _batches(stream: IO[bytes]) -> Iterator[list[bytes]]:
    """Whole lines, as many as have come; what exceeds `LINE_BYTES` is thrown away."""
    rest = b""
    while chunk := os.read(stream.fileno(), CHUNK_BYTES):
        *lines, rest = (rest + chunk).split(b"\n")
        rest = rest[:LINE_BYTES]
        yield [line[:LINE_BYTES] for line in lines]
    if rest:
        yield [rest]


def _event(raw: bytes) -> LogLine | Progress:
    event = parse(raw.decode("utf-8", errors="replace"))
    if isinstance(event, Progress):
        return event
    return dataclasses.replace(
        event,
        time=event.time or _stamp(time.time()),
        level="ERROR" if raw.startswith(_ERROR) else event.level,
    )


def _stamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, timezone.utc)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
