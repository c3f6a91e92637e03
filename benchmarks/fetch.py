"""A fetch's speed as a share of what Discord's rate limits allow.

    python -m benchmarks fetch [--channels N ...] [--seconds N]

The history is made up, and Discord is the sandbox in a process of its own, with the limits that
its users report: 5 pages in 5 seconds a channel, 50 requests a second in all. The clock, in the
sandbox, runs from the first page asked for to the last.

    share_of_limit_N    the least seconds in which N channels can be had, over those it took
    refused             requests that Discord would have refused (429)
"""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bot import config
from bot.config import ROOT
from data import fetcher
from sandbox.limits import GLOBAL, RateLimiter
from sandbox.server import Sandbox
from sandbox.world import EPOCH_MS, Post, World
from storage import database

CHANNELS = (1, 5, 50)
SECONDS = 25
BURST = 5  # pages of a channel in as many seconds
FULL, REST = 100, 50  # messages of a page, and of the last one
TEXT = "something that somebody might well have said in a channel like this one, number "


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks fetch")
    parser.add_argument("--channels", type=int, nargs="+", default=CHANNELS)
    parser.add_argument("--seconds", type=int, default=SECONDS, help="about so long each")
    parser.add_argument("--serve", type=int, nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.serve:
        return asyncio.run(_serve(*options.serve))
    figures: dict[str, Any] = {"refused": 0}
    for channels in options.channels:
        pages = _pages(channels, options.seconds)
        seen = _measure(channels, pages)
        least = _least_seconds(channels, pages)
        figures[f"share_of_limit_{channels}"] = round(least / seen["seconds"], 3)
        figures[f"seconds_{channels}"] = seen["seconds"]
        figures[f"messages_per_s_{channels}"] = round(seen["messages"] / seen["seconds"])
        figures["refused"] += seen["refused"]
    return figures


def _pages(channels: int, seconds: int) -> int:
    """As many pages a channel as the limits let through in about so many seconds."""
    return min(seconds + BURST // 2 + 1, max(1, seconds * GLOBAL[0] // channels))


def _least_seconds(channels: int, pages: int) -> float:
    """What the slower of the two limits takes: the channel's, or that for everything."""
    return max((pages - 1) // BURST * float(BURST), channels * pages / GLOBAL[0])


def _measure(channels: int, pages: int) -> dict[str, Any]:
    """One fetch of everything, and what the sandbox saw of it."""
    with tempfile.TemporaryDirectory() as folder, _sandbox(channels, pages) as (child, described):
        env = Path(folder) / ".env"
        env.write_text("".join(f"{name}={value}\n" for name, value in described.items()))
        with contextlib.closing(database.connect(Path(folder) / "database" / "bot.sqlite3")) as own:
            report = asyncio.run(fetcher.fetch(config.load(env), own))
        out, _ = child.communicate()
    wanted = channels * ((pages - 1) * FULL + REST)
    assert report.messages == wanted, f"{report.messages} messages of {wanted}"
    return {**json.loads(out.splitlines()[-1]), "messages": wanted}


@contextlib.contextmanager
def _sandbox(channels: int, pages: int) -> Iterator[tuple["subprocess.Popen[str]", dict[str, str]]]:
    """A sandbox in a process of its own, with what a settings file says of it."""
    command = [sys.executable, "-m", "benchmarks", "fetch", "--serve", str(channels), str(pages)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout
        try:
            yield child, json.loads(child.stdout.readline())
        finally:
            child.kill()


async def _serve(channels: int, pages: int) -> dict[str, Any]:
    """Be the sandbox until stdin closes; what it saw then."""
    world, limiter = _world(channels, pages), _Clock()
    async with Sandbox(world, limiter=limiter) as sandbox:
        settings = {
            "DISCORD_TOKEN": world.token,
            "DISCORD_API_BASE": sandbox.api,
            "SERVER_ID": str(world.guild_id),
            "ADMIN_USERS": str(world.owner_id),
            "DATA_DIR": ".",
        }
        print(json.dumps(settings), flush=True)
        await asyncio.to_thread(sys.stdin.read)
    seconds = round(limiter.last - limiter.first, 3)
    return {"seconds": seconds, "refused": sandbox.rest.requests.get("429", 0)}


class _Clock(RateLimiter):
    """Discord's limits, with the moments at which the first and the last page were asked for."""

    first = last = 0.0

    def check(self, method: str, path: str) -> tuple[dict[str, str], float | None, bool]:
        answer = super().check(method, path)
        if path.endswith("/messages"):
            self.last = time.monotonic()
            self.first = self.first or self.last
        return answer


def _world(channels: int, pages: int) -> World:
    world = World("Made up")
    author = world.add_person(world.new_id(), "somebody").id
    moment = EPOCH_MS + 365 * 86_400_000
    for channel in range(channels):
        place = world.add_place(f"channel-{channel}")
        for number in range((pages - 1) * FULL + REST):
            moment += 1
            place.posts.append(Post(world.new_id(moment), place.id, author, f"{TEXT}{number}"))
    return world
