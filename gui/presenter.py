"""All that the window knows and can do, without a widget. One thread, the window's, calls it."""

import dataclasses
import logging
import sqlite3
import time
from typing import Any

from bot.config import UserError
from bot.logs import LogLine, Progress
from bot_controller import State
from gui import snapshot
from gui.chores import BACKUP, EXCLUDE, PACK, Chores
from gui.errands import Errands
from gui.first_run import mending
from gui.log_files import LogFiles
from gui.log_store import LogStore
from gui.notifications import Facts
from gui.pipeline import FETCH, Action, Pipeline
from gui.preferences import Preferences
from gui.session import Session, Way
from gui.setup import Setup
from gui.snapshot import Snapshot
from storage import database, milestones, people, shadow
from storage.database import Settings
from storage.people import Exclusion
from storage.stats import Stats, stats

log = logging.getLogger(__name__)

DEBOUNCE_SECONDS = 0.3
SETTINGS_SECONDS = 1.0
MEMORY_SECONDS = 2.0
STATS_SECONDS = 5.0
ERRAND_SECONDS = 0.5
_TONES = {
    State.RUNNING: "good",
    State.STARTING: "busy",
    State.STOPPING: "busy",
    State.BACKOFF: "bad",
    State.FAILED: "bad",
    State.STOPPED: "idle",
}


