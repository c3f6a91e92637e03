"""How a model should draw its replies: as it is hardest to tell from members.

One setting after the other is tried with the others held, on held-out replies that the report never
judges. A change must earn its place: with some hundred replies small differences are luck.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from model import detection
from model.inference import Sampling

GRID: dict[str, tuple[float, ...]] = {
    "temperature": (0.6, 0.75, 0.9, 1.0, 1.1, 1.2),
    "top_p": (0.9, 0.95, 1.0),
    "min_p": (0.0, 0.02, 0.05, 0.1),
    "repeat_penalty": (1.0, 1.05, 1.1, 1.2),
}
ORDER = (*GRID, "temperature")  # what is held back by the others may go on once they are free
LEAST_GAIN = 0.01  # of the AUC
DEALS = 3  # of the conversations to classifiers, whose mean counts


@dataclasses.dataclass(frozen=True)
class Trial:
    """Some settings and the AUC with which their replies are told from members'."""

    sampling: Sampling
    auc: float
    is_best: bool  # of those tried so far, by more than luck

    @property
    def tuned(self) -> dict[str, float]:
        """What was tuned, by name."""
        return {name: getattr(self.sampling, name) for name in GRID}

    def __str__(self) -> str:
        shown = ", ".join(f"{name} {value:g}" for name, value in self.tuned.items())
        return f"{'*' if self.is_best else ' '} AUC {self.auc:.3f} with {shown}"


def tune(start: Sampling, judge: Callable[[Sampling], float]) -> Iterator[Trial]:
    """Every trial in turn, `start` first; the last with `is_best` is to be used.

    `judge` gives the AUC of a sampling and is asked once for each.
    """
    best, least = start, judge(start)
    yield Trial(start, least, True)
    seen = {start}
    for name in ORDER:
        changes: list[dict[str, Any]] = [{name: value} for value in GRID[name]]
        for sampling in [dataclasses.replace(best, **change) for change in changes]:
            if sampling in seen:
                continue
            seen.add(sampling)
            auc = judge(sampling)
            is_best = auc < least - LEAST_GAIN
            if is_best:
                best, least = sampling, auc
            yield Trial(sampling, auc, is_best)


def auc(
    members: Sequence[str], others: Sequence[str], groups: Sequence[int], seed: int = 0
) -> float:
    """How well `others` are told from `members`, the mean of several deals to classifiers."""
    found = (detection.auc(members, others, groups, seed + deal) for deal in range(DEALS))
    return sum(found) / DEALS
