"""What every step of the first run can be asked.

`take` checks an answer without waiting; `prepare`, `work`, `act`, `poll` and `settle` may block and
run in a thread. All raise `UserError` with the way out.
"""

from collections.abc import Sequence

from bot.config import UserError
from data.discord_setup import Application
from gui.first_run.state import Folders, Known, View


class Job:
    """What runs in the thread can see whether it is still wanted, and tell how far it is."""

    def __init__(self) -> None:
        self.is_cancelled = False
        self.done = self.total = 0

    def report(self, done: int, total: int) -> None:
        """Bytes that are here, of all."""
        self.done, self.total = done, total


class Step:
    """One page; these defaults are of a page that asks and finds nothing out."""

    name = ""
    stage = ""
    poll_seconds = 0.0  # how often to look by oneself whether it is done; 0: never

    def __init__(self, here: Folders) -> None:
        self.here = here

    def prepare(self) -> None:
        """Find out what the page shows, before it is there."""

    def settle(self, known: Known) -> Known | None:
        """The answer where it is clear without asking; None: ask."""
        return None

    def view(self, known: Known) -> View:
        """The page; what it proposes (field and chosen) is an answer that `take` accepts."""
        raise NotImplementedError

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        """What is known with this answer."""
        return known

    def work(self, known: Known, job: Job) -> Known:
        """Find out what follows from the answer."""
        return known

    def act(self, known: Known, job: Job) -> Known:
        """What the page's own button does."""
        return known

    def poll(self, known: Known) -> Known | None:
        """Whether it is done by now."""
        return None


def application_of(known: Known) -> Application:
    if known.application is None:
        raise UserError("Paste the bot's token first.")
    return known.application