class Presenter:
    """Ticks everything that moves, and sums it up in a `Snapshot`."""

    def __init__(self, way: Way, waits: bool = False) -> None:
        """`waits`: nothing happens until `start` or `begin`."""
        self.preferences = Preferences()  # may be changed at any time
        self.log = LogStore()
        self.setup = Setup(way.prepare, way.steps)
        self.session: Session | None = None
        self.pipeline: Pipeline | None = None
        self.is_closing = False
        self._files: LogFiles | None = None
        self._chores: Chores | None = None
        self._errands: Errands | None = None
        self._connection: sqlite3.Connection | None = None
        self._settings, self._stats = Settings(), Stats()
        self._is_shadow = False
        self._pending: dict[str, Any] = {}
        self._write_at = 0.0
        self._memory_mb = 0.0
        self._loading = ""
        self._dropped = 0
        self._reached: int | None = None  # a milestone that nobody was told of
        self._due: dict[str, float] = {}
        self._said: list[LogLine] = []
        if not waits:
            self.setup.start()

    def start(self) -> None:
        """Start the bot, or try again to get one."""
        if self.session:
            self.session.controller.start()
        else:
            self.setup.start()

    def begin(self, way: Way) -> None:
        """Go another way to a bot than was said at first."""
        self.setup = Setup(way.prepare, way.steps)
        self.setup.start()

    def stop(self) -> None:
        """Let the bot finish its reply and end it."""
        if self.session:
            self.session.controller.stop()

    def restart(self) -> None:
        """Stop the bot and start it."""
        if self.session:
            self.session.controller.restart()

    def force_stop(self) -> None:
        """End the bot at once."""
        if self.session:
            self.session.controller.force_stop()

    def change(self, name: str, value: float) -> None:
        """Keep a setting, once it has not been changed again for a moment."""
        self._pending[name] = value
        self._write_at = time.monotonic() + DEBOUNCE_SECONDS

    def needs_permission(self, action: Action) -> bool:
        """Whether a person must first confirm that the messages may be used."""
        if action is not FETCH or self._connection is None:
            return False
        return not database.has_permission(self._connection)

    def run_step(self, action: Action, is_permitted: bool = False) -> None:
        """Run a script of the pipeline, unless one is running."""
        if self.pipeline:
            self.pipeline.start(action, ["--i-have-permission"] if is_permitted else [])

    @property
    def can_run_steps(self) -> bool:
        """Whether there is a bot, and no step runs."""
        return bool(self.pipeline and not self.pipeline.is_running and not self.is_closing)

    @property
    def is_bot_up(self) -> bool:
        """Whether the bot runs or is about to."""
        up = (State.STARTING, State.RUNNING, State.BACKOFF)
        return bool(self.session and self.session.controller.state in up)

    def back_up(self) -> None:
        """Make a backup now."""
        self.run_step(BACKUP)

    def pack_diagnostics(self) -> None:
        """Write what helps somebody to help, into the data folder."""
        if self.session and self.pipeline:
            path = self.session.data_dir / "diagnostics.zip"
            self.pipeline.start(PACK, ["--diagnostics", str(path)])

    def exclude(self, user_id: int) -> None:
        """Erase a person, who is never learned from again."""
        if self.pipeline:
            self.pipeline.start(EXCLUDE, [str(user_id)])

    def include(self, user_id: int) -> None:
        """Take a person off the exclusion list."""
        if self._connection:
            people.include(self._connection, user_id)

    def exclusions(self) -> list[Exclusion]:
        """Who is excluded."""
        return people.exclusions(self._connection) if self._connection else []

    def cancel_step(self) -> None:
        """Have the running script stop."""
        if self.pipeline:
            self.pipeline.cancel()

    def say(self, level: str, text: str) -> None:
        """Add a line of the window's own to the log."""
        self._said.append(LogLine(_utc(time.time()), level, "window", text))

    def close(self) -> None:
        """Have everything end; go on ticking until `is_quiet`."""
        self.is_closing = True
        self._write_at = 0.0
        self.setup.cancel()
        self.cancel_step()
        self.stop()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that was started runs any more."""
        is_busy = self.setup.is_running or (self.pipeline and self.pipeline.is_running)
        if self.session and self.session.controller.state is not State.STOPPED:
            return False
        return not is_busy

    def end(self) -> None:
        """End by force whatever still runs."""
        self.force_stop()
        if self.pipeline:
            self.pipeline.kill()
        if session := self.session or self.setup.session:
            session.close()
        if self._files:
            self._files.close()
        if self._connection:
            self._connection.close()

    def tick(self, now: float) -> list[LogLine]:
        """Do what is due at `now` (seconds since 1970); gives back the new log lines."""
        lines = self.setup.take()
        if self.setup.session and not self.session and not self.is_closing:
            self._open(self.setup.session)
        if self.session and self.pipeline:
            self.session.controller.tick(now)
            lines += self._bot_lines(self.session, now)
            lines += self.pipeline.tick(now)
            self._run_errands(now)
            self._read(now)
            self._see_to_chores(now)
        lines += self._said
        self._said = []
        self.log.add(lines, now)
        if self._files:
            self._files.keep_days = self.preferences.keep_logs_days
            self._files.put(lines)
        return lines

    def snapshot(self, now: float) -> Snapshot:
        """What to show at `now`."""
        if not self.session or not self.pipeline:
            return self._snapshot_of_setup()
        controller, figures = self.session.controller, self._stats
        state = controller.state
        since, reply = controller.running_since, figures.last_reply_at
        is_up = state in (State.STARTING, State.RUNNING)
        is_alive = is_up or state is State.STOPPING
        model = controller.heartbeat.model if controller.heartbeat and since else ""
        return Snapshot(
            word=state.value,
            tone=_TONES[state],
            reason=controller.reason or self._remark(state),
            facts=snapshot.facts(
                None if since is None else now - since,
                self._memory_mb if is_alive else 0.0,
                model,
                None if reply is None else now - reply,
            ),
            can_start=not is_alive and not self.is_closing,
            can_stop=is_up or state is State.BACKOFF,
            can_restart=is_up,
            can_force_stop=is_alive,
            can_run_steps=self.can_run_steps,
            settings=dataclasses.replace(self._settings, **self._pending),
            day=snapshot.day_rows(figures, self.log.errors(now)),
            week=snapshot.week_rows(figures),
            step=self.pipeline.view,
            chat_url=self.session.chat_url,
            mend="" if self.session.chat_url else mending.place_for(controller.reason),
        )

    def _remark(self, state: State) -> str:
        """What to say of a state in which nothing is wrong."""
        if state is State.STARTING:
            return self._loading
        is_told = self._is_shadow and state is State.RUNNING
        return "Listening only (shadow): nothing is sent." if is_told else ""

    def facts(self) -> Facts | None:
        """What may be worth a notification; None while there is no bot."""
        if not self.session or not self.pipeline:
            return None
        controller = self.session.controller
        reached, self._reached = self._reached, None
        return Facts(controller.state, controller.reason, self.pipeline.view, reached)

    def _snapshot_of_setup(self) -> Snapshot:
        view, error = self.setup.view(), self.setup.error
        return Snapshot(
            word="Not set up" if error else "Setting up",
            tone="bad" if error else "busy",
            reason=error,
            facts=snapshot.facts(None, 0.0, "", None),
            start_text="Retry" if error else "Start",
            can_start=bool(error) and not self.setup.is_running,
            day=snapshot.day_rows(Stats(), 0),
            week=snapshot.week_rows(Stats()),
            setup=view,
            mend=mending.place_for(error),
        )

    def _open(self, session: Session) -> None:
        try:
            self._connection = database.connect(session.database_path)
        except UserError as error:
            self.setup.session, self.setup.error = None, str(error)
            return
        self._connection.execute("PRAGMA busy_timeout = 100")  # a window waits for nobody
        self.session = session
        self._files = LogFiles(session.data_dir / "logs", self.preferences.keep_logs_days)
        self._chores = Chores(session.data_dir, time.time())
        self.pipeline = Pipeline(session.python, session.env_path, session.scripts)
        self._errands = Errands(self._connection, self.pipeline)
        if session.starts_at_once:
            session.controller.start()

    def _bot_lines(self, session: Session, now: float) -> list[LogLine]:
        output, lines = session.controller.output, []
        for event in output.take():
            if isinstance(event, Progress):
                self._loading = f"{event.step} {event.note}".strip()
            else:
                lines.append(event)
        if output.dropped > self._dropped and self._is_due("dropped", STATS_SECONDS, now):
            count, self._dropped = output.dropped - self._dropped, output.dropped
            self.say("WARNING", f"{count:,} log lines came too fast to be shown")
        return lines

    def _read(self, now: float) -> None:
        """Look at what others changed in the database; leave it for later while it is locked."""
        assert self._connection and self.session
        child = self.session.controller.child
        if child and self._is_due("memory", MEMORY_SECONDS, now):
            self._memory_mb = child.memory_mb()
        try:
            if self._pending and time.monotonic() >= self._write_at:
                self._write(self._connection)
            if self._is_due("settings", SETTINGS_SECONDS, now):
                self._settings = database.settings(self._connection)
                self._is_shadow = shadow.is_on(self._connection)
            if self._is_due("stats", STATS_SECONDS, now):
                self._stats = stats(self._connection, now)
                self._reached = milestones.take(self._connection) or self._reached
        except sqlite3.OperationalError as error:
            log.warning("the database is busy: %s", error)

    def _run_errands(self, now: float) -> None:
        """Look after what admins asked for in Discord; later, while the database is locked."""
        assert self._errands
        if self._errands.is_busy or self._is_due("errands", ERRAND_SECONDS, now):
            try:
                self._errands.tick(now, self.is_closing)
            except sqlite3.OperationalError as error:
                log.warning("the database is busy: %s", error)

    def _see_to_chores(self, now: float) -> None:
        assert self._chores and self.pipeline
        if self.can_run_steps and (due := self._chores.due(self.preferences, now)):
            self.pipeline.start(*due)

    def _write(self, connection: sqlite3.Connection) -> None:
        for name, value in list(self._pending.items()):
            database.change_setting(connection, name, value)
            del self._pending[name]
        self._settings = database.settings(connection)

    def _is_due(self, name: str, every_seconds: float, now: float) -> bool:
        if 0 <= now - self._due.get(name, float("-inf")) < every_seconds:
            return False
        self._due[name] = now
        return True


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
