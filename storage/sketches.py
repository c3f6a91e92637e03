"""Short sketches of vectors, small enough to hold in memory: which of many are worth a closer look.

A sketch keeps one bit of each number: whether it is above the average. Vectors that are close have
most bits in common (Charikar, "Similarity estimation techniques from rounding algorithms", 2002),
so the few with the most in common are nearly sure to hold the nearest, which the vectors
themselves then tell.
"""

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

AVERAGED = 4096  # vectors from which the average is taken
_NEVER = 65_535  # more bits than any two differ in


class Sketches:
    """Sketches of messages' vectors, with the message, channel and author of each.

    Takes 64 bytes for a vector of 384 numbers.
    """

    def __init__(self, dimension: int) -> None:
        self.ids = np.empty(0, np.int64)
        self._channels, self._authors = Marks(), Marks()
        self._bits = np.empty((-(-dimension // 64), 0), np.uint64)
        self._average = np.zeros(dimension, np.float32)

    def follow(self, ids: Numbers) -> npt.NDArray[np.bool_]:
        """Take over which messages there are by now; true for those without a sketch yet.

        The sketches of messages that are not among them are dropped.
        """
        order = np.append(np.argsort(self.ids), -1)
        found = order[np.searchsorted(self.ids, ids, sorter=order[:-1])]
        is_known: npt.NDArray[np.bool_] = np.append(self.ids, -1)[found] == ids
        kept = found[is_known]
        self.ids = self.ids[kept]
        self._channels.keep(kept)
        self._authors.keep(kept)
        self._bits = self._bits[:, kept]
        return ~is_known

    def add(self, ids: Numbers, channels: Numbers, authors: Numbers, vectors: Floats) -> None:
        """Sketch vectors, one a line."""
        if not len(self.ids) and len(vectors):
            self._average = vectors[:AVERAGED].mean(axis=0)
        self._channels.add(channels)
        self._authors.add(authors)
        self._bits = np.hstack([self._bits, self._sketched(vectors)])
        self.ids = np.concatenate([self.ids, ids])

    def closest(
        self,
        vector: Floats,
        count: int,
        channels: Collection[int] | None = None,
        allows: Callable[[int], bool] | None = None,
    ) -> Numbers:
        """The messages of the `count` that look most alike.

        If given, of these channels alone, and of the authors that `allows` holds for.
        """
        differing = np.zeros(len(self.ids), np.uint16)
        for word, theirs in zip(self._sketched(vector[None])[:, 0], self._bits, strict=True):
            differing += np.bitwise_count(theirs ^ word)
        if channels is not None:
            differing[~self._channels.are(channels.__contains__)] = _NEVER
        if allows is not None:
            differing[~self._authors.are(allows)] = _NEVER
        best: Numbers = np.arange(len(differing))
        if count < len(best):
            best = np.argpartition(differing, count)[:count]
        ids: Numbers = self.ids[best[differing[best] != _NEVER]]
        return ids

    def _sketched(self, vectors: Floats) -> npt.NDArray[np.uint64]:
        """A column of words of 64 bits for each vector."""
        bits = np.packbits(vectors > self._average, axis=1)
        padded = np.zeros((len(bits), 8 * len(self._bits)), np.uint8)
        padded[:, : bits.shape[1]] = bits
        return np.ascontiguousarray(padded.view(np.uint64).T)


class Marks:
    """A long number for each of many sketches, of which there are few: 4 bytes for a sketch."""

    def __init__(self) -> None:
        self._short: dict[int, int] = {}  # a number for each of the long ones
        self._marks = np.empty(0, np.int32)

    def add(self, marks: Numbers) -> None:
        """The marks of further sketches."""
        short = [self._short.setdefault(mark, len(self._short)) for mark in marks.tolist()]
        self._marks = np.concatenate([self._marks, np.array(short, np.int32)])

    def keep(self, places: Numbers) -> None:
        """Only those at these places are left."""
        self._marks = self._marks[places]

    def are(self, wanted: Callable[[int], bool]) -> npt.NDArray[np.bool_]:
        """For each sketch whether its mark is wanted."""
        found: npt.NDArray[np.bool_] = np.array([wanted(m) for m in self._short], bool)[self._marks]
        return found
