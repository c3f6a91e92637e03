"""Typing lasts as long as typing that text would."""

import random
import statistics

import pytest

from bot.typing_time import LONGEST_SECONDS, PROMPT_SECONDS, typing_seconds

ROLLS = [i / 50 for i in range(50)]


def test_a_sentence_takes_what_people_take() -> None:
    sentence = "yeah i think so too"  # 19 letters: 3.8 words
    taken = [typing_seconds(sentence, roll) for roll in ROLLS]
    words_a_minute = [60 * len(sentence) / 5 / seconds for seconds in taken]
    assert 40 < statistics.mean(words_a_minute) < 60
    assert min(words_a_minute) < 40 and max(words_a_minute) > 60


def test_longer_takes_longer_up_to_eight_seconds() -> None:
    taken = [typing_seconds("a" * length, 0.5) for length in (1, 10, 20, 30, 1_000, 100_000)]
    assert taken == sorted(taken)
    assert taken[-1] == taken[-2] == LONGEST_SECONDS


def test_the_time_it_was_in_the_making_counts_as_typed() -> None:
    whole = typing_seconds("a long enough sentence", 0.5)
    assert typing_seconds("a long enough sentence", 0.5, spent=2) == pytest.approx(whole - 2)
    assert typing_seconds("a long enough sentence", 0.5, spent=60) == 0


def test_who_addressed_the_bot_waits_no_more_than_three_seconds() -> None:
    assert max(typing_seconds("a" * 500, roll, is_prompt=True) for roll in ROLLS) == PROMPT_SECONDS
    assert typing_seconds("a" * 500, 0.0, spent=3, is_prompt=True) == 0


def test_links_and_emoji_are_pasted() -> None:
    link = "https://example.org/" + "a" * 200
    assert typing_seconds(link, 0.5) == typing_seconds("hello", 0.5)
    assert typing_seconds("<:catjam:123456789012345678>", 0.5) == typing_seconds("hello", 0.5)


@pytest.mark.parametrize("text", ["", "\u202e" * 10_000, "\U0001f480", "\ud800", "<:a" * 5_000])
def test_any_text_takes_a_time_within_bounds(text: str) -> None:
    dice = random.Random(1)
    assert all(0.5 <= typing_seconds(text, dice.random()) <= LONGEST_SECONDS for _ in range(20))
