"""In how many messages a reply is said: as members do, as far as the model's lines allow.

A base model breaks what it says into many more lines than members send messages. A model that was
trained does not, and is left alone: only what there was too much of lately is joined.
"""

from collections import Counter
from collections.abc import Sequence

from model import prompts
from model.cutting import fit

REMEMBERED = 200  # replies; then what was long ago counts half
SLACK = 2.0  # replies too many of a size before one of them is said in fewer messages


class OwnBursts:
    """Remembers in how many messages the replies were said. `shares` are of 1, 2, ... messages."""

    def __init__(self) -> None:
        self._said = Counter[int]()

    def of(self, lines: Sequence[str], shares: Sequence[float]) -> list[str]:
        """The lines of a reply as messages: each one, or the last few of them joined."""
        size = self._size(len(lines), shares)
        self._said[size] += 1
        if self._said.total() > REMEMBERED:
            self._said = Counter({n: count // 2 for n, count in self._said.items()})
        return [*lines[: size - 1], fit(prompts.join(lines[size - 1 :]))]

    def _size(self, most: int, shares: Sequence[float]) -> int:
        """As many as there are lines, unless there were too many of that size."""
        owed = dict.fromkeys(range(1, most + 1), 0.0) | dict(enumerate(shares[:most], 1))
        owed = {n: share * self._said.total() - self._said[n] for n, share in owed.items()}
        return most if owed[most] > -SLACK else max(owed, key=lambda n: owed[n])
