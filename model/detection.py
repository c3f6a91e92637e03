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
    test = _Test(members, others, groups)
    human, bot = test.scores(seed)
    auc_95, accuracy_95 = _intervals(human, bot, test.conversations, seed)
    return Detection(
        auc=_auc(human, bot),
        auc_95=auc_95,
        accuracy=_accuracy(human, bot),
        accuracy_95=accuracy_95,
        bags={size: auc for size in BAGS if (auc := _bagged(human, bot, size, seed)) is not None},
        tells=_tells(test),
    )


def auc(
    members: Sequence[str], others: Sequence[str], groups: Sequence[int], seed: int = 0
) -> float:
    """The AUC of `detect` alone, which is a fraction of its work. Raises `UserError` as it does."""
    return _auc(*_Test(members, others, groups).scores(seed))


def require(replies: int, conversations: int) -> None:
    """Raise `UserError` where so few cannot show anything."""
    if replies < LEAST_PAIRS or conversations < LEAST_GROUPS:
        raise UserError(
            f"Telling sides apart needs {LEAST_PAIRS} replies of {LEAST_GROUPS} conversations, and "
            f"there are {replies} of {conversations}. Fetch more history and prepare again, or "
            "measure with --quick."
        )


class _Test:
    """The replies of both sides, members' first, without pairs in which one says nothing."""

    def __init__(
        self, members: Sequence[str], others: Sequence[str], groups: Sequence[int]
    ) -> None:
        pairs = enumerate(zip(members, others, strict=True))
        self.kept = np.array([i for i, pair in pairs if all(text.strip() for text in pair)], int)
        self.conversations = np.array(groups)[self.kept]
        require(len(self.kept), len(set(self.conversations.tolist())))
        self.texts = [s[i][: stylometry.LONGEST] for s in (members, others) for i in self.kept]
        self.is_other = np.repeat([False, True], len(self.kept))
        self.measures = stylometry.measure(self.texts)

    def scores(self, seed: int) -> tuple[Array, Array]:
        """Each side's log-odds of being the others', by classifiers of other conversations."""
        scores = np.zeros(len(self.texts))
        folds = GroupKFold(FOLDS, shuffle=True, random_state=seed)
        groups = np.tile(self.conversations, 2)
        for learned, judged in folds.split(self.measures, self.is_other, groups):
            scores[judged] = self._judge(learned, judged, seed)
        return scores[~self.is_other], scores[self.is_other]

    def _judge(self, learned: Array, judged: Array, seed: int) -> Array:
        words = _Words([self.texts[i] for i in learned])
        lines = LogisticRegression(C=3.0, solver="liblinear", dual=True, random_state=seed)
        lines.fit(words.rows([self.texts[i] for i in learned]), self.is_other[learned])
        style = HistGradientBoostingClassifier(
            max_iter=60, max_leaf_nodes=8, min_samples_leaf=10, random_state=seed
        )
        style.fit(self.measures[learned], self.is_other[learned])
        by_words = lines.decision_function(words.rows([self.texts[i] for i in judged]))
        by_style = style.decision_function(self.measures[judged])
        odds = np.clip([by_words, by_style], -CERTAIN, CERTAIN)
        return np.asarray(odds.mean(axis=0))


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


def _tells(test: _Test) -> tuple[Tell, ...]:
    """The differences that are no chance (Holm 1979), the largest first."""
    names = [*stylometry.NAMES]
    words, counts = _said(test.texts)
    names += [f"says {word!r}" for word in words]
    values = np.hstack([test.measures, counts])
    human, bot = values[~test.is_other], values[test.is_other]
    chances = _chances(bot - human, test.conversations)
    surest = np.argsort(chances, kind="stable")
    limits = SURE / (len(names) - np.arange(len(names)))
    passed = surest[np.cumprod(chances[surest] <= limits).astype(bool)]
    tells = [_tell(names[place], human[:, place], bot[:, place], test.kept) for place in passed]
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
