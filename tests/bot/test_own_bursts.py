"""In how many messages a reply is said: what the model writes comes near what members do."""

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from bot.own_bursts import REMEMBERED, OwnBursts

MEMBERS = (0.63, 0.21, 0.08, 0.04, 0.02, 0.01, 0.01)  # of a real community
WORDY = (0.3, 0.37, 0.17, 0.16)  # what the base model writes there


def said(shares: Sequence[float], count: int) -> tuple[list[int], list[int]]:
    """How many lines the model wrote, by these shares, and how many messages were made of them."""
    dice, own = random.Random(0), OwnBursts()
    lines = dice.choices(range(1, len(shares) + 1), shares, k=count)
    return lines, [len(own.of(["x"] * n, MEMBERS)) for n in lines]


def distance(sizes: Sequence[int]) -> float:
    """Half of the differences to what members do (total variation)."""
    found = Counter(sizes)
    shares = dict(enumerate(MEMBERS, 1))
    return sum(abs(found[n] / len(sizes) - shares.get(n, 0.0)) for n in {*found, *shares}) / 2


def test_a_wordy_model_sends_as_many_messages_as_members() -> None:
    lines, sizes = said(WORDY, 1000)
    assert distance(lines) > 0.3 and distance(sizes) < 0.1
    assert all(size <= n for n, size in zip(lines, sizes, strict=True))


def test_a_model_that_does_as_members_do_is_left_alone() -> None:
    lines, sizes = said(MEMBERS, 1000)
    kept = sum(n == size for n, size in zip(lines, sizes, strict=True))
    assert kept > 900 and distance(sizes) < 0.05


def test_one_line_is_one_message_always() -> None:
    own = OwnBursts()
    assert all(own.of(["lol"], (0.0, 1.0)) == ["lol"] for _ in range(3 * REMEMBERED))


@pytest.mark.parametrize("shares", [(1.0,), (0.0, 0.0, 1.0), MEMBERS])
def test_nothing_is_lost_and_the_order_stays(shares: tuple[float, ...]) -> None:
    own, lines = OwnBursts(), ["a", "b", "```\nc\n```", "d"]
    for _ in range(50):
        assert "\n".join(own.of(lines, shares)) == "\n".join(lines)


def test_sizes_that_no_member_has_are_soon_given_up() -> None:
    own = OwnBursts()
    sizes = [len(own.of(["a", "b", "c"], (1.0,))) for _ in range(20)]
    assert sizes[-10:] == [1] * 10


def test_a_message_stays_within_discords_limit() -> None:
    own = OwnBursts()
    for _ in range(20):
        assert max(map(len, own.of(["x" * 1500, "y" * 1500], (1.0,)))) <= 2000
