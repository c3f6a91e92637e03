"""Does a reply belong to the conversation it was written for?

Each reply picks its context among ten: its own and nine from elsewhere, by how much they are about
the same things. The mean of 1 / rank says how well:

    1 / rank on average = 0.293 by chance (1 + 1/2 + ... + 1/10, over ten), 1 at best

A bot that recites its training data without listening scores as chance does; members are the
reference. With a context of another conversation for its own (`swapped`) it is chance for all.
"""

import dataclasses
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array
from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

from bot.config import UserError

CANDIDATES = 10
CHANCE = sum(1 / rank for rank in range(1, CANDIDATES + 1)) / CANDIDATES
LEAST = 20  # replies
RESAMPLES = 2000

Array = npt.NDArray[Any]
Embed = Callable[[Sequence[str]], Any]
"""Turns texts into vectors, a row each."""


@dataclasses.dataclass(frozen=True)
class Fit:
    """The mean reciprocal rank with its 95 % bootstrap interval, and the share of first places.

    `swapped_mrr` is what the replies score with contexts that are not theirs.
    """

    mrr: float
    low: float
    high: float
    top1: float
    swapped_mrr: float


def fit(contexts: Sequence[str], replies: Sequence[str], embed: Embed, seed: int = 0) -> Fit:
    """How well the replies fit to their contexts, texts of the same places in both lists.

    Contexts with a line in common are one conversation, and never compared with each other. Raises
    `UserError` where fewer than `LEAST` replies have ten contexts of other conversations.
    """
    elsewhere = _elsewhere(contexts, random.Random(seed))
    if len(elsewhere) < LEAST:
        raise UserError(
            f"Whether replies fit needs {LEAST} of different conversations, and there are "
            f"{len(elsewhere)}. Fetch more history, or evaluate more of it."
        )
    places = np.array(list(elsewhere))
    others = np.array(list(elsewhere.values()))
    views = [_unit(embed, contexts, replies), _tf_idf(contexts, replies)]
    found = _reciprocal_ranks(views, places, np.column_stack((places, others[:, 1:])), seed)
    swapped = _reciprocal_ranks(views, places, others, seed)
    drawn = np.random.default_rng(seed).integers(0, len(found), (RESAMPLES, len(found)))
    low, high = np.percentile(found[drawn].mean(axis=1), (2.5, 97.5))
    top1 = float((found == 1).mean())
    return Fit(float(found.mean()), float(low), float(high), top1, float(swapped.mean()))


def _elsewhere(contexts: Sequence[str], dice: random.Random) -> dict[int, list[int]]:
    """Ten contexts of other conversations for each context that has so many."""
    holders = defaultdict(set)
    lines = [set(filter(str.strip, context.splitlines())) or {""} for context in contexts]
    for place, own in enumerate(lines):
        for line in own:
            holders[line].add(place)
    found = {}
    for place, own in enumerate(lines):
        same = set().union(*(holders[line] for line in own))
        if len(same) + CANDIDATES <= len(contexts):
            drawn = dice.sample(range(len(contexts)), len(same) + CANDIDATES)
            found[place] = [other for other in drawn if other not in same][:CANDIDATES]
    return found


def _reciprocal_ranks(
    views: Sequence[tuple[Any, Any]], replies: Array, candidates: Array, seed: int
) -> Array:
    """1 / rank of the first of each reply's candidates; equals are ranked by lot."""
    score = np.sum([_cosines(view, candidates, replies) for view in views], axis=0)
    lot = np.random.default_rng(seed).random(candidates.shape)
    is_better = (score > score[:, :1]) | ((score == score[:, :1]) & (lot < lot[:, :1]))
    return np.asarray(1 / (1 + is_better.sum(axis=1)))


def _cosines(view: tuple[Any, Any], candidates: Array, replies: Array) -> Array:
    """A row for each reply, a column for each of its candidates."""
    contexts, answers = view
    columns = [contexts[column] * answers[replies] for column in candidates.T]
    return np.stack([np.asarray(column.sum(axis=1)).ravel() for column in columns], axis=1)


def _unit(embed: Embed, contexts: Sequence[str], replies: Sequence[str]) -> tuple[Array, Array]:
    vectors = np.asarray(embed([*contexts, *replies]), np.float64)
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors[: len(contexts)], vectors[len(contexts) :]


def _tf_idf(contexts: Sequence[str], replies: Sequence[str]) -> tuple[Any, Any]:
    """Unit rows of the weights of words, as sparse arrays, which `*` multiplies elementwise."""
    count = HashingVectorizer(norm=None, alternate_sign=False)
    counts = count.transform([*contexts, *replies])
    rows = csr_array(TfidfTransformer(sublinear_tf=True).fit_transform(counts))
    return rows[: len(contexts)], rows[len(contexts) :]
