"""What the model is shown begins with the same message for as long as it can."""

import random

from bot.window import LEAST, MOST, Windows
from tests.data.history import message


def shown(windows: Windows, count: int, first: int = 0) -> list[int]:
    said = [message(n, 1, str(n)) for n in range(first, count)]
    return [int(one.content) for one in windows.of(said)]


def test_a_conversation_grows_and_is_cut_by_several_messages() -> None:
    windows = Windows()
    seen = [shown(windows, count) for count in range(1, 30)]
    assert seen[0] == [0] and seen[MOST - 1] == list(range(MOST))
    assert all(one[-1] == count and len(one) <= MOST for count, one in enumerate(seen))
    begins = [one[0] for one in seen]
    assert len(set(begins)) == 1 + -(-(29 - MOST) // (MOST - LEAST + 1))
    assert min(len(one) for one in seen[MOST:]) == LEAST


def test_what_is_not_seen_any_more_does_not_matter() -> None:
    windows = Windows()
    shown(windows, 8)
    assert shown(windows, 20, first=15) == [15, 16, 17, 18, 19]
    assert windows.of([]) == []


def test_channels_have_windows_of_their_own() -> None:
    windows, dice = Windows(), random.Random(1)
    said = {
        channel: [message(n, 1, "x", channel_id=channel) for n in range(20)] for channel in (1, 2)
    }
    ends = {1: 1, 2: 1}
    begins: dict[int, set[int]] = {1: set(), 2: set()}
    for _ in range(38):
        channel = dice.choice([c for c in (1, 2) if ends[c] < 20])
        ends[channel] += 1
        begins[channel].add(windows.of(said[channel][: ends[channel]])[0].id)
    assert len(begins[1]) == len(begins[2]) == 4
