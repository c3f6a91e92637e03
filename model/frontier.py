"""How far two sides lie apart as clouds of texts: the divergence frontier, and style by the bag.

The frontier's integral is what the package mauve-text computes, with features of our own: it would
bring faiss along, and expects to download GPT-2. One thread computes: several add up in any order,
and the same seed would not give the same figures.
"""

import random
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.cluster import KMeans
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer
from sklearn.preprocessing import normalize
from sklearn.utils.extmath import randomized_svd
from threadpoolctl import threadpool_limits

BAG = 20  # replies whose style is taken together: one alone has none that could be measured
SHUFFLES = 10
CLUSTERINGS = 5
DIMENSIONS = 64
PER_CLUSTER = 10  # texts of each side
STYLE_WORDS = 300  # the commonest words, which say how something is said rather than what
SPACE = 2**15  # columns that n-grams are hashed into

Array = npt.NDArray[Any]

_WORD = re.compile(r"\w+")


def frontier_integral(members: Sequence[str], others: Sequence[str], seed: int) -> float:
    """0 where the texts of both sides lie alike, 1 where they never meet.

    Liu et al. 2021, "Divergence Frontiers for Generative Models", on k-means of TF-IDF of character
    n-grams in 64 dimensions; the mean of several clusterings.
    """
    features = _features(members, others, seed)
    most = len(np.unique(features.round(6), axis=0))
    clusters = min(max(2, min(len(members), len(others)) // PER_CLUSTER), most)
    found = []
    for number in range(CLUSTERINGS):
        with threadpool_limits(1):
            labels = KMeans(clusters, n_init=1, random_state=seed + number).fit_predict(features)
        sides = labels[: len(members)], labels[len(members) :]
        found.append(integral(*(np.bincount(side, minlength=clusters) for side in sides)))
    return float(np.mean(found))


def integral(p_counts: Array, q_counts: Array) -> float:
    """2 times the integral over t in [0, 1] of t KL(p | r) + (1 - t) KL(q | r), r = tp + (1 - t)q.

    Of shares of counts with a half added to each, which lessens the bias of small samples
    (Krichevsky-Trofimov). Closed form: sum of (p + q) / 2 - pq (ln p - ln q) / (p - q).
    """
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (p_counts, q_counts))
    apart = np.where(np.isclose(p, q, rtol=1e-6, atol=0), 1.0, p - q)
    middle = np.where(apart == 1.0, (p + q) / 2, p * q * (np.log(p) - np.log(q)) / apart)
    return max(0.0, float(((p + q) / 2 - middle).sum()))


def style_percentile(
    members: Sequence[str], others: Sequence[str], known: Sequence[str], seed: int
) -> float:
    """How alike in style bags of 20 of the others' replies are to members', in percent.

    The mean percentile of their similarity to members' bags among that of members' bags to each
    other: 50 for one more member, 0 for a stranger, more than 50 for the average in person. Style
    is the n-grams of a text whose rarer words are masked (Stamatatos 2017, "Authorship Attribution
    Using Text Distortion").
    """
    common = _common(known)
    rows = _tf_idf([_masked(text, common) for text in (*members, *others)], (1, 3))
    dice = random.Random(seed)
    own, between = [], []
    with threadpool_limits(1):
        for _ in range(SHUFFLES):
            ours = _bags(rows, range(len(members)), dice)
            theirs = _bags(rows, range(len(members), len(members) + len(others)), dice)
            own += (ours @ ours.T)[np.triu_indices(len(ours), 1)].tolist()
            between += (ours @ theirs.T).ravel().tolist()
    ordered = np.sort(own)
    below, up_to = (np.searchsorted(ordered, between, side) for side in ("left", "right"))
    return float(50 * (below + up_to).mean() / len(ordered))


def _bags(rows: Any, places: range, dice: random.Random) -> Array:
    """The mean of each whole bag's rows, of unit length."""
    mixed = dice.sample(places, len(places) // BAG * BAG)
    means = [rows[mixed[first : first + BAG]].mean(axis=0) for first in range(0, len(mixed), BAG)]
    return np.asarray(normalize(np.vstack([np.asarray(mean).ravel() for mean in means])))


def _common(texts: Sequence[str]) -> frozenset[str]:
    counts = Counter(word for text in texts for word in _WORD.findall(text.lower()))
    return frozenset(word for word, _ in counts.most_common(STYLE_WORDS))


def _masked(text: str, common: frozenset[str]) -> str:
    """The text with words that are not `common` as crosses, large for capitals."""

    def mask(match: re.Match[str]) -> str:
        word = match[0]
        if word.lower() in common:
            return word
        return "".join("X" if letter.isupper() else "x" for letter in word)

    return _WORD.sub(mask, text)


def _features(members: Sequence[str], others: Sequence[str], seed: int) -> Array:
    """A row of `DIMENSIONS` numbers for each text."""
    rows = _tf_idf([*members, *others], (1, 4))
    wide = min(DIMENSIONS, min(rows.shape) - 1)
    with threadpool_limits(1):
        places, strengths, _ = randomized_svd(rows, wide, random_state=seed)
    return np.asarray(places * strengths)


def _tf_idf(texts: Sequence[str], lengths: tuple[int, int]) -> Any:
    """Weights of the texts' character n-grams, unit rows; hashed, so that any text has some."""
    kind = {"analyzer": "char", "ngram_range": lengths, "lowercase": False}
    count = HashingVectorizer(**kind, n_features=SPACE, norm=None, alternate_sign=False)
    whole = [text.encode("utf-8", "replace").decode() for text in texts]  # no half characters
    return TfidfTransformer(sublinear_tf=True).fit_transform(count.transform(whole))
