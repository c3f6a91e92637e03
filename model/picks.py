"""Which of two models their owner likes better without knowing them: a tally for each pair.

It is kept beside the reports and holds names and counts, nothing that anybody wrote.
"""

import dataclasses
import json
import math
import os
import statistics
from pathlib import Path
from typing import Any

FILE = "playground.json"
MOST = 10**9  # a count above it is no count


@dataclasses.dataclass(frozen=True)
class Tally:
    """How often each of two models was picked, their names in alphabetical order."""

    models: tuple[str, str]
    wins: tuple[int, int] = (0, 0)
    ties: int = 0

    @property
    def picks(self) -> int:
        """How many were made, those that found both alike included."""
        return sum(self.wins) + self.ties

    def sentence(self) -> str:
        """For people; which is better is said only where chance explains it badly."""
        (one, other), decided = self.models, sum(self.wins)
        if not decided:
            return f"{one} or {other}: none was picked yet."
        if self.wins[1] > self.wins[0]:
            one, other = other, one
        won = max(self.wins)
        low, high = wilson(won / decided, decided, 0.95)
        alike = f"; {self.ties} were alike" if self.ties else ""
        found = f"{one} is the better one." if low > 0.5 else "That is too few to tell."
        return (
            f"{one} won {won} of {decided} against {other}, {100 * won / decided:.0f} % "
            f"(95 % interval {100 * low:.0f} to {100 * high:.0f} %){alike}. {found}"
        )


def wilson(share: float, count: float, level: float) -> tuple[float, float]:
    """The interval of a share among so many independent answers (Wilson 1927)."""
    if not count:
        return 0.0, 1.0
    z = statistics.NormalDist().inv_cdf((1 + level) / 2)
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def find(path: Path, one: str, other: str) -> Tally:
    """The tally of a pair; one of zeros where none can be read."""
    first, second = sorted((one, other))
    known = _read(path).get(_key(first, second))
    counts = known if isinstance(known, list) and len(known) == 3 else []
    if not counts or not all(type(n) is int and 0 <= n <= MOST for n in counts):
        return Tally((first, second))
    return Tally((first, second), (counts[0], counts[1]), counts[2])


def add(path: Path, one: str, other: str, winner: str | None) -> Tally:
    """Count a pick, of none where both were alike. Raises `OSError`."""
    before = find(path, one, other)
    wins = tuple(n + (name == winner) for n, name in zip(before.wins, before.models, strict=True))
    after = Tally(before.models, (wins[0], wins[1]), before.ties + (winner is None))
    pairs = {**_read(path), _key(*after.models): [*after.wins, after.ties]}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(pairs, file, indent=1)
    os.replace(partial, path)
    return after


def _key(first: str, second: str) -> str:
    return f"{first} / {second}"


def _read(path: Path) -> dict[str, Any]:
    try:
        pairs = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return pairs if isinstance(pairs, dict) else {}
