"""What admins ask for in Discord, run as the window's own steps: one request at a time."""

from collections.abc import Sequence

from gui.pipeline import DEPLOY, FETCH, TRAINING, Action, Pipeline, StepView
from gui.server import Server, later_if_locked
from gui.snapshot import duration
from storage import database, requests
from storage.requests import DONE, FAILED, RUNNING, Request

SAY_SECONDS = 2.0
_CLOSED = "The launcher was closed before it was done. Ask again."


class Errands:
    """Takes an open request, runs its steps one after the other, and writes how it goes.

    Whatever is open in a server when the launcher starts was asked of another one, and has failed.
    """

    def __init__(self, servers: Sequence[Server], pipeline: Pipeline) -> None:
        """`servers` may grow."""
        self._servers, self._pipeline = servers, pipeline
        self._seen: set[Server] = set()
        self._running: tuple[Server, Request] | None = None
        self._to_do: list[Action] = []
        self._said, self._say_at = "", 0.0

    @property
    def is_busy(self) -> bool:
        return self._running is not None

    def tick(self, now: float, is_closing: bool = False) -> None:
        """Make the next move; while it is busy, right after each tick of the pipeline's."""
        if self._running is None:
            self._look_around(is_closing)
        elif not self._pipeline.is_running:
            self._go_on(self._pipeline.view)
        elif not 0 <= self._say_at - now <= SAY_SECONDS:
            self._say_at = now + SAY_SECONDS
            self._tell(RUNNING, _words(self._pipeline.view))
            self._look_around(is_closing)

    def _look_around(self, is_closing: bool) -> None:
        for server in self._servers:
            if self._running is None or server is not self._running[0]:
                with later_if_locked():
                    self._look(server, is_closing)

    def _look(self, server: Server, is_closing: bool) -> None:
        request = requests.open_request(server.connection)
        is_of_another = server not in self._seen
        self._seen.add(server)
        if request is None:
            return
        if is_of_another or is_closing:
            _refuse(server, request, _CLOSED)
        elif self._running or self._pipeline.is_running:
            going_on = f"{self._pipeline.view.title} is going on; ask again after that."
            _refuse(server, request, going_on)
        elif actions := _actions(server, request):
            self._running, self._to_do, self._said = (server, request), list(actions), ""
            self._start()
        else:
            _refuse(server, request, "There is no such model any more.")

    def _start(self) -> None:
        assert self._running
        server, request = self._running
        name = request.argument
        action = self._to_do.pop(0)
        self._pipeline.start(action, server.session, [f"--model={name}"] if name else [])
        self._tell(RUNNING, f"{action.doing} ...")

    def _go_on(self, view: StepView) -> None:
        """A step has ended."""
        if not view.is_done:
            self._end(FAILED, f"{view.title}. {view.last_line}")
        elif self._to_do:
            self._start()
        else:
            self._end(DONE, f"{view.title}. {view.last_line}")

    def _tell(self, state: str, text: str) -> None:
        assert self._running
        server, request = self._running
        if text != self._said:
            requests.tell(server.connection, request.id, state, text)
            self._said = text

    def _end(self, state: str, text: str) -> None:
        self._tell(state, text)
        self._running, self._to_do = None, []


def _actions(server: Server, request: Request) -> tuple[Action, ...]:
    if request.step == requests.DEPLOY:
        known = {model.name for model in database.models(server.connection)}
        return (DEPLOY,) if request.argument in known else ()
    return (FETCH,) if request.step == requests.FETCH else TRAINING


def _refuse(server: Server, request: Request, why: str) -> None:
    requests.tell(server.connection, request.id, FAILED, why)


def _words(view: StepView) -> str:
    share = "" if view.fraction is None else f" {view.fraction:.0%}"
    left = f", about {duration(view.seconds_left)} left" if view.seconds_left else ""
    return f"{view.title}{share}{left}. {view.note}".strip()
