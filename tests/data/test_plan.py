"""What is learned and what is held out, before a word of it is written."""

from collections import Counter

import numpy as np
import pytest

from data import plan
from data.plan import HELD_OUT, LEARNED, UNUSED, ChannelPlan
from storage.messages import Message
from tests.data.history import chat, message


def planned(said: list[Message], held_out: float = 0.1) -> ChannelPlan:
    (one,), _ = plan.read(said, lambda _: None, held_out)
    return one


def bursts(one: ChannelPlan, side: int | None = None) -> list[tuple[int, int]]:
    pairs = zip(one.first.tolist(), one.last.tolist(), one.side.tolist(), strict=True)
    return [(first, last) for first, last, its in pairs if side in (None, its)]


def test_a_burst_is_one_reply() -> None:
    said = [
        message(0, 1, "who broke the build"),
        message(20, 2, "me"),
        message(24, 2, "sorry"),
        message(29, 2, "fixing it"),
        message(60, 1, "thanks"),
    ]
    assert bursts(planned(said)) == [(1, 3), (4, 4)]


def test_a_marked_reply_begins_a_burst_of_its_own() -> None:
    said = [message(0, 1, "a"), message(5, 3, "b"), message(20, 2, "c")]
    said.append(message(25, 2, "d", reply_to=said[0].id))
    assert (2, 3) not in bursts(planned(said))


def test_nobody_answers_himself() -> None:
    one = planned([message(i * 400, 1, f"monologue {i}") for i in range(30)])
    assert bursts(one) == []


def test_no_conversation_is_on_both_sides() -> None:
    one = planned(chat(800))
    sides: dict[int, set[int]] = {}
    for first, side in zip(one.first, one.side, strict=True):
        if side != UNUSED:
            sides.setdefault(int(one.conversations[first]), set()).add(int(side))
    assert all(len(both) == 1 for both in sides.values())
    assert {LEARNED, HELD_OUT} == {side for both in sides.values() for side in both}


@pytest.mark.parametrize("share", [0.05, 0.1, 0.3])
def test_held_out_is_the_newest_share(share: float) -> None:
    one = planned(chat(1000), share)
    assert one.line == 1000 - int(share * 1000)
    assert all(first >= one.line for first, _ in bursts(one, HELD_OUT))
    assert all(last < one.line for _, last in bursts(one, LEARNED))


def test_one_endless_conversation_is_cut_at_the_line() -> None:
    said = [message(i * 20, i % 4 + 1, f"pixel {i}") for i in range(400)]
    one = planned(said)
    assert len(bursts(one, HELD_OUT)) >= 20
    before = set(one.conversations[: one.line].tolist())
    assert not before & set(one.conversations[one.line :].tolist())


@pytest.mark.parametrize("share", [0.1, 0.15, 0.3])
@pytest.mark.parametrize("people", [2, 3, 12, 60])
def test_nobody_writes_more_than_the_cap(share: float, people: int) -> None:
    said = [
        message(i * 20, 1 if i % 2 else 2 + i // 2 % (people - 1), f"pixel {i}")
        for i in range(3000)
    ]
    one = planned(said)
    before = len(bursts(one, LEARNED))
    thinned = plan.cap_authors([one], share)
    authors = Counter(int(one.authors[first]) for first, _ in bursts(one, LEARNED))
    assert sum(authors.values()) == before - thinned
    assert max(authors.values()) <= max(share, 2 / people) * sum(authors.values()) + 1
    assert len(authors) == people


def test_the_cap_thins_evenly_over_time() -> None:
    said = [message(i * 20, 1 if i % 2 else 2 + i % 40, f"pixel {i}") for i in range(4000)]
    one = planned(said)
    plan.cap_authors([one], 0.1)
    kept = [first for first, _ in bursts(one, LEARNED) if one.authors[first] == 1]
    halves = Counter(first < one.line / 2 for first in kept)
    assert abs(halves[True] - halves[False]) <= 2


def test_sizes_lie_within_the_window_and_repeat_with_the_seed() -> None:
    one, again = planned(chat(800)), planned(chat(800))
    for each in (one, again):
        plan.choose_sizes([each], (5, 10), 0.2, seed=4)
    assert set(one.size.tolist()) == {1, 4, 5, 6, 7, 8, 9}
    assert np.array_equal(one.size, again.size)
    assert 0.1 < (one.size == 1).mean() < 0.3


def test_nothing_kept_is_no_plan() -> None:
    plans, left_out = plan.read(chat(10), lambda _: "notice", 0.1)
    assert (plans, left_out) == ([], Counter({"notice": 10}))
    assert plan.cap_authors([], 0.15) == 0
