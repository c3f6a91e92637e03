"""A sincere "are you a bot?" is recognised, and a reply that denies it too."""

import gzip
import json

import pytest

from bot import honesty
from bot.config import ROOT
from tests.bot.questions import DENIALS, HARMLESS, OTHER, SINCERE

COMMUNITIES = sorted((ROOT / "sandbox" / "communities").glob("*/messages.jsonl.gz"))


@pytest.mark.parametrize("text", SINCERE)
def test_a_sincere_question_is_recognised(text: str) -> None:
    assert honesty.asks(text, own_id=1)


@pytest.mark.parametrize("text", OTHER)
def test_what_only_sounds_like_it_is_not(text: str) -> None:
    assert not honesty.asks(text, own_id=1)


@pytest.mark.parametrize(("asked", "reply"), DENIALS)
def test_a_denial_is_recognised(asked: str, reply: str) -> None:
    assert honesty.denies(reply, ["hello", asked])


@pytest.mark.parametrize(("asked", "reply"), HARMLESS)
def test_other_replies_are_let_through(asked: str, reply: str) -> None:
    assert not honesty.denies(reply, ["hello", asked])


def test_the_answers_are_the_truth_and_no_denial() -> None:
    given = {honesty.answer(number << 22) for number in range(10)}
    assert given == set(honesty.ANSWERS)
    assert not any(honesty.denies(text, ["are you a bot?"]) for text in given)


@pytest.mark.parametrize("path", COMMUNITIES, ids=lambda path: path.parent.name)
def test_a_community_that_talks_of_bots_asks_nobody(path: object) -> None:
    with gzip.open(str(path), "rt", encoding="utf-8") as file:
        texts = [str(json.loads(line).get("content", "")) for line in file]
    assert len(texts) > 1000
    assert [text for text in texts if honesty.asks(text, own_id=1)] == []


@pytest.mark.parametrize(
    "text",
    ["", " ", "\x00" * 500, "are you " * 5000, "a" * 100_000, "\u202e?tob a uoy era", "?" * 600,
     "are you a " + "really " * 80 + "x", "\ud800", "<@1>" * 150, "`" * 599, '"' * 599],
)  # fmt: skip
def test_garbage_takes_no_time_and_asks_nothing(text: str) -> None:
    assert not honesty.asks(text, own_id=1)
    assert not honesty.denies(text, [text])
