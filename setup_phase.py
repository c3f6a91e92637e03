"""One phase of setting up: a command in a log file, shown while it works. Standard library only."""

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

_NOISE = (
    *("WARNING", "DEPRECATION", "[notice]"),
    *("Attempting uninstall", "Found existing", "Uninstalling", "Successfully uninstalled"),
)
TIDY_SECONDS = 20.0  # pip removes half a gigabyte of sources
LINE_SECONDS = 10.0  # between two lines where no terminal could show a moving one

_REASONS = (
    ("No space left on device|Errno 28", "the disk is full"),
    (
        "Temporary failure in name|getaddrinfo failed|NewConnectionError|ProxyError|IncompleteRead"
        "|Connection(?:Reset|Aborted)Error|(?:Connect|Read)Timeout|nodename nor servname",
        "the download failed (is there a network?)",
    ),
    ("Failed building wheel for|Failed to build", "it could not be compiled"),
)


class PhaseError(Exception):
    """A phase could not be done; its text is a sentence with the way out."""


def run(what: str, command: Sequence[str], log: Path) -> None:
    """Append the output to the log; show its last line and the time. Raises `PhaseError`.

    The command and all it starts end with this call, however it ends. Should this very process be
    killed, the command goes on alone, and holds the inheritable files (the lock) until it is done.
    """
    # With SOURCE_DATE_EPOCH set, llama.cpp builds without AVX: correct, and several times slower.
    env = {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}
    with log.open("ab") as output:
        output.write(f"\n$ {' '.join(command)}\n".encode("utf-8", "replace"))
        output.flush()
        start = output.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            close_fds=False,
            start_new_session=True,
        )
    line = _Line(what, log, start)
    try:
        _watch(process, line)
    except BaseException:
        line.end("stopped")
        print("  Tidying up ...", flush=True)
        _end(process)
        raise
    line.end("failed" if process.returncode else "done")
    if process.returncode:
        raise PhaseError(_failure(what, log, start))


def _watch(process: "subprocess.Popen[bytes]", line: "_Line") -> None:
    while process.poll() is None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.2)
        line.move()


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the phase with all it started, compilers included; pip may tidy up first."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/T", "/F", "/PID", str(process.pid)], capture_output=True)
    else:
        for ending in (signal.SIGINT, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, ending)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=TIDY_SECONDS)
    process.wait()


class _Line:
    """A phase on the terminal: one line that moves, or without a terminal one every ten seconds."""

    def __init__(self, what: str, log: Path, start: int) -> None:
        self._what, self._log, self._start = what, log, start
        self._began = self._said_at = time.monotonic()
        self._turn = 0
        self._is_terminal = bool(sys.stdout and sys.stdout.isatty())
        if not self._is_terminal:
            print(f"  {what} ...", flush=True)

    def move(self) -> None:
        if self._is_terminal:
            self._turn += 1
            self._draw(f"{'|/-~'[self._turn % 4]} {self._what} {self._clock()} {self._newest()}")
        elif time.monotonic() - self._said_at >= LINE_SECONDS:
            self._said_at = time.monotonic()
            print(f"    {self._clock()} {self._newest()[:100]}", flush=True)

    def end(self, how: str) -> None:
        ending = f"  {self._what}: {how} after {self._clock()}"
        if self._is_terminal:
            self._draw(ending)
            print(flush=True)
        else:
            print(ending, flush=True)

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        print("\r" + text[:width].ljust(width), end="", flush=True)

    def _clock(self) -> str:
        minutes, seconds = divmod(int(time.monotonic() - self._began), 60)
        return f"{minutes}:{seconds:02}"

    def _newest(self) -> str:
        """What the command said last, without its warnings: while compiling, `[7/193] x.cpp`."""
        text = _text(self._log, self._start, newest=8000)
        steps = re.findall(r"^\s*(\[\d+/\d+\]) .*?([^/\s]+)$", text, re.MULTILINE)
        if steps:
            return " ".join(steps[-1])
        lines = [line.strip() for line in text.splitlines()]
        said = [line for line in lines if line and not line.startswith(_NOISE)]
        return said[-1].partition(" (from ")[0] if said else ""


def _text(log: Path, start: int, newest: int = sys.maxsize) -> str:
    """What the phase has written, or the last bytes of it."""
    with log.open("rb") as file:
        file.seek(max(start, file.seek(0, os.SEEK_END) - newest))
        return file.read().decode("utf-8", "replace")


def _failure(what: str, log: Path, start: int) -> str:
    text = _text(log, start)
    errors = [line.strip() for line in text.splitlines() if line.startswith(("ERROR:", "error:"))]
    last = errors[-1] if errors else "it ended with an error"
    reason = next((why for pattern, why in _REASONS if re.search(pattern, text)), last)
    return f"{what} failed: {reason}. Details: {log}. Then run the same command again."
