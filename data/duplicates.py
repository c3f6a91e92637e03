"""Texts that are nearly the same, so that nothing held out was learned under another name."""

from collections import Counter
from itertools import chain

SHORTEST = 40  # characters: "gm" and "lol" are nobody's copy
ALIKE = 0.7  # Jaccard index of the texts' sets of three words in a row


class Duplicates:
    """Remembers texts and finds out whether another is nearly one of them."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._holders: dict[int, list[int]] = {}  # hash of three words -> numbers of texts

    def add(self, text: str) -> None:
        """Remember a text, unless it is too short to be told from anybody's, or known."""
        shingles = _shingles(text)
        if not shingles or self.has_one_like(text):
            return
        for shingle in shingles:
            self._holders.setdefault(shingle, []).append(len(self._sizes))
        self._sizes.append(len(shingles))

    def has_one_like(self, text: str) -> bool:
        """Whether a remembered text has a Jaccard index of at least `ALIKE` with this one."""
        shingles = _shingles(text)
        known = [self._holders[shingle] for shingle in shingles if shingle in self._holders]
        if len(known) < ALIKE * len(shingles) or not known:
            return False
        shared = Counter(chain.from_iterable(known))
        return any(
            count >= ALIKE * (len(shingles) + self._sizes[number] - count)
            for number, count in shared.items()
        )


def _shingles(text: str) -> set[int]:
    if len(text) < SHORTEST:
        return set()
    words = text.lower().split()
    if len(words) < 3:
        return {hash(text.lower())}
    return set(map(hash, zip(words, words[1:], words[2:], strict=False)))
