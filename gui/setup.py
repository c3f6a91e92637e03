"""Getting to a `Session`, in a thread, while the window is already there to show how far it is."""

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence

from bot.config import UserError
from bot.logs import LogLine, Progress
from child_process import Output
from gui.session import Prepare, Session

log = logging.getLogger(__name__)


class Cancelled(Exception):
    """Raised inside `prepare` by its next report once the window is closed."""


@dataclasses.dataclass(frozen=True)
class SetupView:
    """The steps by name, which one is on, and how far it is (`fraction` None: unknown)."""

    steps: tuple[str, ...]
    current: int
    fraction: float | None
    seconds_left: float | None
    note: str


class Setup:
    """Runs `prepare` in a thread. Look at `session`, `error` and `is_running` after `take`.

    A `Progress` whose `step` is one of `steps` says that this step is on.
    """

    def __init__(self, prepare: Prepare, steps: Sequence[str] = ()) -> None:
        self.session: Session | None = None
        self.error = ""
        self._prepare, self._steps = prepare, tuple(steps)
        self._progress: Progress | None = None
        self._output = Output()
        self._thread: threading.Thread | None = None
        self._is_cancelled = False

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def start(self) -> None:
        """Prepare, or try again; nothing happens while it is at it or done."""
        if self.is_running or self.session:
            return
        self.error, self._progress = "", None
        self._thread = threading.Thread(target=self._run, name="setup", daemon=True)
        self._thread.start()

    def cancel(self) -> None:
        """Have it end at its next report."""
        self._is_cancelled = True

    def take(self) -> list[LogLine]:
        """The lines that came since the last call."""
        lines = []
        for event in self._output.take():
            if isinstance(event, Progress):
                self._progress = event
            else:
                lines.append(event)
        return lines

    def view(self) -> SetupView | None:
        """How far it is; None when there is nothing to wait for."""
        if self.session or not self._steps:
            return None
        progress = self._progress
        if progress is None or progress.step not in self._steps:
            return SetupView(self._steps, 0, None, None, progress.note if progress else "")
        current = self._steps.index(progress.step)
        fraction = min(1.0, progress.done / progress.total) if progress.total else None
        return SetupView(self._steps, current, fraction, progress.seconds_left, progress.note)

    def _run(self) -> None:
        try:
            self.session = self._prepare(self._report)
        except Cancelled:
            return
        except UserError as error:
            self._fail(str(error))
        except Exception as error:  # whatever it is, the window stays and shows it
            log.exception("preparing failed")
            self._fail(f"{type(error).__name__}: {error}. Press Retry; the log may say more.")

    def _fail(self, reason: str) -> None:
        self.error = reason
        self._output.say("ERROR", reason, time.time())

    def _report(self, event: LogLine | Progress) -> None:
        if self._is_cancelled:
            raise Cancelled
        self._output.put(event)
