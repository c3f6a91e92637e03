"""Texts that are nearly the same, so that nothing held out was learned under another name."""

import re
from collections import Counter

SHORTEST = 40  # characters: "gm" and "lol" are nobody's copy
ALIKE = 0.7  # Jaccard index of the texts' sets of three words in a row
_WORD = re.compile(r"\w+")


class Duplicates:
    """Remembers texts and finds out whether another is nearly one of them."""

    def __init__(self) -> None:
        self._sizes: list[int] = []
        self._holders: dict[int, list[int]] = {}  # hash of three words -> numbers of texts

    def add(self, text: str) -> None:
        """Remember a text, unless it is too short to be told from anybody's."""
        shingles = _shingles(text)
        if not shingles:
            return
        for shingle in shingles:
            self._holders.setdefault(shingle, []).append(len(self._sizes))
        self._sizes.append(len(shingles))

    def has_one_like(self, text: str) -> bool:
        """Whether a remembered text has a Jaccard index of at least `ALIKE` with this one."""
        if len(text) < SHORTEST:
            return False
        shingles = _shingles(text)
        shared = Counter(number for s in shingles for number in self._holders.get(s, ()))
        return any(
            count >= ALIKE * (len(shingles) + self._sizes[number] - count)
            for number, count in shared.items()
        )


def _shingles(text: str) -> set[int]:
    words = _WORD.findall(text.lower()) if len(text) >= SHORTEST else []
    if len(words) < 3:
        return {hash(text.lower())} if len(text) >= SHORTEST else set()
    return {hash(three) for three in zip(words, words[1:], words[2:], strict=False)}
