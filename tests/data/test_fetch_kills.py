"""A fetch that is killed again and again ends where one that was left alone does.

What is promised: a page and how far its channel is fetched are stored in one transaction, so that
a kill costs a channel the one page that was on its way, and nothing that was stored is asked for
again. Only the end of each channel is looked at by every run, for what is new there.
"""

import asyncio
import gzip
import random
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.config import ROOT
from sandbox import community, routes
from sandbox.limits import RateLimiter
from sandbox.payloads import Json
from sandbox.rest import Call
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import populate
from tests.data.fetching import answer, fetch, page_files, stored

KILLS = 50
MOST_REQUESTS = 60  # of a life; some thirty find the channels, and a whole fetch makes 200
PAGE_SECONDS = 0.05  # so that some page is nearly always on its way
TABLES = {
    "messages": "SELECT * FROM messages ORDER BY message_id",
    "reactions": "SELECT * FROM reactions ORDER BY message_id, emoji",
    "users": "SELECT * FROM users ORDER BY user_id",
    "channels": "SELECT channel_id, parent_id, name, kind, state, fetched_through"
    " FROM channels ORDER BY channel_id",
}


class Watch(RateLimiter):
    """Sees every page that is asked for, in a life of its own for each run, and counts requests."""

    def __init__(self) -> None:
        super().__init__(is_on=False)
        self.lives: list[dict[int, list[int]]] = []
        self.reached = asyncio.Event()
        self._requests_to_go = 0

    def new_life(self, requests: int = 0) -> None:
        """`reached` is set once the new run has made so many requests."""
        self.lives.append(defaultdict(list))
        self.reached.clear()
        self._requests_to_go = requests

    def check(self, method: str, path: str) -> tuple[dict[str, str], float | None, bool]:
        self._requests_to_go -= 1
        if self._requests_to_go == 0:
            self.reached.set()
        return super().check(method, path)

    async def get_messages(self, call: Call) -> list[Json]:
        self.lives[-1][call.id("channel")].append(call.number("after") or 0)
        page = await routes.get_messages(call)
        await asyncio.sleep(PAGE_SECONDS)
        return page


async def run(env: Path) -> asyncio.subprocess.Process:
    script = [ROOT / "scripts" / "1_fetch_all_history.py", "--env", env, "--i-have-permission"]
    return await asyncio.create_subprocess_exec(
        sys.executable, *map(str, script), stdout=subprocess.DEVNULL
    )


async def live_and_be_killed(env: Path, watch: Watch, requests: int, seconds: float) -> bool:
    """Whether the run was still alive so many seconds after so many requests."""
    watch.new_life(requests)
    process = await run(env)
    await asyncio.wait_for(watch.reached.wait(), 60)
    await asyncio.sleep(seconds)
    was_alive = process.returncode is None
    if was_alive:
        process.kill()
    await process.wait()
    return was_alive


def moments() -> Iterator[tuple[int, float]]:
    """After how many requests, and how long after that, to kill.

    Where the request was for a page, that is about when the page is being stored.
    """
    dice = random.Random(20)
    for _ in range(KILLS):
        requests = int(dice.triangular(1, MOST_REQUESTS, MOST_REQUESTS))
        yield requests, PAGE_SECONDS + dice.uniform(0, 0.01)


def rows(folder: Path) -> dict[str, list[Any]]:
    with stored(folder) as connection:
        connection.row_factory = sqlite3.Row
        tables = {name: connection.execute(sql).fetchall() for name, sql in TABLES.items()}
    return {name: [dict(row) for row in found] for name, found in tables.items()}


def unpacked(folder: Path) -> dict[str, bytes]:
    return {name: gzip.decompress(data) for name, data in page_files(folder).items()}


async def test_fifty_kills_leave_no_trace(tmp_path: Path) -> None:
    killed, undisturbed = tmp_path / "killed", tmp_path / "undisturbed"
    killed.mkdir()
    undisturbed.mkdir()
    world = populate(community.load("pyscript-discord"))
    watch = Watch()
    async with Sandbox(world, limiter=watch) as sandbox:
        await fetch(undisturbed, sandbox)
        answer(sandbox, r"/channels/(?P<channel>\d+)/messages", watch.get_messages)
        env = write_env(killed, sandbox)
        interrupted = [await live_and_be_killed(env, watch, *moment) for moment in moments()]
        stored_by_the_killed = len(rows(killed)["messages"])
        watch.new_life()
        assert await (await run(env)).wait() == 0
    assert sum(interrupted) >= KILLS * 0.8
    assert 0 < stored_by_the_killed < len(rows(killed)["messages"])
    assert rows(killed) == rows(undisturbed)
    assert unpacked(killed) == unpacked(undisturbed)
    check_what_was_asked_for(watch.lives, ends(undisturbed))


def ends(folder: Path) -> dict[int, int]:
    return {row["channel_id"]: row["fetched_through"] for row in rows(folder)["channels"]}


def check_what_was_asked_for(lives: list[dict[int, list[int]]], ends: dict[int, int]) -> None:
    """No page once more than there were kills; after a channel's first page of a life, only new
    ones; and of pages that are not a channel's end some twice, or no kill had hit one.
    """
    asked: Counter[tuple[int, int]] = Counter()
    for life in lives:
        for channel, begins in life.items():
            assert not {(channel, begin) for begin in begins[1:]} & asked.keys()
        asked.update((channel, begin) for channel, begins in life.items() for begin in begins)
    assert max(asked.values()) <= KILLS + 1
    assert any(n > 1 for (channel, begin), n in asked.items() if begin < ends[channel])
