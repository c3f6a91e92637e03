"""What was said in the playground: a message, and the reply of each model to it."""

import dataclasses
from typing import Any

WAITING, LOADING, WRITING, DONE = "waiting", "loading", "writing", "done"
STOPPED, FAILED = "stopped", "failed"


@dataclasses.dataclass(frozen=True)
class Model:
    """One that can be talked to; `bytes` is what it takes to have it in memory, at most."""

    name: str
    path: str
    bytes: int = 0
    is_bots: bool = False
    is_running: bool = False
    remark: str = ""


@dataclasses.dataclass
class Reply:
    """What a model says to a message, as far as it has come."""

    model: Model
    seed: int
    state: str = WAITING
    text: str = ""
    messages: tuple[str, ...] = ()
    seconds: float = 0.0
    tokens: int = 0
    rate: float | None = None
    problem: str = ""
    given: dict[str, Any] | None = None

    @property
    def is_over(self) -> bool:
        return self.state in (DONE, STOPPED, FAILED)

    def figures(self) -> str:
        """How long it took, and the seed to have it again."""
        parts = [f"{self.seconds:.1f} s", f"{self.tokens} tokens"]
        parts += [f"{self.rate:.1f} tokens/s"] if self.rate else []
        return " · ".join([*parts, f"seed {self.seed}"])


@dataclasses.dataclass
class Exchange:
    """A message, and the reply of each model to it, in the order of the models.

    Blind, the replies are shown in an `order` by lot, and the one that is `picked` (where both are
    alike: the first) goes on in both conversations, so that the next message finds the same past.
    """

    name: str
    text: str
    at: float
    replies: list[Reply]
    order: tuple[int, ...]
    is_blind: bool = False
    picked: int | None = None
    is_alike: bool = False

    @property
    def is_over(self) -> bool:
        return all(reply.is_over for reply in self.replies)

    @property
    def can_be_judged(self) -> bool:
        """Whether there are two replies to choose from, and nobody has."""
        is_whole = all(reply.messages and reply.state == DONE for reply in self.replies)
        return self.is_blind and self.picked is None and is_whole

    def said(self, place: int) -> list[dict[str, Any]]:
        """The exchange as the model at a place remembers it."""
        asked = {"name": self.name, "text": self.text, "at": self.at}
        reply = self.replies[place if self.picked is None else self.picked]
        return [asked, *({"name": None, "text": t, "at": self.at} for t in reply.messages)]
