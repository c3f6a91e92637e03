"""The supervisor: keeps the bot's process running while it is wanted."""

import contextlib
import enum
import sqlite3
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path

from bot.config import NEEDS_A_PERSON, RESTART_ME, ROOT, UserError
from child_process import Child, Output
from memory_watch import MemoryWatch, Verdict
from start_budget import StartBudget
from storage import database
from storage.database import Heartbeat

START_SECONDS = 180.0  # a laptop may need this long to read a big model from a cold disk
HANG_SECONDS = 20.0
AWAY_SECONDS = 5.0
STOP_SECONDS = 3.0
HEALTHY_SECONDS = 60.0
LONGEST_DELAY_SECONDS = 300.0


class State(enum.Enum):
    """Where the bot's life stands; the value is the word to show."""

    STOPPED = "Stopped"
    STARTING = "Starting"
    RUNNING = "Running"
    STOPPING = "Stopping"
    BACKOFF = "Waiting to restart"
    FAILED = "Failed"


class BotController:
    """Keeps the bot running while it is wanted. Call `tick` a few times a second, in one thread.

    The buttons only say what is wanted, so that any number of clicks in any order is harmless;
    `tick` makes it so. `reason` is a sentence about BACKOFF, FAILED, and a memory that is too
    full; otherwise "".
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        read_heartbeat: Callable[[], Heartbeat | None],
        count_logins: Callable[[], int] = lambda: 1,
        spawns_path: Path,
        memory: MemoryWatch | None = None,
        cwd: Path = ROOT,
    ) -> None:
        self.state = State.STOPPED
        self.reason = ""
        self.output = Output()
        self.child: Child | None = None
        self.heartbeat: Heartbeat | None = None
        self.running_since: float | None = None
        self._command, self._cwd = command, cwd
        self._read_heartbeat, self._count_logins = read_heartbeat, count_logins
        self._budget = StartBudget(spawns_path)
        self._memory = memory or MemoryWatch()
        self._is_wanted = self._is_restart = False
        self._failures = 0
        self._accusation = ""
        self._retry_at = self._deadline = self._heard_at = self._ticked_at = 0.0

    def start(self) -> None:
        """Have the bot run; after a failure, try again now."""
        self._is_wanted = True
        self._retry_at = 0.0
        if self.state is State.FAILED:
            self._failures = 0
            self._enter(State.STOPPED)

    def stop(self) -> None:
        """Let the bot finish the reply it is in the middle of, and end it."""
        self._is_wanted = self._is_restart = False

    def restart(self) -> None:
        """Stop it, where it runs, and start it."""
        self._is_restart = self.state in _ALIVE
        self.start()

    def force_stop(self) -> None:
        """End the bot and everything it started at once."""
        self.stop()
        if self.child:
            self.child.kill_tree()

    def tick(self, now: float) -> None:
        """Make every move that is due at `now` (seconds since 1970)."""
        self._notice_sleep(now)
        if self.state in _ALIVE and self.child:
            code = self.child.exit_code()
            if code is not None:
                self._ended(self.child, code, now)
            else:
                self._supervise(self.child, now)
        # BACKOFF, FAILED -> STOPPED: nobody wants it any more
        if not self._is_wanted and self.state in (State.BACKOFF, State.FAILED):
            self._enter(State.STOPPED)
        # STOPPED -> STARTING: it is wanted
        # BACKOFF -> STARTING: it is wanted, and has waited long enough
        is_due = self.state is State.STOPPED or (
            self.state is State.BACKOFF and now >= self._retry_at
        )
        if self._is_wanted and is_due:
            self._spawn(now)

    def _supervise(self, child: Child, now: float) -> None:
        self._listen(child, now)
        # STARTING, RUNNING -> STOPPING: somebody pressed Stop or Restart
        if self.state is not State.STOPPING and (not self._is_wanted or self._is_restart):
            self._enter(State.STOPPING)
            self._deadline = now + STOP_SECONDS
            child.ask_to_finish()
        # STOPPING -> killed: it had its time
        elif self.state is State.STOPPING and now >= self._deadline:
            child.kill_tree()
        # STARTING, RUNNING -> killed: it has not been heard of for too long
        elif now - self._heard_at > self._patience():
            self._accusation = f"gave no sign of life for {self._patience():.0f} s"
            child.kill_tree()

    def _listen(self, child: Child, now: float) -> None:
        heartbeat = self._read_heartbeat()
        if heartbeat is None or heartbeat == self.heartbeat:
            return
        if all(heartbeat.pid != process.pid for process in child.family()):
            return  # an old row, or somebody else's
        self.heartbeat, self._heard_at = heartbeat, now
        # STARTING -> RUNNING: first fresh heartbeat
        if self.state is State.STARTING:
            self._enter(State.RUNNING)
            self.running_since = now
        if self.running_since is not None and now - self.running_since >= HEALTHY_SECONDS:
            self._failures = 0
        if self.state is State.RUNNING:
            self._weigh(heartbeat.memory_mb, now)

    def _weigh(self, memory_mb: float, now: float) -> None:
        was_fine, verdict = not self.reason, self._memory.look(memory_mb, now)
        limit = self._memory.limit_mb
        figures = f"The bot takes {memory_mb:,.0f} MB of memory; its limit is {limit:,.0f} MB."
        self.reason = "" if verdict is Verdict.FINE else figures
        if verdict is Verdict.HIGH and was_fine:
            self.output.say("WARNING", figures, now)
        # RUNNING -> STOPPING -> STARTING: its memory stays too full, and nobody is talking to it
        if verdict is Verdict.RESTART:
            self.output.say("WARNING", f"{figures} It is restarted.", now)
            self._is_restart = True

    def _ended(self, child: Child, code: int, now: float) -> None:
        child.clear_up()
        has_run, self.running_since = self.running_since is not None, None
        # STOPPING -> STOPPED: as asked, whatever the code
        if self.state is State.STOPPING or not self._is_wanted or self._is_restart:
            self._is_restart = False
            self._enter(State.STOPPED)
        # STARTING, RUNNING -> STOPPED: it was asked by another way, such as an admin's command
        elif code == 0:
            self._is_wanted = False
            self._enter(State.STOPPED)
        # STARTING, RUNNING -> FAILED: a person must put something right
        elif code == NEEDS_A_PERSON:
            reason = child.last_error or "The bot cannot run as it is set up; see the log."
            self._enter(State.FAILED, reason)
        # STARTING, RUNNING -> STARTING: it asks for a new process (once; then it must wait)
        elif code == RESTART_ME and (has_run or not self._failures):
            self._failures += not has_run
            self._enter(State.STOPPED)
        # STARTING, RUNNING -> BACKOFF: it crashed or hung
        else:
            self._back_off(self._accusation or f"ended unexpectedly ({_code(code)})", now)

    def _back_off(self, what: str, now: float) -> None:
        delay = min(LONGEST_DELAY_SECONDS, 2.0 ** min(self._failures, 20))
        self._failures += 1
        self._retry_at = now + delay
        self._enter(State.BACKOFF, f"The bot {what}. It starts again in {delay:.0f} s.")
        self.output.say("WARNING", self.reason, now)

    def _spawn(self, now: float) -> None:
        logins = self._count_logins()
        free_at = self._budget.free_at(now, logins)
        if free_at > now:
            self._retry_at = free_at
            self._enter(State.BACKOFF, _too_many(free_at, len(self._budget.starts(now))))
            return
        self.heartbeat = self._read_heartbeat()  # what is there now is not the new child's
        try:
            self._budget.spend(now, logins)
            self.child = Child(self._command, self.output, self._cwd)
        except OSError as error:
            reason = f"The bot cannot be started: {error}. Check that file and its folder."
            self._enter(State.FAILED, reason)
            self.output.say("ERROR", reason, now)
            return
        self._memory.begin()
        self._heard_at = now
        self._enter(State.STARTING)

    def _enter(self, state: State, reason: str = "") -> None:
        self.state, self.reason = state, reason
        if state not in _ALIVE:
            self._accusation = ""

    def _patience(self) -> float:
        return START_SECONDS if self.state is State.STARTING else HANG_SECONDS

    def _notice_sleep(self, now: float) -> None:
        """When the computer slept or its clock was set, silence is nobody's fault."""
        if not 0 <= now - self._ticked_at <= AWAY_SECONDS:
            self._heard_at = now
        # the clock was set back: what was to happen soon still does
        self._deadline = min(self._deadline, now + STOP_SECONDS)
        if self._ticked_at > now:
            self._retry_at = min(self._retry_at, now + LONGEST_DELAY_SECONDS)
            self.running_since = self.running_since and min(self.running_since, now)
        self._ticked_at = now


