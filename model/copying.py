"""Verbatim copies: runs of words of a reply that stand in one text of the training data.

Members repeat themselves and each other too, so the rate of the bot's copies is given beside that
of replies which members wrote and nothing was trained on. Texts are told by their place in the
lists: what they say is nowhere kept and never printed.
"""

import dataclasses
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from bot.config import UserError
from model.words import words as _words

LEAST_WORDS = 6
EXAMPLES = 10

Array = npt.NDArray[Any]

_BLOCK = 64  # replies compared with the training data at a time, to bound memory


@dataclasses.dataclass(frozen=True)
class Copy:
    """The longest run of a reply that one training text holds: their places, and its words.

    `source` is -1 where no word is shared.
    """

    reply: int
    source: int
    words: int


@dataclasses.dataclass(frozen=True)
class Copies:
    """Shares of replies that copy `LEAST_WORDS` words or more, of the bot's and of members'.

    `longest` is the bot's longest run of words, and `examples` are its longest copies.
    """

    rate: float
    members_rate: float
    longest: int
    examples: tuple[Copy, ...]


def compare(replies: Sequence[str], members: Sequence[str], known: Sequence[str]) -> Copies:
    """The bot's `replies` and held-out ones of `members` against the training texts `known`.

    Raises `UserError` where one of them is empty.
    """
    for texts, name in ((replies, "replies"), (members, "held-out replies"), (known, "texts")):
        if not texts:
            raise UserError(f"There are no {name} to look for copies in. Fetch more history first.")
    runs = longest_runs([*replies, *members], known)
    own, habit = runs[: len(replies)], runs[len(replies) :]
    copied = [run for run in own if run.words >= LEAST_WORDS]
    copied.sort(key=lambda run: run.words, reverse=True)
    return Copies(
        rate=len(copied) / len(own),
        members_rate=sum(run.words >= LEAST_WORDS for run in habit) / len(habit),
        longest=max(run.words for run in own),
        examples=tuple(copied[:EXAMPLES]),
    )


def longest_runs(texts: Sequence[str], known: Sequence[str]) -> list[Copy]:
    """The longest copy in each of the texts.

    Places of common runs of n words are those of n - 1 words whose next words agree: they get fewer
    as n grows, and memory stays that of the words themselves.
    """
    numbers: dict[str, int] = {}
    for text in texts:
        for word in _words(text):
            numbers.setdefault(word, len(numbers) + 1)
    ours, theirs = _Corpus(texts, numbers), _Corpus(known, numbers)
    words, source = np.zeros(len(texts), np.int64), np.full(len(texts), -1)
    length = 0
    while ours.places.size and theirs.places.size:
        for corpus in (ours, theirs):
            corpus.lengthen(length, len(numbers) + 1)
        common = np.intersect1d(ours.runs, theirs.runs)
        for corpus in (ours, theirs):
            corpus.keep(common)
        length += 1
        found = np.zeros(len(common), np.int64)
        found[theirs.runs[::-1]] = theirs.owners[theirs.places[::-1]]  # the oldest stays
        copiers = ours.owners[ours.places]
        words[copiers], source[copiers] = length, found[ours.runs]
    columns = zip(source.tolist(), words.tolist(), strict=True)
    return [Copy(place, *row) for place, row in enumerate(columns)]


def nearest(replies: Sequence[str], known: Sequence[str]) -> list[int]:
    """The place of the training text that is most like each reply, -1 where no word is shared.

    By the cosine of TF-IDF weights of words and word pairs.
    """
    count = HashingVectorizer(analyzer=_pairs, norm=None, alternate_sign=False)
    weigh = TfidfTransformer(sublinear_tf=True)
    theirs = weigh.fit_transform(count.transform(known)).T.tocsr()
    ours = weigh.transform(count.transform(replies))
    found: list[int] = []
    for first in range(0, len(replies), _BLOCK):
        alike = ours[first : first + _BLOCK] @ theirs
        best, most = np.asarray(alike.argmax(axis=1)).ravel(), alike.max(axis=1).toarray().ravel()
        found += np.where(most > 0, best, -1).tolist()
    return found


class _Corpus:
    """Texts as numbers of words, a 0 after each and for words that do not matter.

    `runs[i]` names the run of words that begins at `places[i]`, alike in both corpora, and
    `owners` says of each place whose text it is.
    """

    def __init__(self, texts: Sequence[str], numbers: dict[str, int]) -> None:
        coded = [[*(numbers.get(word, 0) for word in _words(text)), 0] for text in texts]
        lengths = np.array([len(text) for text in coded], np.int64)
        self.owners = np.repeat(np.arange(len(coded)), lengths)
        self.words = np.fromiter((word for text in coded for word in text), np.int64)
        self.places = np.flatnonzero(self.words)
        self.runs = np.zeros(len(self.places), np.int64)

    def lengthen(self, length: int, kinds: int) -> None:
        """Take one more word into the runs, of `length` so far; those that end go."""
        following = self.words[self.places + length]
        goes_on = following > 0
        self.places = self.places[goes_on]
        self.runs = self.runs[goes_on] * kinds + following[goes_on]

    def keep(self, common: Array) -> None:
        """Let go of all but the `common` runs, and name these by their places there."""
        stays = np.isin(self.runs, common)
        self.places = self.places[stays]
        self.runs = np.searchsorted(common, self.runs[stays])


def _pairs(text: str) -> list[str]:
    """Words, and words that stand side by side."""
    words = _words(text)
    return words + [" ".join(pair) for pair in pairwise(words)]
