"""What the window costs: its start and memory beside a bare window, its longest freeze, its idling.

    python -m benchmarks window [--rounds N] [--seconds N]

Needs a display (`xvfb-run -a python -m benchmarks window`). The window is the launcher's own, with
the real controller; the bot is a process that beats as ours does, and, for the freeze, prints
100,000 log lines a second while it is restarted again and again.

    start_over_bare_tk     from the start of Python to a window that shows the bot's state, over the
                           same for an empty CustomTkinter window (median of the rounds)
    memory_over_bare_ctk   resident memory then, over the empty window's
    longest_freeze_ms      the longest time in which the window could not have answered a click
    idle_cpu               cores in use while the bot idles and the charts are on show
    lines_per_s            what the noisy bot wrote a second, so far as it was read
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from bot.config import ROOT, UserError

PROBE_MS = 5  # between two looks whether the window still answers
RESTART_SECONDS = 5.0
IDLE_SECONDS = 20.0

BARE = """
import customtkinter
customtkinter.set_appearance_mode("light")
root = customtkinter.CTk()
root.update()
print("ready", flush=True)
root.after(3000, root.destroy)
root.mainloop()
"""

BOT = """
import os, sys, threading, time
from pathlib import Path
from storage import database
connection, started = database.connect(Path(sys.argv[1])), time.time()
is_noisy = sys.argv[2] == "noisy"
leave = threading.Event()
threading.Thread(target=lambda: (os.read(0, 1), leave.set()), daemon=True).start()
line = b'{"time": "2026-01-01T00:00:00.000Z", "level": "INFO", "source": "noise", "text": "%d"}\\n'
lines = b"".join(line % number for number in range(1000))
began, beat_at = time.monotonic(), 0.0
while not leave.is_set():
    if time.monotonic() >= beat_at:
        beat_at = time.monotonic() + 2
        beat = database.Heartbeat(os.getpid(), started, time.time(), 50.0, "a-model")
        database.beat(connection, "bot", beat)
    if is_noisy:
        sys.stdout.buffer.write(lines)  # a thousand lines, a hundred times a second
        sys.stdout.buffer.flush()
    leave.wait(0.01 if is_noisy else 0.2)
"""


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks window")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each window")
    parser.add_argument("--seconds", type=float, default=30.0, help="of noise")
    options = parser.parse_args(arguments)
    sides: dict[str, list[tuple[float, float]]] = {"bare": [], "ours": []}
    for _ in range(options.rounds):
        for name, seen in sides.items():
            command = ["-c", BARE] if name == "bare" else ["-m", "benchmarks.window", "start"]
            seen.append(_start(command))
    (bare_seconds, bare_mb), (seconds, mb) = (
        [statistics.median(column) for column in zip(*seen, strict=True)] for seen in sides.values()
    )
    noisy = _facts(["-m", "benchmarks.window", "noise", str(options.seconds)])
    idle = _facts(["-m", "benchmarks.window", "idle", str(IDLE_SECONDS)])
    return {
        "start_seconds": round(seconds, 2),
        "bare_start_seconds": round(bare_seconds, 2),
        "start_over_bare_tk": round(seconds / bare_seconds, 2),
        "memory_mb": round(mb, 1),
        "bare_memory_mb": round(bare_mb, 1),
        "memory_over_bare_ctk": round(mb / bare_mb, 2),
        **noisy,
        **idle,
    }


def _start(command: Sequence[str]) -> tuple[float, float]:
    """Seconds until a window says that it is ready, and its memory then, in MB."""
    started = time.perf_counter()
    with _spawn(command) as process:
        assert process.stdout
        if process.stdout.readline().strip() != "ready":
            raise UserError("The window did not open. Run: xvfb-run -a python -m benchmarks window")
        seconds = time.perf_counter() - started
        memory = psutil.Process(process.pid).memory_info().rss / 2**20
        process.wait()
    return seconds, memory


def _facts(command: Sequence[str]) -> dict[str, Any]:
    with _spawn(command) as process:
        said, _ = process.communicate()
    found: dict[str, Any] = json.loads(said.splitlines()[-1])
    return found


def _spawn(command: Sequence[str]) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)


# --- the window's own process ---


def _window(role: str, seconds: float) -> dict[str, Any]:
    """Open the launcher's window on a bot of ours, and measure what the role asks for."""
    from bot_controller import BotController, heartbeats
    from gui import app
    from gui.session import Session, Way

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        database_path = folder / "bot.sqlite3"
        kind = "noisy" if role == "noise" else "quiet"
        controller = BotController(
            [sys.executable, "-c", BOT, str(database_path), kind],
            read_heartbeat=heartbeats(database_path),
            spawns_path=folder / "spawns.json",
        )
        session = Session(
            None,
            database_path,
            folder,
            sys.executable,
            controller,
            starts_at_once=role != "start",
        )
        measure = _MEASURES[role](controller, seconds)
        step = app.App.step

        def stepped(self: Any, now: float) -> None:
            step(self, now)
            measure.look(self)

        app.App.step = stepped  # type: ignore[method-assign]
        app.run(app.Start(Way(lambda report: session), folder))
    found: dict[str, Any] = measure.found
    return found


class _Start:
    """Says "ready" once the window shows the bot's state."""

    def __init__(self, controller: Any, seconds: float) -> None:
        self.found: dict[str, Any] = {}

    def look(self, window: Any) -> None:
        if window.presenter.session and not self.found:
            window.root.update()
            self.found = {"is_ready": True}
            print("ready", flush=True)
            window.root.after(1000, window.close)


class _Noise:
    """Looks every few milliseconds whether the window still answers; the longest gap counts."""

    def __init__(self, controller: Any, seconds: float) -> None:
        self.found: dict[str, Any] = {}
        self._controller, self._seconds = controller, seconds
        self._began = self._restarted = self._probed = 0.0
        self._longest = 0.0

    def look(self, window: Any) -> None:
        now = time.perf_counter()
        if not self._controller.running_since:
            return
        if not self._began:
            self._began = self._restarted = now
            window.root.after(1000, self._probe, window)  # the first second is the start's
        if now - self._restarted > RESTART_SECONDS:
            self._restarted = now
            self._controller.restart()
        if now - self._began > self._seconds and not self.found:
            lines = self._controller.output.dropped + len(window.presenter.log.lines)
            self.found = {
                "longest_freeze_ms": round(1000 * self._longest, 1),
                "lines_per_s": round(lines / (now - self._began)),
            }
            window.close()

    def _probe(self, window: Any) -> None:
        now = time.perf_counter()
        if self._probed:
            self._longest = max(self._longest, now - self._probed - PROBE_MS / 1000)
        self._probed = now
        if not self.found:
            window.root.after(PROBE_MS, self._probe, window)


class _Idle:
    """The processor's time that the window takes while nothing happens."""

    def __init__(self, controller: Any, seconds: float) -> None:
        self.found: dict[str, Any] = {}
        self._controller, self._seconds = controller, seconds
        self._began = self._used = 0.0

    def look(self, window: Any) -> None:
        if not self._controller.running_since:
            return
        now, used = time.perf_counter(), time.process_time()
        if not self._began:
            window.window.turn_to("Live")
            self._began, self._used = now + 5, 0.0  # once everything has been drawn
        elif now < self._began:
            self._used = used
        elif now - self._began > self._seconds and not self.found:
            self.found = {"idle_cpu": round((used - self._used) / (now - self._began), 4)}
            window.close()


_MEASURES: dict[str, Any] = {"start": _Start, "noise": _Noise, "idle": _Idle}

if __name__ == "__main__":
    print(json.dumps(_window(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 0.0)))
