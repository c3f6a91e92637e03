"""How like members somebody writes: figures of two lists of replies, each against the other.

None of these figures means anything alone. The same comparison of members with members, as many of
each, is the reference; a Markov chain (`model/markov.py`) is what must be beaten.
"""

import dataclasses
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import rel_entr
from scipy.stats import ks_2samp, wasserstein_distance
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from bot.config import UserError
from model import frontier
from model.slang import slang, words

LEAST = 2 * frontier.BAG  # replies of a side, and texts to learn slang from
LOOP = 3  # times that a loop repeats its words, and how many words that are

Array = npt.NDArray[Any]
Words = list[list[str]]

_ADDRESS = re.compile(r"https?://\S+", re.IGNORECASE)
_EMOTICON = r"(?<!\w)(?:[:;=]['\u2019]?-?[()\[\]DPpOo3/\\|*]|[xX]D+|<3|\^_*\^|[tT]_[tT]|-_+-)(?!\w)"
_EMOJI = re.compile(
    rf"<?a?:[^\W\d]\w+:(?:\d+>)?|{_EMOTICON}"
    "|[\U0001f000-\U0001f3fa\U0001f400-\U0001faff\u2600-\u27bf\u2b00-\u2bff]"
)
_JOINERS = re.compile("[\u200d\ufe0f\U0001f3fb-\U0001f3ff]")  # they vary an emoji
_MARKS = re.compile(r"[^\w\s]+")
_AGAIN = re.compile(r"(.)\1+")
_LAUGHTER = re.compile(
    r"\b(?:(?P<lol>lo+l+[sz]?)|(?P<lmao>lmf?a+o+)|(?P<rofl>rofl)|(?P<haha>a?(?:h+a+){2,}h*)"
    r"|(?P<hehe>(?:h+[ei]+){2,}h*)|(?P<jaja>(?:ja+){2,})|(?P<kek>ke+k+)|(?P<xd>xd+))\b"
    "|(?P<tears>[\U0001f602\U0001f923\U0001f639])|(?P<skull>[\U0001f480\u2620])",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Gap:
    """How far apart a quantity of both sides is distributed.

    The Kolmogorov-Smirnov statistic, in [0, 1], and the Wasserstein distance, in the quantity's own
    unit. `members` and `others` are the medians; of affect, the means.
    """

    ks: float
    wasserstein: float
    members: float
    others: float


@dataclasses.dataclass(frozen=True)
class Side:
    """A side for itself, of as many words as the other has.

    Shares of its different words (`shared_types`) and of all its words (`shared_tokens`) that the
    other side says too; of its words and word pairs that are different ones (`distinct_1`,
    `distinct_2`); of its replies in which three words come three times (`loops`). `duplicates` are
    replies said before, in a thousand.
    """

    shared_types: float
    shared_tokens: float
    distinct_1: float
    distinct_2: float
    loops: float
    duplicates: float


@dataclasses.dataclass(frozen=True)
class Likeness:
    """Others against members.

    `characters`, `words` and `lines` are of a reply; `affect` is VADER's compound score, -1 to 1.
    `slang_recall` is the share of the slang members use that the others use too, `slang_overuse`
    how many times as often they use slang. `punctuation`, `emoji`, `casing` and `laughter` are
    Jensen-Shannon distances of kinds, 0 to 1; for `frontier` and `style_percentile` see
    `model/frontier.py`.
    """

    characters: Gap
    words: Gap
    lines: Gap
    affect: Gap
    members: Side
    others: Side
    slang_recall: float
    slang_overuse: float
    punctuation: float
    emoji: float
    casing: float
    laughter: float
    frontier: float
    style_percentile: float


def compare(
    members: Sequence[str], others: Sequence[str], known: Sequence[str], seed: int = 0
) -> Likeness:
    """Compare as many replies of the others as of members; `known` texts teach what is slang.

    Blank replies are left out. Raises `UserError` where fewer than `LEAST` are left of a list.
    """
    known = [text for text in known if text.strip()]
    sides = [[text for text in side if text.strip()] for side in (members, others)]
    fewest = min(map(len, sides))
    if min(fewest, len(known)) < LEAST:
        raise UserError(
            f"Comparing replies needs {LEAST} of each side and {LEAST} texts to learn from; there "
            f"are {len(sides[0])}, {len(sides[1])} and {len(known)}. Fetch more history, or "
            "evaluate more replies."
        )
    ours, theirs = (random.Random(seed).sample(side, fewest) for side in sides)
    said = _evenly([words(text) for text in ours], [words(text) for text in theirs])
    recall, overuse = _slang(*said, [words(text) for text in known])
    return Likeness(
        characters=_gap(ours, theirs, len),
        words=_gap(ours, theirs, lambda text: len(text.split())),
        lines=_gap(ours, theirs, lambda text: len(text.splitlines())),
        affect=_affect(ours, theirs),
        members=_side(ours, *said),
        others=_side(theirs, *said[::-1]),
        slang_recall=recall,
        slang_overuse=overuse,
        punctuation=_distance(ours, theirs, _punctuation),
        emoji=_distance(ours, theirs, _emoji),
        casing=_distance(ours, theirs, _casing),
        laughter=_distance(ours, theirs, _laughter),
        frontier=frontier.frontier_integral(ours, theirs, seed),
        style_percentile=frontier.style_percentile(ours, theirs, known, seed),
    )


def _gap(
    members: Sequence[str],
    others: Sequence[str],
    quantity: Callable[[str], float],
    middle: Callable[[Array], Any] = np.median,
) -> Gap:
    ours, theirs = (np.array([quantity(text) for text in side]) for side in (members, others))
    return Gap(
        ks=float(ks_2samp(ours, theirs, method="asymp").statistic),
        wasserstein=float(wasserstein_distance(ours, theirs)),
        members=float(middle(ours)),
        others=float(middle(theirs)),
    )


def _affect(members: Sequence[str], others: Sequence[str]) -> Gap:
    analyser = SentimentIntensityAnalyzer()

    def compound(text: str) -> float:
        return float(analyser.polarity_scores(text)["compound"])

    return _gap(members, others, compound, np.mean)


def _evenly(members: Words, others: Words) -> tuple[Words, Words]:
    """Both without the last replies of the side that says more: shares depend on how much."""
    fewest = min(sum(map(len, side)) for side in (members, others))
    return _first(members, fewest), _first(others, fewest)


def _first(replies: Words, count: int) -> Words:
    kept = []
    for reply in replies:
        kept.append(reply[:count])
        count -= len(kept[-1])
    return kept


def _side(texts: Sequence[str], own: Words, others: Words) -> Side:
    known = {word for reply in others for word in reply}
    counts = Counter(word for reply in own for word in reply)
    pairs = Counter(pair for reply in own for pair in pairwise(reply))
    return Side(
        shared_types=_share(len(counts.keys() & known), len(counts)),
        shared_tokens=_share(sum(counts[word] for word in counts.keys() & known), counts.total()),
        distinct_1=_share(len(counts), counts.total()),
        distinct_2=_share(len(pairs), pairs.total()),
        loops=_share(sum(map(_is_loop, texts)), len(texts)),
        duplicates=1000 * _share(len(texts) - len(set(texts)), len(texts)),
    )


def _is_loop(text: str) -> bool:
    said = text.lower().split()
    runs = Counter(zip(*(said[first:] for first in range(LOOP)), strict=False))
    return max(runs.values(), default=0) >= LOOP


def _slang(members: Words, others: Words, known: Words) -> tuple[float, float]:
    """Recall and over-use, the latter with one use added to each side; 1 where there is none."""
    particular = set(slang(known))
    ours, theirs = (
        Counter(word for reply in side for word in reply if word in particular)
        for side in (members, others)
    )
    recall = _share(len(ours.keys() & theirs.keys()), len(ours)) if ours else 1.0
    return recall, (theirs.total() + 1) / (ours.total() + 1)


def _distance(
    members: Sequence[str], others: Sequence[str], kinds: Callable[[str], Sequence[str]]
) -> float:
    """The Jensen-Shannon distance, in base 2, of the kinds in replies; to have none is one too.

    A kind counts once a reply: one that is full of it would outweigh all the others.
    """
    ours, theirs = (
        Counter(kind for text in side for kind in set(kinds(_ADDRESS.sub(" ", text))) or {""})
        for side in (members, others)
    )
    names = sorted(ours.keys() | theirs.keys())
    p, q = (np.array([side[name] for name in names]) / side.total() for side in (ours, theirs))
    middle = (p + q) / 2
    nats = (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / 2
    return float(np.sqrt(max(0.0, nats) / np.log(2)))


def _punctuation(text: str) -> list[str]:
    """Runs of marks, repeated ones shortened to two: `!!!!` is `!!`, `...` is `..`."""
    marks = _MARKS.findall(_EMOJI.sub(" ", _JOINERS.sub("", text)))
    return [_AGAIN.sub(r"\1\1", mark)[:3] for mark in marks]


def _emoji(text: str) -> list[str]:
    return _EMOJI.findall(_JOINERS.sub("", text))


def _laughter(text: str) -> list[str]:
    return [match.lastgroup or "" for match in _LAUGHTER.finditer(text)]


def _casing(text: str) -> list[str]:
    """Of each line with letters: lower, upper, sentence (a capital first) or mixed."""
    lines = ["".join(filter(str.isalpha, line)) for line in text.splitlines()]
    return [_case(letters) for letters in lines if letters]


def _case(letters: str) -> str:
    capitals = sum(map(str.isupper, letters))
    if capitals == 0:
        return "lower"
    if capitals == len(letters) > 1:
        return "upper"
    is_sentence = letters[0].isupper() and capitals <= 1 + len(letters) // 10
    return "sentence" if is_sentence else "mixed"


def _share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
