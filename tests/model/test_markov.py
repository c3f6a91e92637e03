"""The Markov chain: made of what was said, new all the same, and never endless."""

import random
from itertools import pairwise

import pytest

from bot.config import UserError
from model.markov import LONGEST_REPLY, Chain
from tests.model import community


def replies(texts: list[str], count: int = 200, seed: int = 0) -> list[str]:
    chain, dice = Chain(texts), random.Random(seed)
    return [chain.reply(dice) for _ in range(count)]


def test_words_follow_each_other_as_they_did() -> None:
    texts = community.known()
    lines = [line for text in texts for line in text.splitlines()]
    seen = {pair for line in lines for pair in pairwise(line.split())}
    for reply in replies(texts):
        assert all(set(pairwise(line.split())) <= seen for line in reply.splitlines())


def test_most_replies_are_new_and_some_are_old() -> None:
    texts = community.known()
    lines = {" ".join(text.split()) for text in texts}
    old = sum(" ".join(reply.split()) in lines for reply in replies(texts))
    assert 0 < old < 150


def test_a_pair_seen_once_is_not_only_recited() -> None:
    texts = ["the cat sat down", "a cat ran off"]
    assert set(replies(texts)) == {*texts, "the cat ran off", "a cat sat down"}


def test_a_pair_seen_often_decides_what_follows() -> None:
    texts = ["one two three"] * 50 + ["four two five"] * 50
    said = replies(texts, 1000)
    crossed = said.count("one two five") + said.count("four two three")
    assert 0 < crossed < 60  # 1 in 51 backs off, and every other of these goes astray


def test_bursts_stay_bursts() -> None:
    assert set(replies(["lol\n\n  no\n", " \nlol \n no"])) == {"lol\nno"}


def test_the_same_dice_say_the_same() -> None:
    texts = community.known()[:500]
    assert replies(texts, 30, seed=4) == replies(texts, 30, seed=4) != replies(texts, 30, seed=5)


def test_a_loop_ends() -> None:
    (reply,) = replies(["ha " * 5000], 1)
    assert len(reply.split()) == LONGEST_REPLY
    (reply,) = replies([" ".join(["x" * 1000] * 9)], 1)
    assert len(reply) <= 2000


@pytest.mark.parametrize("text", ["\x00", "\ud800 \u2028 x", "\x1c\x1da", "😂" * 2000, "<start>"])
def test_garbage_is_said_as_it_came(text: str) -> None:
    (reply,) = replies([text], 1)
    assert reply and set(reply) <= {*text, " "}


def test_nothing_to_learn_from_is_an_error_with_a_way_out() -> None:
    for texts in ([], ["", " \n"]):
        with pytest.raises(UserError, match="Fetch more history"):
            Chain(texts)
