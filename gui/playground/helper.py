"""The window's side of `bot/playground.py`: starts it when it is needed, asks, and hears.

Nothing here waits: a thread reads what the process says, another writes what it is asked.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot import tether
from bot.config import ROOT

ENDED = "ended"  # the key of the last answer of a process; its value is the exit code
CLOSE_SECONDS = 1.0

Answer = dict[str, Any]


def command(env_path: Path | None) -> list[str]:
    """How the process is started."""
    env = ["--env", str(env_path)] if env_path else []
    return [sys.executable, "-m", "bot.playground", *env]


class Helper:
    """One process after another: each call starts a new one if the last has ended."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None
        self._calls: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._heard: deque[tuple[subprocess.Popen[bytes], Answer]] = deque()

    def ask(self, call: Answer) -> None:
        """Send a call. Raises `OSError` if the process cannot be started.

        To be called from a thread that stays: on Linux the process ends with it.
        """
        if self._process is None:
            self._start()
        self._calls.put(json.dumps(call).encode() + b"\n")

    def take(self) -> list[Answer]:
        """What was answered since the last time."""
        heard = [self._heard.popleft() for _ in range(len(self._heard))]
        taken = [answer for process, answer in heard if process is self._process]
        if any(ENDED in answer for answer in taken):
            self._process = None
        return taken

    def close(self) -> None:
        """End the process, and with it the models' workers."""
        process, self._process = self._process, None
        if process is None:
            return
        self._calls.put(None)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(CLOSE_SECONDS)
        process.kill()

    def _start(self) -> None:
        self._process = process = subprocess.Popen(
            tether.command(self._command),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1"},
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            start_new_session=True,  # Ctrl+C in our terminal is ours alone
        )
        tether.bind(process.pid)
        self._calls = queue.SimpleQueue()
        for work in (self._listen, self._write):
            threading.Thread(target=work, args=(process, self._calls), daemon=True).start()

    def _listen(
        self, process: "subprocess.Popen[bytes]", calls: "queue.SimpleQueue[bytes | None]"
    ) -> None:
        assert process.stdout
        with process.stdout as stream:
            for line in stream:
                if answer := _parse(line):
                    self._heard.append((process, answer))
        code = process.wait()
        calls.put(None)
        self._heard.append((process, {ENDED: code}))

    def _write(
        self, process: "subprocess.Popen[bytes]", calls: "queue.SimpleQueue[bytes | None]"
    ) -> None:
        assert process.stdin
        with contextlib.suppress(OSError), process.stdin as stream:  # gone: `take` will tell
            while line := calls.get():
                stream.write(line)
                stream.flush()


def _parse(line: bytes) -> Answer:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}
