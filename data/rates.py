"""How often things happen to members of several groups at once: a gamma-Poisson model.

A message belongs to a channel, an author and a month. Its rate is the mean of a typical message
times one factor for each of its groups,

    factor = (R + s) / (E + s):

R is what the group received and E what its messages would have received without the factor. The
strength s pulls groups of which little is known towards 1. This is the posterior mean for Poisson
counts whose rates vary between groups as a gamma distribution of variance `spread` does, with
s = dispersion / spread, and the spread found by moments, groups weighing as much as they expect.
Sources: Clayton and Kaldor, "Empirical Bayes estimates of age-standardized relative risks",
Biometrics 43 (1987); Marshall, "Mapping disease and mortality rates using empirical Bayes
estimators", Applied Statistics 40 (1991).
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

ROUNDS = 10  # of fitting one kind of group after the other; five are enough in practice

Floats = npt.NDArray[np.float64]


class Group(NamedTuple):
    """A group's R, E and number of messages, and the factor that follows."""

    factor: float
    received: float
    expected: float
    messages: float


@dataclasses.dataclass(frozen=True)
class Factors:
    """The groups of one kind by id; one never seen before has factor 1."""

    groups: Mapping[int, Group]
    strength: float

    def of(self, key: int, own: int) -> float:
        """A group's factor, as its messages other than one that received `own` tell it."""
        group = self.groups.get(key)
        if group is None:
            return 1.0
        if not own:
            return group.factor  # what one message without anything adds is too little to matter
        others = group.expected * (1 - 1 / group.messages)
        return (max(group.received - own, 0.0) + self.strength) / (others + self.strength)


def dispersion(messages: Floats, received: Floats, squares: Floats) -> float:
    """Variance over mean of a message's count within cells; at least 1, which is Poisson.

    A cell is so many messages with the sum and the sum of squares of what they received.
    """
    variation = (squares - received**2 / messages).sum()
    poisson = (received * (messages - 1) / messages).sum()
    return max(1.0, float(variation / poisson)) if poisson else 1.0


def fit(
    kinds: Sequence[npt.NDArray[Any]], messages: Floats, received: Floats, dispersion: float
) -> tuple[float, tuple[Factors, ...]]:
    """The typical message's rate, and the factors of each kind of group.

    `kinds` holds, for each kind, the group that every cell belongs to. Something must have been
    received.
    """
    mean = float(received.sum() / messages.sum())
    found = [np.unique(keys, return_inverse=True) for keys in kinds]
    places = [place for _, place in found]
    counts = [_total(place, messages) for place in places]
    totals = [_total(place, received) for place in places]
    factors = [np.ones(len(keys)) for keys, _ in found]
    expected, strength = list(factors), [1.0] * len(found)
    for kind in [*range(len(found))] * ROUNDS:
        rates = [f[p] for n, (f, p) in enumerate(zip(factors, places, strict=True)) if n != kind]
        expected[kind] = _total(places[kind], mean * messages * np.prod(rates, axis=0))
        strength[kind] = _strength(totals[kind], expected[kind], dispersion)
        factor = (totals[kind] + strength[kind]) / (expected[kind] + strength[kind])
        # the typical message has factor 1, or one loud group would set the mean of everybody
        typical = math.exp(np.average(np.log(factor), weights=counts[kind]))
        mean *= typical
        factors[kind] = factor / typical
    return mean, tuple(
        Factors(_groups(keys, factors[n], totals[n], expected[n], counts[n]), strength[n])
        for n, (keys, _) in enumerate(found)
    )


def _strength(received: Floats, expected: Floats, dispersion: float) -> float:
    """How hard a group is pulled towards 1.

    The spread is taken as at most 1, that of an exponential distribution: a few groups, one of them
    loud, would else set the rest free.
    """
    beyond_chance = ((received - expected) ** 2 / expected - dispersion).sum()
    spread = float(beyond_chance / expected.sum())
    return dispersion / min(1.0, max(1e-6, spread))


def _total(place: npt.NDArray[np.intp], values: Floats) -> Floats:
    """The sum of the cells' values for each group."""
    return np.bincount(place, values).astype(np.float64, copy=False)


def _groups(keys: npt.NDArray[Any], *columns: Floats) -> dict[int, Group]:
    groups = map(Group, *(column.tolist() for column in columns))
    return dict(zip(keys.tolist(), groups, strict=True))
