"""All that the window knows and can do, without a widget. One thread, the window's, calls it."""

import dataclasses
import time

from bot.config import UserError
from bot.logs import LogLine, Progress
from bot_controller import State
from gui import snapshot
from gui.chores import ADD_SERVER, BACKUP, EXCLUDE, PACK
from gui.errands import Errands
from gui.first_run import mending
from gui.log_files import LogFiles
from gui.log_store import LogStore
from gui.notifications import Facts
from gui.pipeline import FETCH, Action, Pipeline, StepView
from gui.preferences import Preferences
from gui.rounds import Rounds
from gui.server import Server, later_if_locked
from gui.session import Session, Way, further
from gui.setup import Setup
from gui.snapshot import Snapshot
from storage import database, people
from storage.people import Exclusion

MEMORY_SECONDS = 2.0
LOST_SECONDS = 5.0
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
    """Ticks everything that moves, and sums it up in a `Snapshot`.

    Of several servers one is shown and acted upon; errands and chores are seen to in all of them.
    """

    def __init__(self, way: Way, waits: bool = False) -> None:
        """`waits`: nothing happens until `start` or `begin`."""
        self.preferences = Preferences()  # may be changed at any time
        self.log = LogStore()
        self.setup = Setup(way.prepare, way.steps)
        self.pipeline = Pipeline()
        self.is_closing = False
        self._files: LogFiles | None = None
        self._servers: list[Server] = []
        self._here: Server | None = None
        self._errands = Errands(self._servers, self.pipeline)
        self._memory_mb = 0.0
        self._loading = ""
        self._dropped = 0
        self._is_adding = False
        self._rounds = Rounds()
        self._said: list[LogLine] = []
        if not waits:
            self.setup.start()

    @property
    def session(self) -> Session | None:
        """The bot on the server that is shown; None while there is no bot."""
        return self._here.session if self._here else None

    @property
    def place(self) -> int:
        """Where the server that is shown stands among the others; the first is that of `.env`."""
        return self._servers.index(self._here) if self._here else 0

    def look_at(self, place: int) -> None:
        """Show another one of the servers, and act upon that."""
        self._here = self._servers[place]

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
        if self._here:
            self._here.change(name, value)

    def needs_permission(self, action: Action) -> bool:
        """Whether a person must first confirm that the messages may be used."""
        if action is not FETCH or self._here is None:
            return False
        return not database.has_permission(self._here.connection)

    def run_step(self, action: Action, *arguments: str, is_permitted: bool = False) -> None:
        """Run a script of the pipeline, unless one is running."""
        if self._here:
            given = ["--i-have-permission"] if is_permitted else []
            self.pipeline.start(action, self._here.session, [*arguments, *given])

    @property
    def can_run_steps(self) -> bool:
        """Whether there is a bot, and no step runs."""
        is_busy = self.pipeline.is_running or self._errands.is_busy or self.is_closing
        return self._here is not None and not is_busy

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
        if self.session:
            self.run_step(PACK, "--diagnostics", str(self.session.data_dir / "diagnostics.zip"))

    def exclude(self, user_id: int) -> None:
        """Erase a person, who is never learned from again."""
        self.run_step(EXCLUDE, str(user_id))

    def include(self, user_id: int) -> None:
        """Take a person off the exclusion list."""
        if self._here:
            people.include(self._here.connection, user_id)

    def exclusions(self) -> list[Exclusion]:
        """Who is excluded."""
        return people.exclusions(self._here.connection) if self._here else []

    def add_server(self, server_id: int) -> None:
        """Have the bot live on one more server, from its next start."""
        if self.can_run_steps:
            self._is_adding = True
            self.pipeline.start(ADD_SERVER, self._servers[0].session, [str(server_id)])

    def servers(self) -> list[tuple[int, str]]:
        """The ids and names of all servers."""
        return [(one.session.server_id, one.name) for one in self._servers]

    def cancel_step(self) -> None:
        """Have the running script stop."""
        self.pipeline.cancel()

    def say(self, level: str, text: str) -> None:
        """Add a line of the window's own to the log."""
        self._said.append(LogLine(_utc(time.time()), level, "window", text))

    def close(self) -> None:
        """Have everything end; go on ticking until `is_quiet`."""
        self.is_closing = True
        for server in self._servers:
            server.hurry()
        self.setup.cancel()
        self.cancel_step()
        self.stop()

    @property
    def is_quiet(self) -> bool:
        """Whether nothing that was started runs any more."""
        is_busy = self.setup.is_running or self.pipeline.is_running
        if self.session and self.session.controller.state is not State.STOPPED:
            return False
        return not is_busy

    def end(self) -> None:
        """End by force whatever still runs."""
        self.force_stop()
        self.pipeline.kill()
        session = self._servers[0].session if self._servers else self.setup.session
        if session:
            session.close()
        if self._files:
            self._files.close()
        for server in self._servers:
            server.connection.close()

    def tick(self, now: float) -> list[LogLine]:
        """Do what is due at `now` (seconds since 1970); gives back the new log lines."""
        lines = self.setup.take()
        if self.setup.session and not self.session and not self.is_closing:
            self._open(self.setup.session)
        if self.session:
            self.session.controller.tick(now)
            lines += self._bot_lines(self.session, now)
            lines += self.pipeline.tick(now)
            self._run_errands(now)
            self._read(self.session, now)
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
        here = self._here
        if here is None:
            return snapshot.without_a_bot(self.setup)
        controller, figures = here.session.controller, here.stats
        state = controller.state
        since, reply = controller.running_since, figures.last_reply_at
        is_up = state in (State.STARTING, State.RUNNING)
        is_alive = is_up or state is State.STOPPING
        beat = controller.heartbeat if here is self._servers[0] else here.beat
        return Snapshot(
            word=state.value,
            tone=_TONES[state],
            reason=controller.reason or self._remark(state),
            facts=snapshot.facts(
                None if since is None else now - since,
                self._memory_mb if is_alive else 0.0,
                beat.model if beat and since else "",
                None if reply is None else now - reply,
            ),
            can_start=not is_alive and not self.is_closing,
            can_stop=is_up or state is State.BACKOFF,
            can_restart=is_up,
            can_force_stop=is_alive,
            can_run_steps=self.can_run_steps,
            settings=here.settings,
            day=snapshot.day_rows(figures, self.log.errors(now)),
            week=snapshot.week_rows(figures),
            step=self._step_view(),
            chat_url=here.session.chat_url,
            mend="" if here.session.chat_url else mending.place_for(controller.reason),
            servers=tuple(one.name for one in self._servers),
            server=self.place,
        )

    def _step_view(self) -> StepView:
        """The step, and for which server it is, unless for the one that is shown."""
        view = self.pipeline.view
        for one in self._servers:
            if one is not self._here and one.session is self.pipeline.session:
                return dataclasses.replace(view, title=f"{view.title} ({one.name})")
        return view

    def _remark(self, state: State) -> str:
        """What to say of a state in which nothing is wrong."""
        if state is State.STARTING:
            return self._loading
        is_told = self._here and self._here.is_shadow and state is State.RUNNING
        return "Listening only (shadow): nothing is sent." if is_told else ""

    def facts(self) -> Facts | None:
        """What may be worth a notification; None while there is no bot."""
        if not self.session:
            return None
        controller = self.session.controller
        told = [one.take_milestone() for one in self._servers]
        reached = max(filter(None, told), default=None)
        return Facts(controller.state, controller.reason, self.pipeline.view, reached)

    def _open(self, session: Session) -> None:
        try:
            self._servers += [Server(one) for one in (session, *session.others)]
        except UserError as error:
            self.setup.session, self.setup.error = None, str(error)
            return
        self._here = self._servers[0]
        self._files = LogFiles(session.data_dir / "logs", self.preferences.keep_logs_days)
        if session.starts_at_once:
            session.controller.start()

    def _bot_lines(self, session: Session, now: float) -> list[LogLine]:
        output, lines = session.controller.output, []
        for event in output.take():
            if isinstance(event, Progress):
                self._loading = f"{event.step} {event.note}".strip()
            else:
                lines.append(event)
        if output.dropped > self._dropped and self._rounds.is_due("lost", LOST_SECONDS, now):
            count, self._dropped = output.dropped - self._dropped, output.dropped
            self.say("WARNING", f"{count:,} log lines came too fast to be shown")
        return lines

    def _read(self, session: Session, now: float) -> None:
        child = session.controller.child
        if child and self._rounds.is_due("memory", MEMORY_SECONDS, now):
            self._memory_mb = child.memory_mb()
        for server in self._servers:
            server.tick(now, is_shown=server is self._here)
        if self._is_adding and not self.pipeline.is_running:
            self._is_adding = False
            self._welcome()

    def _welcome(self) -> None:
        """Look after a server that was added, too."""
        known = {one.session.env_path for one in self._servers}
        try:
            new = [one for one in further(self._servers[0].session) if one.env_path not in known]
            self._servers += map(Server, new)
        except UserError as error:
            self.say("ERROR", str(error))

    def _run_errands(self, now: float) -> None:
        """Look after what admins asked for in Discord."""
        if self._errands.is_busy or self._rounds.is_due("errands", ERRAND_SECONDS, now):
            with later_if_locked():
                self._errands.tick(now, self.is_closing)

    def _see_to_chores(self, now: float) -> None:
        for server in self._servers:
            if self.can_run_steps and (due := server.chores.due(self.preferences, now)):
                action, arguments = due
                self.pipeline.start(action, server.session, arguments)


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds))
