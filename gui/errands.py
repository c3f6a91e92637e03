"""What admins ask for in Discord, run as the window's own steps: one request at a time."""

import sqlite3

from gui.pipeline import DEPLOY, FETCH, TRAINING, Action, Pipeline, StepView
from gui.snapshot import duration
from storage import database, requests
from storage.requests import DONE, FAILED, RUNNING, Request

SAY_SECONDS = 2.0
_CLOSED = "The launcher was closed before it was done. Ask again."


class Errands:
    """Takes the open request, runs its steps one after the other, and writes how it goes.

    Whatever is open when the launcher starts was asked of another one, and has failed.
    """

    def __init__(self, connection: sqlite3.Connection, pipeline: Pipeline) -> None:
        self._connection, self._pipeline = connection, pipeline
        self._request: Request | None = None
        self._to_do: list[Action] = []
        self._said, self._say_at = "", 0.0
        self._has_looked = False

    @property
    def is_busy(self) -> bool:
        return self._request is not None

    def tick(self, now: float, is_closing: bool = False) -> None:
        """Make the next move; while it is busy, right after each tick of the pipeline's."""
        if self._request is None:
            self._look(is_closing)
        elif not self._pipeline.is_running:
            self._go_on(self._pipeline.view)
        elif not 0 <= self._say_at - now <= SAY_SECONDS:
            self._say_at = now + SAY_SECONDS
            self._tell(RUNNING, _words(self._pipeline.view))

    def _look(self, is_closing: bool) -> None:
        request = requests.open_request(self._connection)
        is_of_another, self._has_looked = not self._has_looked, True
        if request is None:
            return
        self._request, self._said = request, ""
        if is_of_another or is_closing:
            self._end(FAILED, _CLOSED)
        elif self._pipeline.is_running:
            self._end(FAILED, f"{self._pipeline.view.title} is going on; ask again after that.")
        elif actions := self._actions(request):
            self._to_do = list(actions)
            self._start()
        else:
            self._end(FAILED, "There is no such model any more.")

    def _actions(self, request: Request) -> tuple[Action, ...]:
        if request.step == requests.DEPLOY:
            known = {model.name for model in database.models(self._connection)}
            return (DEPLOY,) if request.argument in known else ()
        return (FETCH,) if request.step == requests.FETCH else TRAINING

    def _start(self) -> None:
        assert self._request
        name = self._request.argument
        action = self._to_do.pop(0)
        self._pipeline.start(action, [f"--model={name}"] if name else [])
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
        assert self._request
        if text != self._said:
            requests.tell(self._connection, self._request.id, state, text)
            self._said = text

    def _end(self, state: str, text: str) -> None:
        self._tell(state, text)
        self._request, self._to_do = None, []


def _words(view: StepView) -> str:
    share = "" if view.fraction is None else f" {view.fraction:.0%}"
    left = f", about {duration(view.seconds_left)} left" if view.seconds_left else ""
    return f"{view.title}{share}{left}. {view.note}".strip()
