"""Telling sides apart: by chance where there is no difference, by the difference where there is."""

import random

import numpy as np
import pytest

from bot.config import UserError

pytest.importorskip("sklearn", reason="needs requirements-train.txt")
from model import detection
from model.detection import detect
from tests.model import community
from tests.model.test_stylometry import GARBAGE

COUNT = 240
GROUPS = [number // 4 for number in range(COUNT)]


@pytest.fixture(scope="module")
def sides() -> tuple[list[str], list[str]]:
    return community.two_sides(COUNT)


def test_members_are_not_told_from_members(sides: tuple[list[str], list[str]]) -> None:
    found = detect(*sides, GROUPS)
    assert found.auc_95[0] <= 0.5 <= found.auc_95[1]
    assert found.accuracy_95[0] <= 0.5 <= found.accuracy_95[1]
    assert found.tells == ()


def test_a_planted_tell_is_found_and_named_first(sides: tuple[list[str], list[str]]) -> None:
    members, others = sides
    stopped = [f"{text.rstrip('.!?')}." for text in others]
    found = detect(members, stopped, GROUPS)
    assert found.auc > 0.9 and found.accuracy_95[0] > 0.8
    assert "full stop" in found.tells[0].description or "any mark" in found.tells[0].description
    assert any("full stop" in tell.description for tell in found.tells[:2])
    assert all(stopped[place].endswith(".") for place in found.tells[0].examples)
    assert found.bags[5] > 0.99


def test_a_word_that_the_bot_says_too_often_is_named(sides: tuple[list[str], list[str]]) -> None:
    members, others = sides
    said = [f"{text} indeed" if n % 3 == 0 else text for n, text in enumerate(others)]
    assert any("'indeed'" in tell.description for tell in detect(members, said, GROUPS).tells)


def test_words_in_no_order_are_detected(sides: tuple[list[str], list[str]]) -> None:
    members, others = sides
    dice = random.Random(0)
    mixed = [" ".join(dice.sample(text.split(), len(text.split()))) for text in others]
    assert detect(members, mixed, GROUPS).auc_95[0] > 0.5


def test_the_topic_of_one_conversation_is_no_tell(sides: tuple[list[str], list[str]]) -> None:
    members, others = sides
    groups = [number // 24 for number in range(COUNT)]
    one = [
        f"{text} bananas" if group == 3 else text
        for text, group in zip(others, groups, strict=True)
    ]
    all_over = [f"{text} bananas" if n % 10 == 0 else text for n, text in enumerate(others)]
    assert _named(members, one, groups) == []
    assert _named(members, all_over, groups) == ["says 'bananas': bot 10%, members 0%"]


def _named(members: list[str], others: list[str], groups: list[int]) -> list[str]:
    """Descriptions of the tells, without judging the replies."""
    test = detection._Test(members, others, groups)
    return [tell.description for tell in detection._tells(test)]


def test_shuffled_sides_are_chance(sides: tuple[list[str], list[str]]) -> None:
    dice = random.Random(0)
    stopped = [f"{text.rstrip('.!?')}." for text in sides[1]]
    pairs = [dice.sample(pair, 2) for pair in zip(sides[0], stopped, strict=True)]
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    found = detect(one, other, GROUPS)
    assert found.auc_95[0] <= 0.5 <= found.auc_95[1]
    assert found.tells == ()


def test_the_same_seed_gives_the_same_figures(sides: tuple[list[str], list[str]]) -> None:
    assert detect(*sides, GROUPS, seed=3) == detect(*sides, GROUPS, seed=3)


def test_too_few_replies_are_a_sentence_that_says_how_many(
    sides: tuple[list[str], list[str]],
) -> None:
    members, others = sides
    with pytest.raises(UserError, match="50 replies of 10 conversations"):
        detect(members[:49], others[:49], GROUPS[:49])
    with pytest.raises(UserError, match="there are 240 of 1"):
        detect(members, others, [7] * COUNT)
    with pytest.raises(UserError, match="there are 0 of 0"):
        detect(members, [""] * COUNT, GROUPS)


def test_garbage_is_judged_like_anything_else() -> None:
    texts = [text for text in GARBAGE if text.strip()] * 4
    groups = [number // 4 for number in range(len(texts))]
    found = detect(texts, texts[::-1], groups)
    assert 0 <= found.auc <= 1


def test_replies_that_share_no_word_are_judged() -> None:
    own = [chr(0x4E00 + number) for number in range(120)]
    groups = [number // 4 for number in range(60)]
    assert 0 <= detect(own[:60], own[60:], groups).auc <= 1


def test_replies_of_blanks_do_not_count(sides: tuple[list[str], list[str]]) -> None:
    with pytest.raises(UserError, match="there are 0 of 0"):
        detect(sides[0], [" \n "] * COUNT, GROUPS)


def test_a_difference_without_exception_is_a_tell() -> None:
    members = [f"word{number}" for number in range(80)]
    groups = [number // 4 for number in range(80)]
    tells = detect(members, [f"{text}." for text in members], groups).tells
    assert any(tell.description.startswith("ends in a full stop: bot 100%") for tell in tells)
    assert tells[0].strength == 1


def test_an_auc_is_the_chance_that_a_bot_scores_higher() -> None:
    human, bot = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    wins = [(b > h) + (b == h) / 2 for b in bot for h in human]
    assert detection._auc(human, bot) == pytest.approx(sum(wins) / len(wins))
