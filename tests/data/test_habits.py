"""How members answer: counted in a history, and drawn from with dice that are handed over."""

import random
from dataclasses import replace

import pytest

from data import habits
from data.habits import Habits
from data.links import Linker
from storage.messages import REPLY, Message
from tests.data.history import message

AMBER, BOB = 1, 2


def measured(*channels: list[Message]) -> Habits:
    return habits.measure(channels, [Linker() for _ in channels])


def turns(seconds: float, count: int) -> list[Message]:
    """Two people in an exchange, each answering after so many seconds."""
    return [message(n * seconds, n % 2 + 1, f"{n}") for n in range(count)]


def test_delays_are_those_of_members() -> None:
    found = measured(turns(20, 101))
    drawn = [found.delay_seconds(True, random.Random(n)) for n in range(50)]
    assert set(drawn) == {20.0}
    slow, quick = turns(500, 60), [replace(m, channel_id=2) for m in turns(5, 60)]
    found = measured(slow, quick)
    drawn = sorted(found.delay_seconds(True, random.Random(n)) for n in range(500))
    assert drawn[50] == 5 and drawn[-50] == 500


def test_exchanges_have_delays_of_their_own() -> None:
    said, seconds = [], 0.0
    for round_ in range(60):  # a newcomer is answered late, then they talk
        newcomer = 100 + round_
        said += [message(seconds, newcomer, "hi"), message(seconds + 700, BOB, "yes")]
        said += [message(seconds + 710, newcomer, "so"), message(seconds + 720, BOB, "ok")]
        seconds += 7200
    found = measured(said)
    assert max(found.exchange_delays) == 10 and max(found.delays) == 700


def test_burst_sizes_are_counted_by_turn() -> None:
    said = [message(n * 10, author, "x") for n, author in enumerate([1, 2, 2, 1, 2, 2, 2, 1])]
    found = measured(said)
    assert found.bursts[:3] == (0.6, 0.2, 0.2) and sum(found.bursts) == 1


def test_what_the_bot_does_is_no_habit_of_members() -> None:
    said = [message(0, AMBER, "a")]
    said += [message(5 + n, 66, "beep", author_kind="self") for n in range(9)]
    said += [message(40, BOB, "b"), message(60, AMBER, "c")]
    found = measured(said)
    assert found.bursts[0] == 1 and min(found.delays) == 20.0


def test_the_further_back_the_more_it_is_a_reply() -> None:
    said = turns(10, 100)
    for n in range(0, 90, 6):  # answers what was said four messages ago, and says so
        said.append(message(n * 10 + 45, 9, "that", reply_to=said[n].id, kind=REPLY))
    found = measured(sorted(said, key=lambda m: m.id))
    near = sum(bool(found.is_reply(0, 10, random.Random(n))) for n in range(400))
    far = sum(bool(found.is_reply(4, 45, random.Random(n))) for n in range(400))
    assert near < 40 and far > 200


def test_history_without_replies_does_not_say() -> None:
    assert measured(turns(10, 50)).is_reply(2, 50, random.Random(0)) is None


def test_reactions_answer_where_people_react() -> None:
    shown = [
        message(n * 7200, AMBER, "https://a.example", reactions={"🎉": 40, "<:pog:7>": 1})
        for n in range(30)
    ]
    asked = [message(n * 7200 + 3000, AMBER, "why?") for n in range(30)]
    answered = [message(n * 7200 + 3050, BOB, "so") for n in range(30)]
    found = measured(sorted([*shown, *asked, *answered], key=lambda m: m.id))
    assert found.reactions == {"asks": 0, "shows": 1, "says": 0}
    drawn = {found.reaction(shown[0], random.Random(n)) for n in range(50)}
    assert drawn == {"🎉", "<:pog:7>"}
    assert found.reaction(asked[0], random.Random(0)) is None


def test_history_without_reactions_answers_in_words() -> None:
    found = measured(turns(10, 50))
    assert found.reaction(message(0, AMBER, "https://a.example"), random.Random(0)) is None


def test_nobody_answering_teaches_nothing() -> None:
    with pytest.raises(ValueError):
        measured([message(0, AMBER, "a"), message(9000, BOB, "b")])
