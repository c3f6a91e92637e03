"""Goes through the steps: one page at a time, with whatever may block in one worker thread.

Tk-free. The window and the terminal both show `view`, hand over answers, and call `tick` often.
"""

import dataclasses
import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bot.config import UserError
from gui.first_run import finish, mending
from gui.first_run.bot_steps import Intents, Token, Welcome
from gui.first_run.last_steps import Fetch, PickModel, Start
from gui.first_run.server_steps import Invite, Permission, PickAdmin, PickChannels, PickServer
from gui.first_run.state import CONNECT, DEMO, Download, Folders, Known, Outcome, View
from gui.first_run.step import Job, Step
from model.downloads import Paused

log = logging.getLogger(__name__)

Work = Callable[[Known, Job], Known | None]


class _Walk(Job):
    """A run of the worker thread: where it is, and how it ended."""

    def __init__(self, place: int, known: Known, is_poll: bool = False) -> None:
        super().__init__()
        self.at = (place, known)
        self.is_poll = is_poll  # one that has found nothing yet, and that nobody waits for
        self.error = ""
        self.is_over = False
        self.is_finished = False
        self.began = time.monotonic()
        self.first_done = -1

    def report(self, done: int, total: int) -> None:
        if self.first_done < 0:
            self.first_done, self.began = done, time.monotonic()
        super().report(done, total)

    @property
    def download(self) -> Download | None:
        """How far a download is; the rest at the speed so far."""
        if not self.total:
            return None
        seconds, came = time.monotonic() - self.began, self.done - self.first_done
        left = (self.total - self.done) * seconds / came if came > 0 and seconds > 2 else None
        return Download(self.done, self.total, left)