def heartbeats(database_path: Path, process: str = "bot") -> Callable[[], Heartbeat | None]:
    """A reader of a process's last sign of life for `BotController`; None while it cannot tell."""
    connection: sqlite3.Connection | None = None

    def read() -> Heartbeat | None:
        nonlocal connection
        try:
            if connection is None:
                connection = database.connect(database_path)
                connection.execute("PRAGMA busy_timeout = 200")  # a window waits for nobody
            return database.heartbeat(connection, process)
        except (sqlite3.Error, UserError):
            return None

    return read


def logins(database_path: Path) -> Callable[[], int]:
    """A reader of how many logins the bot's last start was, one for each of its shards."""

    def read() -> int:
        with contextlib.suppress(sqlite3.Error, UserError, ValueError):
            if database_path.exists():
                with contextlib.closing(database.connect(database_path)) as connection:
                    return int(database.recall(connection, "shards") or 1)
        return 1

    return read


_ALIVE = (State.STARTING, State.RUNNING, State.STOPPING)


def _code(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"exit code {code}"


def _too_many(retry_at: float, starts: int) -> str:
    moment = datetime.fromtimestamp(retry_at).strftime("%a %H:%M")
    return (
        f"The bot was started {starts} times within 24 hours. Discord takes the token away "
        f"after too many logins, so the next start is on {moment}; see the log for what ends it."
    )
