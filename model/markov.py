"""A Markov chain of a community's words: the baseline that needs no training, and must be beaten.

The next word is drawn from those that followed the last two, or, with the chance T / (N + T) where
N words of T kinds followed these, the last one alone: after a pair that was seen once it could only
recite. Source: Witten and Bell 1991, "The zero-frequency problem", method C.
"""

import random
import re
from collections import defaultdict
from collections.abc import Iterable

from bot.config import UserError
from model.cutting import DISCORD_LIMIT

LONGEST_REPLY = 200  # words and line ends

_EDGE = ""  # stands before the first word and after the last; no word is empty
_WORD = re.compile(r"\n\s*|\S+")


class Chain:
    """Learned from texts, which it forgets. Raises `UserError` where none of them has a word."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._after_one: dict[str, list[str]] = defaultdict(list)
        self._after_two: dict[tuple[str, str], list[str]] = defaultdict(list)
        for text in texts:
            if words := _words(text):
                self._learn([_EDGE, _EDGE, *words, _EDGE])
        if not self._after_two:
            raise UserError(
                "A Markov chain needs texts to learn from. Fetch more history, then run "
                "scripts/2_prepare_training_data.py again."
            )
        self._kinds = {pair: len(set(words)) for pair, words in self._after_two.items()}

    def reply(self, dice: random.Random) -> str:
        """A made-up reply; a line end in it is one that somebody made between these words."""
        before, last = _EDGE, _EDGE
        said: list[str] = []
        while len(said) < LONGEST_REPLY:
            before, last = last, self._next(before, last, dice)
            if last == _EDGE:
                break
            said.append(last)
        return " ".join(said).replace(" \n ", "\n").strip()[:DISCORD_LIMIT].rstrip()

    def _learn(self, words: list[str]) -> None:
        for one, two, three in zip(words, words[1:], words[2:], strict=False):
            self._after_two[one, two].append(three)
            self._after_one[two].append(three)

    def _next(self, before: str, last: str, dice: random.Random) -> str:
        after = self._after_two.get((before, last), [])
        kinds = self._kinds.get((before, last), 1)
        if dice.random() * (len(after) + kinds) < kinds:
            after = self._after_one[last]
        return dice.choice(after)


def _words(text: str) -> list[str]:
    """What stands between spaces, and line ends; several of these in a row are one."""
    return [word if word.strip() else "\n" for word in _WORD.findall(text.strip())]
