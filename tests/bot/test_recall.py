"""Which of the related messages are told: the closest, rather new than old, and never too much."""

import pytest

from bot import recall
from bot.recall import choose
from storage import messages
from storage.messages import Message

NOW = 1_700_000_000.0
DAY = 86_400.0


def said(days_ago: float, text: str = "so it was") -> Message:
    return Message(messages.snowflake_at(NOW - days_ago * DAY), 1, 2, "kim", text)


def test_the_closest_are_told_first() -> None:
    far, near = said(1), said(2)
    assert choose([(far, 0.4), (near, 0.7)], NOW) == [near, far]


def test_of_two_that_are_about_as_close_the_newer_is_told() -> None:
    old, new = said(700), said(1)
    assert choose([(old, 0.52), (new, 0.50)], NOW)[0] == new
    assert choose([(old, 0.60), (new, 0.50)], NOW)[0] == old


def test_after_thirty_days_half_of_the_advantage_is_left() -> None:
    half = recall.RECENT / 2
    old, new = said(30), said(0)
    assert choose([(old, 0.5 + half + 0.001), (new, 0.5)], NOW)[0] == old
    assert choose([(old, 0.5 + half - 0.001), (new, 0.5)], NOW)[0] == new


def test_a_message_of_tomorrow_gains_no_more_than_one_of_now() -> None:
    assert choose([(said(-9000), 0.5), (said(0), 0.51)], NOW)[0] == said(0)


def test_never_more_than_fits() -> None:
    many = [(said(day, "lol"), 0.5) for day in range(1, 20)]
    assert len(choose(many, NOW)) == recall.MOST
    long, short = said(1, "x" * 1000), said(2, "the heron again")
    assert choose([(long, 0.9), (short, 0.5)], NOW) == [short]
    told = choose([(said(day, "y" * 100), 0.5) for day in range(1, 9)], NOW)
    estimate = sum(recall.TURN_TOKENS + len(m.content) / recall.LETTERS for m in told)
    assert 1 < len(told) < recall.MOST and estimate <= recall.TOKENS


@pytest.mark.parametrize("found", [[], [(said(1, ""), 0.9)]])
def test_little_is_fine(found: list[tuple[Message, float]]) -> None:
    assert choose(found, NOW) == [message for message, _ in found]
