"""Can a machine tell a bot's replies from members', and by what?

A classifier two-sample test: two classifiers learn to tell the sides apart on some conversations,
and judge others. Where they only guess, there is no difference that they could learn. Source:
Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests".
"""

import dataclasses
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import hstack
from scipy.stats import rankdata
from scipy.stats import t as student
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold

from bot.config import UserError
from model import stylometry

LEAST_PAIRS, LEAST_GROUPS = 50, 10
FOLDS = 5
BAGS = (5, 10, 20)
RESAMPLES, DEALS = 1000, 50
WIDER = 1.25
SURE = 0.05  # the chance that any tell at all is named where there is none
SHOWN = 10  # replies that show a tell
RARE = 5  # replies that say a word, at least, for it to be a tell
CERTAIN = 6.0  # log-odds beyond which a classifier is not believed
_LOGARITHM = " (logarithm)"

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Tell:
    """What gives the bot away, in words; how much there is of it on both sides.

    `bot` and `members` are means a reply, of lengths geometric ones. `strength` is Cliff's delta
    without its sign, from 0 to 1: how much oftener a reply of one side has more of it than one of
    the other side. `examples` are places of replies that show it.
    """

    description: str
    bot: float
    members: float
    strength: float
    examples: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Detection:
    """How well the sides are told apart; 0.5 is chance, intervals are 95 %.

    `bags` is the AUC where so many replies of a side are judged together.
    """

    auc: float
    auc_95: tuple[float, float]
    accuracy: float
    accuracy_95: tuple[float, float]
    bags: dict[int, float]
    tells: tuple[Tell, ...]


def detect(
    members: Sequence[str], others: Sequence[str], groups: Sequence[int], seed: int = 0
) -> Detection:
    """Tell `others` from `members`, who answer the same contexts, of conversations `groups`.

    Pairs in which one side says nothing do not count. Raises `UserError` for too few.
    """
    pairs = enumerate(zip(members, others, strict=True))
    kept = np.array([i for i, pair in pairs if all(text.strip() for text in pair)], int)
    conversations = np.array(groups)[kept]
    require(len(kept), len(set(conversations.tolist())))
    texts = [side[i][: stylometry.LONGEST] for side in (members, others) for i in kept]
    is_other = np.repeat([False, True], len(kept))
    measures = stylometry.measure(texts)
    scores = _scores(texts, measures, is_other, np.tile(conversations, 2), seed)
    human, bot = scores[~is_other], scores[is_other]
    auc_95, accuracy_95 = _intervals(human, bot, conversations, seed)
    return Detection(
        auc=_auc(human, bot),
        auc_95=auc_95,
        accuracy=_accuracy(human, bot),
        accuracy_95=accuracy_95,
        bags={size: auc for size in BAGS if (auc := _bagged(human, bot, size, seed)) is not None},
        tells=_tells(texts, measures, is_other, kept, conversations),
    )


def require(replies: int, conversations: int) -> None:
    """Raise `UserError` where so few cannot show anything."""
    if replies < LEAST_PAIRS or conversations < LEAST_GROUPS:
        raise UserError(
            f"Telling sides apart needs {LEAST_PAIRS} replies of {LEAST_GROUPS} conversations, and "
            f"there are {replies} of {conversations}. Fetch more history and prepare again, or "
            "measure with --quick."
        )


def _scores(texts: list[str], measures: Array, is_other: Array, groups: Array, seed: int) -> Array:
    """Each text's log-odds of being the others', by classifiers that never saw its conversation."""
    scores = np.zeros(len(texts))
    folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
    for learned, judged in folds.split(measures, is_other, groups):
        words = _Words([texts[i] for i in learned])
        lines = LogisticRegression(C=3.0, solver="liblinear", dual=True, random_state=seed)
        lines.fit(words.rows([texts[i] for i in learned]), is_other[learned])
        style = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
        )
        style.fit(measures[learned], is_other[learned])
        by_words = lines.decision_function(words.rows([texts[i] for i in judged]))
        by_style = style.decision_function(measures[judged])
        scores[judged] = sum(np.clip(odds, -CERTAIN, CERTAIN) for odds in (by_words, by_style)) / 2
    return scores


class _Words:
    """Runs of 1 to 5 characters and of 1 or 2 words, weighed by how telling they are."""

    def __init__(self, texts: list[str]) -> None:
        usual = {"min_df": 2, "max_features": 20_000, "sublinear_tf": True, "dtype": np.float32}
        self._views = (
            TfidfVectorizer(analyzer="char", ngram_range=(1, 5), lowercase=False, **usual),
            TfidfVectorizer(token_pattern=r"\S+", ngram_range=(1, 2), **usual),
        )
        for view in self._views:
            try:
                view.fit(texts)
            except ValueError:  # nothing is said twice
                view.set_params(min_df=1).fit(texts)

    def rows(self, texts: list[str]) -> Any:
        return hstack([view.transform(texts) for view in self._views]).tocsr()


# --- how sure ---


