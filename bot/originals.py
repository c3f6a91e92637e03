"""Verbatim copies: whether a reply says what one member wrote, longer than anybody's habit.

Members repeat each other too. Of their own messages, without links and without quoted lines of
what was said shortly before, so many hold a run of words that until then exactly one member had
written, and somebody else (in percent, in the two sample communities):

    words                6      7      8     10
    gitter-casual     0.29   0.13   0.10   0.04
    pyscript-discord  1.15   0.49   0.36   0.25

`LEAST_WORDS` is the fewest with which both stay under half a percent. What two members wrote is
anybody's: "good morning everyone" is nobody's text.
"""

import collections
import itertools
import re
import sqlite3
from array import array
from collections.abc import Collection, Iterable, Iterator

import numpy as np

from model.words import words
from storage import messages

LEAST_WORDS = 7
_HOLDERS = 8  # messages with the same run that are looked at: two authors are enough

_LINK = re.compile(r"https?://\S+")
_QUOTE = re.compile(r"^> ?(.*)$", re.MULTILINE)

Run = tuple[str, ...]


class Originals:
    """Which messages hold a run of words: hashes and message ids, no text.

    What a message says is read from the database when a reply shares a run with it. So one that
    was erased, deleted or edited since, by whichever process, is no original any more.
    """

    def __init__(self, texts: Iterable[tuple[int, str]]) -> None:
        hashes, ids = array("q"), array("q")
        for message_id, text in texts:
            found = [hash(run) for run in _runs(_own(text))]
            hashes.extend(found)
            ids.extend(itertools.repeat(message_id, len(found)))
        unordered = np.array(hashes, np.int64)
        order = np.argsort(unordered, kind="stable")
        self._hashes, self._ids = unordered[order], np.array(ids, np.int64)[order]
        self._newer: dict[int, list[int]] = collections.defaultdict(list)

    def add(self, message_id: int, text: str) -> None:
        """Know one more message of a member's."""
        for run in _runs(_own(text)):
            self._newer[hash(run)].append(message_id)

    def has_copy(
        self, connection: sqlite3.Connection, reply: str, shown: Collection[str] = ()
    ) -> bool:
        """Whether a reply holds a run of words that one member wrote and no other.

        A quoted line (`> `) of a text that is `shown` in the conversation is no copy.
        """
        return any(len(authors) == 1 for authors in self.authors(connection, reply, shown))

    def authors(
        self, connection: sqlite3.Connection, text: str, shown: Collection[str] = ()
    ) -> list[set[int]]:
        """Who wrote them, for the runs of a text that stand in messages."""
        runs = list(_runs(_without_quotes(text, shown)))
        holders = [pair for pair in zip(runs, self._holders(runs), strict=True) if pair[1]]
        wanted = {number for _, ids in holders for number in ids}
        stored = {m.id: m for m in messages.by_ids(connection, list(wanted))} if wanted else {}
        known = {number: set(_runs(_own(message.content))) for number, message in stored.items()}
        return [
            {stored[n].author_id for n in ids if run in known.get(n, ())} for run, ids in holders
        ]

    def _holders(self, runs: list[Run]) -> Iterator[list[int]]:
        """The ids of messages that may hold each of the runs."""
        hashes = np.array([hash(run) for run in runs], np.int64)
        first = np.searchsorted(self._hashes, hashes)
        last = np.searchsorted(self._hashes, hashes, "right")
        for number, begin, end in zip(hashes.tolist(), first.tolist(), last.tolist(), strict=True):
            older = self._ids[begin : min(end, begin + _HOLDERS)].tolist()
            yield older + self._newer.get(number, [])[:_HOLDERS]


def _runs(text: str) -> Iterator[Run]:
    said = words(text)
    return zip(*(said[n:] for n in range(LEAST_WORDS)), strict=False)


def _own(text: str) -> str:
    """What the author of a message says in their own words."""
    return _QUOTE.sub("", _LINK.sub(" ", text))


def _without_quotes(reply: str, shown: Collection[str]) -> str:
    def unless_shown(quote: re.Match[str]) -> str:
        return "" if any(quote[1].strip() in text for text in shown) else quote[0]

    return _QUOTE.sub(unless_shown, _LINK.sub(" ", reply))
