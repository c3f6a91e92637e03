"""Fit: who listens is found out, who recites scores as chance does."""

import random
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pytest

from bot.config import UserError
from tests.model import community

text = pytest.importorskip("sklearn.feature_extraction.text", reason="needs requirements-train.txt")
module = pytest.importorskip("model.fit")
fit, CHANCE, LEAST = module.fit, module.CHANCE, module.LEAST

TOPICS = [f"topic{number}" for number in range(200)]


def embed(texts: Sequence[str]) -> npt.NDArray[np.float64]:
    rows = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3)).fit_transform(texts)
    return np.asarray(rows.toarray())


def nothing(texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
    """Vectors that know nothing, as the embedder gives them: a list, float32."""
    return [np.zeros(4, np.float32) for _ in texts]


def test_chance_is_the_mean_of_one_by_rank() -> None:
    assert pytest.approx(0.2929, abs=1e-4) == CHANCE


def test_who_answers_the_topic_fits_and_swapped_is_chance() -> None:
    found = fit([f"do you know {t}" for t in TOPICS], [f"{t} is mine" for t in TOPICS], embed)
    assert found.mrr == found.top1 == found.low == found.high == 1.0
    assert found.swapped_mrr == pytest.approx(CHANCE, abs=0.06)


def test_words_in_common_are_enough_without_vectors() -> None:
    found = fit([f"do you know {t}" for t in TOPICS], [f"{t} is mine" for t in TOPICS], nothing)
    assert found.mrr == 1.0


@pytest.mark.parametrize("reply", ["lol", "", "\x00\ud800"])
def test_who_says_the_same_to_all_scores_as_chance_does(reply: str) -> None:
    contexts = [f"do you know {topic}" for topic in TOPICS]
    found = fit(contexts, [reply] * len(TOPICS), nothing)
    assert found.low < CHANCE < found.high
    assert found.mrr == pytest.approx(CHANCE, abs=0.06)


def test_members_fit_better_than_their_replies_dealt_out_anew() -> None:
    said = community.bursts()[-1500:]
    contexts = ["\n".join(said[place - 3 : place]) for place in range(3, len(said), 5)]
    replies = [said[place] for place in range(3, len(said), 5)]
    members = fit(contexts, replies, embed)
    assert members.low > CHANCE + 0.02
    assert members.low < members.mrr < members.high
    assert members.swapped_mrr == pytest.approx(CHANCE, abs=0.06)
    dealt = fit(contexts, random.Random(0).sample(replies, len(replies)), embed)
    assert dealt.high < members.low
    assert dealt.mrr == pytest.approx(CHANCE, abs=0.06)


def test_contexts_of_one_conversation_are_not_rivals() -> None:
    """Each topic comes four times in contexts that share a line; a rival would share the rank."""
    contexts = [f"about {t}\n\nand {n}{t}" for t in TOPICS[:40] for n in range(4)]
    replies = [f"{topic} it is" for topic in TOPICS[:40] for _ in range(4)]
    assert fit(contexts, replies, nothing).mrr == 1.0


def test_the_same_seed_gives_the_same_figures() -> None:
    contexts, replies = community.two_sides(60)
    assert fit(contexts, replies, embed, 1) == fit(contexts, replies, embed, 1)
    assert fit(contexts, replies, embed, 1) != fit(contexts, replies, embed, 2)


def test_too_little_is_an_error_with_a_way_out() -> None:
    few = TOPICS[: LEAST - 1]
    for contexts in ([], few, ["same"] * 100, [""] * 100):
        with pytest.raises(UserError, match=r"Fetch more history"):
            fit(contexts, contexts, nothing)
    assert fit(TOPICS[:LEAST], TOPICS[:LEAST], nothing).mrr == 1.0
