"""The launcher's side of the tray icon: keeps the helper process and says what it should show.

Without Tk. The icon itself is `gui/tray_process.py`, a process that ends when this one does.
"""

import contextlib
import dataclasses
import json
import logging
import os
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from typing import Any

from bot.config import ROOT
from gui.snapshot import Snapshot

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-m", "gui.tray_process")
TOGGLE, START, STOP, QUIT = CHOICES = ("toggle", "start", "stop", "quit")
RESTARTS = 3
LINE_BYTES = 4096

_STATES = {"good": "running", "busy": "busy", "bad": "error", "idle": "stopped"}
_FIGURES = ("Responses sent", "Average response", "Errors")


@dataclasses.dataclass(frozen=True)
class TrayView:
    """What the icon shows. `can` are the choices that may be taken."""

    state: str = "stopped"
    tooltip: str = ""
    labels: tuple[tuple[str, str], ...] = ()
    can: tuple[str, ...] = ()

    def line(self) -> bytes:
        """What is written to the helper."""
        fields = {**dataclasses.asdict(self), "labels": dict(self.labels)}
        return json.dumps(fields).encode() + b"\n"


def view(snapshot: Snapshot, is_window_shown: bool) -> TrayView:
    """The icon for a moment of the window."""
    figures = [f"{name}: {value}" for name, value in snapshot.day if name in _FIGURES]
    may = {TOGGLE: True, START: snapshot.can_start, STOP: snapshot.can_stop, QUIT: True}
    labels = (
        (TOGGLE, "Hide window" if is_window_shown else "Show window"),
        (START, "Start bot" if snapshot.start_text == "Start" else snapshot.start_text),
        (STOP, "Stop bot"),
        (QUIT, "Quit"),
    )
    return TrayView(
        _STATES[snapshot.tone],
        "\n".join([f"Personality bot: {snapshot.word}", *figures]),
        labels,
        tuple(choice for choice in CHOICES if may[choice]),
    )


class SystemTray:
    """Call `show` and `tick` with every beat, `close` at the end."""

    def __init__(self, command: Sequence[str] = COMMAND) -> None:
        self.is_there = False
        self.reason = ""
        self._command = command
        self._heard: deque[dict[str, Any]] = deque(maxlen=100)
        self._process: subprocess.Popen[bytes] | None = None
        self._restarts_left = RESTARTS
        self._wanted = TrayView()
        self._sent: TrayView | None = None
        self._is_listening = False
        self._is_closed = False
        self._start()

    def show(self, wanted: TrayView) -> None:
        """Have the icon show this, as soon as it has shown what it was told before."""
        self._wanted = wanted
        # one line is under way at most, so that no pipe is ever full and nobody waits
        if self._is_listening and self._sent != wanted:
            self._is_listening = False
            self._sent = wanted
            self._write(wanted.line())

    def tick(self) -> list[str]:
        """What was chosen in the menu since the last call: some of `CHOICES`."""
        chosen = []
        while self._heard:
            message = self._heard.popleft()
            event = message.get("event")
            if event in CHOICES:
                chosen.append(str(event))
            else:
                self._note(event, message)
        self.show(self._wanted)
        return chosen

    def close(self) -> None:
        """Take the icon away; does not wait for it."""
        self._is_closed = True
        self.is_there = self._is_listening = False
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def _note(self, event: object, message: dict[str, Any]) -> None:
        if event == "hello":
            self.is_there = bool(message.get("menu"))
            self.reason = "" if self.is_there else "The tray here shows no menu."
            self._is_listening = True
        elif event == "shown":
            self._is_listening = True
        elif event == "absent":
            self._restarts_left = 0
            self.reason = str(message.get("reason", ""))[:300]
            log.info("no tray icon: %s", self.reason)
        elif event == "ended":
            self._start_again()

    def _start_again(self) -> None:
        self.is_there = self._is_listening = False
        self._sent = None
        if self._is_closed:
            return
        if self._restarts_left:
            self._restarts_left -= 1
            self._start()
        elif not self.reason:
            self.reason = "The tray icon's process ended several times."
            log.warning("no tray icon: its process ended %d times", RESTARTS + 1)

    def _start(self) -> None:
        threading.Thread(target=self._listen, name="tray", daemon=True).start()

    def _listen(self) -> None:
        """Run the helper to its end. In a thread: starting a process may take a while."""
        try:
            self._process = process = _spawn(self._command)
        except OSError as error:
            self._heard.append({"event": "absent", "reason": str(error)})
            return
        if self._is_closed:
            self.close()
        assert process.stdout is not None
        with process.stdout as stream:
            while line := stream.readline(LINE_BYTES):
                self._heard.append(_parse(line))
        process.wait()
        self._heard.append({"event": "ended"})

    def _write(self, line: bytes) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(OSError, ValueError):  # it is gone: `tick` will hear of it
                self._process.stdin.write(line)


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _spawn(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    no_window = getattr(subprocess, "CREATE_NO_WINDOW", 0)  # Windows only
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        cwd=ROOT,
        env={**os.environ, "PYTHONUTF8": "1"},
        creationflags=no_window,
        start_new_session=True,  # Ctrl+C in our terminal is ours alone
    )