class FirstRun:
    """The way from nothing to an `.env`; look at `view`, and at `outcome` when it is over.

    Nothing is written before the end but the model's file. With `mend`, the name of a step, only
    that step asks, and what the `.env` already says answers the others.
    """

    def __init__(
        self,
        env_path: Path | None = None,
        *,
        mend: str = "",
        here: Folders | None = None,
        steps: Sequence[Step] | None = None,
    ) -> None:
        self.here = here or finish.folders(env_path)
        self.outcome: Outcome | None = None
        self._steps = steps or all_steps(self.here)
        self._names = [step.name for step in self._steps]
        self._known, self._place = finish.seed(self.here), 0
        self._trail = [0]  # the pages that asked
        self._error = self._poll_error = ""
        self._poll_at: float | None = None
        self._download: Download | None = None
        self._walk: _Walk | None = None
        self._mend = self._names.index(mend) if mend in self._names else 0
        if self._mend:
            self._trail = [0, 1]
            self._begin(lambda known, job: known)

    @property
    def view(self) -> View:
        """The page to show now."""
        walk = self._walk if self._walk and not self._walk.is_poll else None
        place, known = walk.at if walk else (self._place, self._known)
        step, bot = self._steps[place], known.application
        view, is_fetching = step.view(known), isinstance(step, Fetch)
        error = "" if walk else self._error or self._poll_error
        mend = mending.step_for(error)
        return dataclasses.replace(
            view,
            name=bot.name if bot else "",
            picture=bot.picture if bot else None,
            download=(walk.download if walk else self._download) if is_fetching else None,
            action="Pause" if is_fetching and walk else "" if walk else view.action,
            error=error,
            mend=mend if mend in self._names[:place] else "",
            can_go_on=not walk and not self.outcome,
            can_go_back=bool(self._before(place)) and not self.outcome,
            is_busy=walk is not None,
        )

    def answer(self, field: str = "", chosen: Sequence[str] = ()) -> None:
        """Take the page's answer and go on; what is wrong with it is in `view.error`."""
        if not self.view.can_go_on:
            return
        step = self._steps[self._place]
        try:
            self._known = step.take(self._known, field, chosen)
        except UserError as error:
            self._error = str(error)
            return
        if self._known.purpose == DEMO:
            self.outcome = Outcome(DEMO, self.here.env_path)
        else:
            self._begin(step.work)

    def act(self) -> None:
        """Press the page's own button, `view.action`."""
        if not self.view.action:
            return
        if self._walk and not self._walk.is_poll:
            self._walk.is_cancelled = True  # Pause
        else:
            self._begin(self._steps[self._place].act)

    def back(self) -> None:
        """Show the page before, with what was answered; what runs is given up."""
        place = self._walk.at[0] if self._walk else self._place
        if self.view.can_go_back:
            self._abandon()
            self._rest(self._before(place)[-1])

    def go_to(self, name: str) -> None:
        """Show an earlier page by the name of its step, to mend something there."""
        if name in self._names[: self._place] and not self.outcome:
            self._abandon()
            self._rest(self._names.index(name))

    def tick(self, now: float) -> None:
        """Look after the worker; `now` is monotonic, in seconds."""
        if self._walk:
            if self._walk.is_over:
                self._arrive(self._walk)
            return
        step = self._steps[self._place]
        if not step.poll_seconds or self.outcome:
            return
        if self._poll_at is not None and now >= self._poll_at:
            self._begin(lambda known, job: step.poll(known), is_poll=True)
            self._poll_at = None
        elif self._poll_at is None:
            self._poll_at = now + step.poll_seconds

    def close(self) -> None:
        """Give up; of what runs only a download's partial file stays."""
        self._abandon()

    def _begin(self, work: Work, is_poll: bool = False) -> None:
        """Do it in the thread, and walk on to the next page that has to ask."""
        self._abandon()
        if not is_poll:
            self._error = self._poll_error = ""
        walk = self._walk = _Walk(self._place, self._known, is_poll)
        threading.Thread(target=self._run, args=(walk, work), name="first-run", daemon=True).start()

    def _abandon(self) -> None:
        if self._walk:
            self._walk.is_cancelled = True
            self._walk = None

    def _run(self, walk: _Walk, work: Work) -> None:
        try:
            self._go(walk, work)
        except UserError as error:
            walk.error = str(error)
        except Paused:
            pass
        except Exception as error:  # whatever it is, the page stays and says so
            log.error("the first run stumbled: %s", type(error).__name__)
            walk.error = f"Something went wrong ({type(error).__name__}). Try again."
        finally:
            walk.is_over = True

    def _go(self, walk: _Walk, work: Work) -> None:
        place, known = walk.at
        found = work(known, walk)
        if found is None:
            return
        walk.is_poll = False
        while place + 1 < len(self._steps):
            place += 1
            self._steps[place].prepare()
            walk.at = (place, found)
            answered = None if walk.is_cancelled else self._answered(place, found)
            if answered is None:
                return
            found = self._steps[place].work(answered, walk)
        walk.is_finished = True

    def _answered(self, place: int, known: Known) -> Known | None:
        """The answer to a page that need not ask."""
        step = self._steps[place]
        if not self._mend:
            return step.settle(known)
        if place == self._mend:
            return None
        view = step.view(known)
        return step.take(known, view.field.value if view.field else "", view.chosen)

    def _arrive(self, walk: _Walk) -> None:
        self._walk = None
        if walk.is_poll:
            self._poll_error = walk.error
            return
        place, self._known = walk.at
        self._download = walk.download
        if walk.is_finished:
            self.outcome = Outcome(CONNECT, self.here.env_path)
        self._rest(place, walk.error)

    def _rest(self, place: int, error: str = "") -> None:
        self._place, self._error, self._poll_error, self._poll_at = place, error, "", None
        self._trail = [*self._before(place), place]

    def _before(self, place: int) -> list[int]:
        return [earlier for earlier in self._trail if earlier < place]


def all_steps(here: Folders) -> list[Step]:
    """The steps in order."""
    first = (Welcome, Token, Intents, Invite, PickServer, PickChannels, PickAdmin, Permission)
    return [*(make(here) for make in first), PickModel(here), Fetch(here), Start(here)]
