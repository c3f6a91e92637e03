"""When the bot speaks, as learned from the server's members: the policy, and the file it lies in.

The chance that a person speaks next is a logistic function of what `data/speaking.py` tells of
them, shifted so that the bot speaks after the share of messages that the slider asks for. The file
is made by `data/speaking_fit.py`; it holds numbers, channel ids and emoji, no text and nobody's id.
"""

import dataclasses
import json
import logging
import math
import os
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from data.habits import Habits
from data.speaking import FACTS, Scene
from storage.messages import Message

log = logging.getLogger(__name__)

VERSION = 1
LARGEST_FILE = 1 << 20
_GARBAGE = (
    *(OSError, ValueError, TypeError, LookupError),
    *(ArithmeticError, AttributeError, RecursionError),
)
LARGEST = 1e4  # no weight of an honest file comes near

Curve = tuple[tuple[float, float], ...]
"""(what is added to the score, the share of messages after which the bot speaks), ascending."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """Weights of the facts, what is added in each channel, and what the slider adds.

    `otherwise` is added in channels that are not known. `figures` says how good it was on messages
    that it was not fitted to.
    """

    bias: float
    weights: Mapping[str, float]
    channels: Mapping[int, float]
    otherwise: float
    curve: Curve
    habits: Habits
    figures: Mapping[str, float]

    def chance(self, messages: Sequence[Message], person: int, rate: float) -> float:
        """The chance that `person` speaks after the last of a channel's messages, oldest first.

        `rate` is the share of all messages after which it should: 0 is never, 1 is always.
        """
        if rate <= 0 or rate >= 1:
            return float(rate >= 1)
        return logistic(self.score(messages, person) + self.shift(rate))

    def score(self, messages: Sequence[Message], person: int) -> float:
        """The log odds that a member who is where `person` is would speak."""
        return sum(self.reasons(messages, person).values())

    def reasons(self, messages: Sequence[Message], person: int) -> dict[str, float]:
        """What each fact adds to the score."""
        facts = Scene(messages).facts(person)
        channel = self.channels.get(messages[-1].channel_id, self.otherwise)
        told = {name: self.weights[name] * value for name, value in facts.items()}
        return {**told, "channel": channel, "bias": self.bias}

    def shift(self, rate: float) -> float:
        """What to add to the score for the bot to speak after this share of messages."""
        points = [(_logit(share), shift) for shift, share in self.curve]
        wanted = _logit(rate)
        if wanted <= points[0][0]:
            return points[0][1] + wanted - points[0][0]
        for (low, shift), (high, next_shift) in pairwise(points):
            if wanted <= high:
                return shift + (next_shift - shift) * (wanted - low) / (high - low)
        return points[-1][1] + wanted - points[-1][0]


def logistic(score: float) -> float:
    """The chance that belongs to log odds."""
    return 0.5 * (1 + math.tanh(score / 2))


def _logit(chance: float) -> float:
    return math.log(chance / (1 - chance))


def save(policy: Policy, path: Path) -> None:
    """Write the file, whole and for its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump({"version": VERSION, **dataclasses.asdict(policy)}, file, allow_nan=False)
    os.replace(partial, path)


def load(path: Path) -> Policy | None:
    """The policy in a file; None when there is none, or nothing that can be relied on."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST_FILE + 1)
        return _parse(data)
    except FileNotFoundError:
        return None
    except _GARBAGE as error:
        log.warning(
            "%s cannot be used (%s), so the bot speaks at an even rate; "
            "python scripts/3_train_model.py --participation-only makes it anew",
            path.name,
            type(error).__name__,
        )
        return None


def _parse(data: bytes) -> Policy:
    """Raises what Python raises for fields that are missing or of another kind."""
    if len(data) > LARGEST_FILE:
        raise ValueError("too large")
    raw = json.loads(data)
    if raw["version"] != VERSION or set(raw["weights"]) != set(FACTS):
        raise ValueError("of another release")
    return Policy(
        bias=_number(raw["bias"]),
        weights={name: _number(raw["weights"][name]) for name in FACTS},
        channels={int(channel): _number(added) for channel, added in raw["channels"].items()},
        otherwise=_number(raw["otherwise"]),
        curve=_curve(raw["curve"]),
        habits=Habits.parse(raw["habits"]),
        figures={str(name)[:40]: _number(value) for name, value in raw["figures"].items()},
    )


def _curve(raw: Sequence[Sequence[Any]]) -> Curve:
    curve = tuple((_number(shift), _number(share)) for shift, share in raw)
    rises = all(a < b and low < high for (a, low), (b, high) in pairwise(curve))
    if not (curve and rises and curve[0][1] > 0 and curve[-1][1] < 1):
        raise ValueError("the curve does not rise")
    return curve


def _number(raw: object) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not abs(raw) <= LARGEST:
        raise ValueError("not a number in range")
    return float(raw)
