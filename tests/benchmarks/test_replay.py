"""The replay counts what members would complain about, and its clock leaps over silence."""

import asyncio
import time

import pytest

from benchmarks import _clock, replay
from benchmarks._clock import Clock
from benchmarks.replay import Said
from sandbox.world import Post, World

AMY, BEN, OTHER_BOT = 1, 2, 3
HOUR = 3600


def post(world: World, place: int, author: int, at: int) -> Post:
    made = Post(world.new_id(1_700_000_000_000 + 1000 * at), place, author, "hm")
    world.places[place].posts.append(made)
    return made


@pytest.fixture
def world() -> World:
    made = World("Test server")
    for number, name in ((AMY, "amy"), (BEN, "ben")):
        made.add_person(number, name)
    made.add_person(OTHER_BOT, "beep", is_bot=True)
    made.add_place("general")
    return made


def test_each_complaint_is_counted(world: World) -> None:
    place, bot = next(iter(world.places)), world.bot_id
    asked = post(world, place, AMY, 0)
    called = post(world, place, BEN, 1)
    called.mentions = (bot,)
    said = [Said(post(world, place, bot, n), asked.id, False) for n in (2, 3)]
    beep = post(world, place, OTHER_BOT, 4)
    said.append(Said(post(world, place, bot, 5), beep.id, True))
    said.append(Said(post(world, place, bot, 6), said[0].post.id, True))
    buried = post(world, place, AMY, 10)
    *_, last = [post(world, place, BEN, at) for at in range(11, 16)]
    said.append(Said(post(world, place, bot, 20), buried.id, False))
    said.append(Said(post(world, place, bot, 20 + 2 * HOUR), last.id, False))
    figures = replay.figures(world, [asked, called, buried], said, rate=0.5)
    expected = {
        "double_replies": 1,
        "bot_replies": 1,
        "self_replies": 1,
        "stale_replies": 1,
        "silent_room_replies": 1,
        "mentions_unanswered": 1,
        "share": 2.0,
        "share_error": 3.0,
        "longest_streak": 2,
        "longest_streak_members": 5,
    }
    assert {name: figures[name] for name in expected} == expected


def test_the_clock_leaps_over_silence_and_runs_while_something_goes_on() -> None:
    clock, told = Clock(1_600_000_000.0), []

    async def main() -> None:
        began, wall = time.time(), time.perf_counter()
        await asyncio.sleep(10 * HOUR)
        told.append(time.time() - began)
        with clock.running():
            await asyncio.sleep(0.05)
        told.append(time.perf_counter() - wall)

    _clock.run(clock, main())
    silence, took = told
    assert silence == pytest.approx(10 * HOUR, abs=1) and 0.05 <= took < HOUR
    assert abs(time.time() - 1_600_000_000.0) > HOUR  # as it was before
