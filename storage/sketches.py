"""Short sketches of vectors, small enough to hold in memory: which of many are worth a closer look.

A sketch keeps one bit of each number: whether it is above the average. Vectors that are close have
most bits in common (Charikar, "Similarity estimation techniques from rounding algorithms", 2002),
so the few with the most in common are nearly sure to hold the nearest, which the vectors
themselves then tell.
"""

from collections.abc import Collection

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

AVERAGED = 4096  # vectors from which the average is taken
_NEVER = 65_535  # more bits than any two differ in


class Sketches:
    """Sketches of messages' vectors, with the channel of each, and its row in a table.

    Takes 68 bytes for a vector of 384 numbers. `ids` and `rows` are in the same order.
    """

    def __init__(self, dimension: int) -> None:
        self.ids = self.rows = np.empty(0, np.int64)
        self._channels: dict[int, int] = {}  # a short number for each
        self._places = np.empty(0, np.int32)  # these numbers
        self._bits = np.empty((-(-dimension // 64), 0), np.uint64)
        self._average = np.zeros(dimension, np.float32)

    def follow(self, ids: Numbers, rows: Numbers) -> npt.NDArray[np.bool_]:
        """Take over which message is in which row by now; true for those without a sketch yet.

        The sketches of messages that are in no row any more are dropped.
        """
        order = np.append(np.argsort(self.ids), -1)
        found = order[np.searchsorted(self.ids, ids, sorter=order[:-1])]
        is_known: npt.NDArray[np.bool_] = np.append(self.ids, -1)[found] == ids
        kept = found[is_known]
        self.ids, self.rows = self.ids[kept], rows[is_known]
        self._places, self._bits = self._places[kept], self._bits[:, kept]
        return ~is_known

    def add(self, ids: Numbers, rows: Numbers, channels: Numbers, vectors: Floats) -> None:
        """Sketch vectors, one a line."""
        if not len(self.ids) and len(vectors):
            self._average = vectors[:AVERAGED].mean(axis=0)
        known = self._channels
        places = [known.setdefault(channel, len(known)) for channel in channels.tolist()]
        self._bits = np.hstack([self._bits, self._sketched(vectors)])
        self._places = np.concatenate([self._places, np.array(places, np.int32)])
        self.ids = np.concatenate([self.ids, ids])
        self.rows = np.concatenate([self.rows, rows])

    def closest(
        self, vector: Floats, count: int, channels: Collection[int] | None = None
    ) -> Numbers:
        """The rows of the `count` that look most alike, of these channels alone if given."""
        differing = np.zeros(len(self.ids), np.uint16)
        for word, theirs in zip(self._sketched(vector[None])[:, 0], self._bits, strict=True):
            differing += np.bitwise_count(theirs ^ word)
        if channels is not None:
            is_barred = np.array([channel not in channels for channel in self._channels], bool)
            differing[is_barred[self._places]] = _NEVER
        best: Numbers = np.arange(len(differing))
        if count < len(best):
            best = np.argpartition(differing, count)[:count]
        best = best[differing[best] != _NEVER]
        rows: Numbers = self.rows[best]
        return rows

    def _sketched(self, vectors: Floats) -> npt.NDArray[np.uint64]:
        """A column of words of 64 bits for each vector."""
        bits = np.packbits(vectors > self._average, axis=1)
        padded = np.zeros((len(bits), 8 * len(self._bits)), np.uint8)
        padded[:, : bits.shape[1]] = bits
        return np.ascontiguousarray(padded.view(np.uint64).T)