def _auc(human: Array, bot: Array) -> float:
    """The chance that a reply of the bot scores higher than one of a member."""
    ranks = rankdata(np.concatenate([human, bot]))[len(human) :]
    above = ranks.sum() - len(bot) * (len(bot) + 1) / 2
    return float(above / (len(human) * len(bot)))


def _accuracy(human: Array, bot: Array) -> float:
    return float(((human < 0).mean() + (bot >= 0).mean()) / 2)


def _intervals(
    human: Array, bot: Array, groups: Array, seed: int
) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % of AUC and accuracy where whole conversations are drawn again.

    Other members would make other classifiers too, which drawing again does not show: of 60 pairs
    of members' sides, 54 intervals held chance. So they are made wider (`WIDER`).
    """
    dice = np.random.default_rng(seed)
    _, numbers = np.unique(groups, return_inverse=True)
    members_of = [np.flatnonzero(numbers == number) for number in range(numbers.max() + 1)]
    drawn = []
    for _ in range(RESAMPLES):
        chosen = dice.integers(0, len(members_of), len(members_of))
        places = np.concatenate([members_of[number] for number in chosen])
        drawn.append((_auc(human[places], bot[places]), _accuracy(human[places], bot[places])))
    found = np.array([_auc(human, bot), _accuracy(human, bot)])
    wider = found + WIDER * (np.percentile(drawn, (2.5, 97.5), axis=0) - found)
    (low_auc, low), (high_auc, high) = np.clip(wider, 0, 1)
    return (float(low_auc), float(high_auc)), (float(low), float(high))


def _bagged(human: Array, bot: Array, size: int, seed: int) -> float | None:
    """The AUC of bags of replies, dealt many times; None where there are too few for three."""
    count = len(human) // size
    if count < 3:
        return None
    dice = np.random.default_rng(seed)
    found = []
    for _ in range(DEALS):
        sides = (dice.permutation(side)[: count * size] for side in (human, bot))
        found.append(_auc(*(side.reshape(count, size).mean(axis=1) for side in sides)))
    return float(np.mean(found))


# --- by what ---


def _tells(
    texts: list[str], measures: Array, is_other: Array, kept: Array, groups: Array
) -> tuple[Tell, ...]:
    """The differences that are no chance (Holm 1979), the largest first."""
    names = [*stylometry.NAMES]
    words, counts = _said(texts)
    names += [f"says {word!r}" for word in words]
    values = np.hstack([measures, counts])
    human, bot = values[~is_other], values[is_other]
    chances = _chances(bot - human, groups)
    surest = np.argsort(chances, kind="stable")
    limits = SURE / (len(names) - np.arange(len(names)))
    passed = np.cumprod(chances[surest] <= limits).astype(bool)
    tells = [_tell(names[place], human[:, place], bot[:, place], kept) for place in surest[passed]]
    return tuple(sorted(tells, key=lambda tell: -tell.strength))


def _chances(differences: Array, groups: Array) -> Array:
    """How likely each column's differences are by chance: a t-test over conversations.

    Replies of a conversation share its topic and its people: they are not so many witnesses.
    """
    _, numbers = np.unique(groups, return_inverse=True)
    sums = np.zeros((numbers.max() + 1, differences.shape[1]))
    np.add.at(sums, numbers, differences)
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = sums.mean(axis=0) / (sums.std(axis=0, ddof=1) / np.sqrt(len(sums)))
    found = 2 * student.sf(np.abs(sizes), len(sums) - 1)
    return np.where(np.isnan(found), 1.0, found)  # where the sides do not differ at all


def _tell(name: str, human: Array, bot: Array, kept: Array) -> Tell:
    """A difference in one measure: its size, and the bot's replies that show it most."""
    delta = 2 * _auc(human, bot) - 1
    order = np.argsort(-bot * np.sign(delta), kind="stable")
    mean, usual = float(bot.mean()), float(human.mean())
    if name.endswith(_LOGARITHM):
        mean, usual = float(np.expm1(mean)), float(np.expm1(usual))
    examples = tuple(int(kept[i]) for i in order[:SHOWN])
    return Tell(_described(name, mean, usual), mean, usual, abs(delta), examples)


def _said(texts: list[str]) -> tuple[list[str], Array]:
    """Words and pairs of words that are not rare, and which text says them."""
    counter = CountVectorizer(
        token_pattern=r"[^\W_](?:[\w'\u2019-]*[^\W_])?",
        ngram_range=(1, 2),
        min_df=RARE,
        binary=True,
    )
    try:
        found = counter.fit_transform(texts)
    except ValueError:  # no word is said so often
        return [], np.zeros((len(texts), 0))
    return list(counter.get_feature_names_out()), found.toarray().astype(np.float64)


def _described(name: str, bot: float, members: float) -> str:
    """A difference in words."""
    if name.endswith(_LOGARITHM):
        name = name.removesuffix(_LOGARITHM)
        return f"{name} a reply, typically: bot {bot:.0f}, members {members:.0f}"
    if re.match("percent of|letters a|messages a", name):
        return f"{name}: bot {bot:.1f}, members {members:.1f}"
    return f"{name}: bot {bot:.0%}, members {members:.0%}"
