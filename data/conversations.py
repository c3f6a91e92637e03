"""Who is talking with whom: the messages of a channel, untangled into conversations.

A message belongs to the conversation of the message it answers: the one it replies to on Discord,
else the one that `data/links.py` finds. Several conversations may go on in a channel at once.
"""

from array import array
from collections.abc import Sequence, Set

import numpy as np

from data.links import Ints, Linker
from storage.messages import Message


class Untangler:
    """Untangles one channel, in order and a block of messages at a time.

    `common` are the words that tell nothing here (`links.common_words`).
    """

    def __init__(self, common: Set[str] = frozenset()) -> None:
        self._linker = Linker(common)
        self._ids, self._numbers = array("q"), array("q")
        self._next = 0

    def feed(self, block: Sequence[Message]) -> tuple[Ints, Ints]:
        """For each message what it answers (an id, 0: nothing) and its conversation's number.

        A reply to a message that was not fed, because it was deleted or left out, begins a
        conversation of its own.
        """
        targets = self._linker.link(block)
        self._ids.extend(message.id for message in block)
        known = np.frombuffer(self._ids, np.int64)
        places = np.searchsorted(known, targets)
        places[known[np.minimum(places, len(known) - 1)] != targets] = -1
        del known  # an array that is looked at cannot grow
        start = len(self._numbers)
        for position, place in enumerate(places.tolist(), start):
            if 0 <= place < position:
                self._numbers.append(self._numbers[place])
            else:
                self._numbers.append(self._next)
                self._next += 1
        return np.where(places < 0, 0, targets), np.array(self._numbers[start:], np.int64)


def latest(messages: Sequence[Message], common: Set[str] = frozenset()) -> list[Message]:
    """Those of a channel's messages, oldest first, that belong to the last one's conversation."""
    if not messages:
        return []
    _, numbers = Untangler(common).feed(messages)
    return [m for m, number in zip(messages, numbers, strict=True) if number == numbers[-1]]
