"""Held-out days of real communities, played through the whole bot as fast as it goes.

    python -m benchmarks replay [--community NAME ...] [--days N] [--rate SHARE] [--learned]
                                [--model PATH | --shape NAME]

The sandbox holds what was said before. The real bot, with the real model, connects to it and is
told what members said on the busiest of the newest days, at the times they said it; one message in
forty mentions the bot. The clock leaps over silence, and runs while the model writes
(`benchmarks/_clock.py`). The figures are sums over the communities, or the worst one's:

    double_replies          messages that were answered twice
    self_replies            replies to the bot's own messages
    bot_replies             replies to other bots and webhooks
    pings                   messages of the bot's that ping somebody
    stale_replies           unasked replies, not marked as such, to what five others have buried
    silent_room_replies     unasked messages where nobody else had spoken for an hour
    mentions_unanswered     mentions without a reply
    share_error             |share of the messages answered unasked / the rate - 1|
    longest_streak          messages of the bot's in a row in a channel
    longest_streak_members  the same of the members, on these days
"""

import argparse
import asyncio
import contextlib
import dataclasses
import functools
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks import _clock, _shape
from benchmarks._clock import Clock
from bot import commands, config, recall
from bot import main as bot_main
from bot.participation import Reason
from bot.recall import Recall
from data import speaking_fit
from model.inference import Engine, Sampling
from model.prompts import Prompt
from sandbox import community
from sandbox.community import Community, Line
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Post, World, populate
from storage import database, explanations, messages
from storage.messages import Message, snowflake_time

DAY_SECONDS = 86_400.0
NEWEST = 0.2  # of the messages: from there on no day was learned from
MENTION_EVERY = 40  # messages
KNOWN = 1000  # messages, each of which gets a vector
BURIED = 5  # newer messages of others
SILENT_SECONDS = 3600.0
CONNECT_SECONDS = 2.0
ROUND_SECONDS = 3600.0
AFTERWARDS_SECONDS = 300.0  # for what is still to be said
LONGEST = 24  # tokens of a reply
FOR_EVER = 1e9  # seconds
ZEROES = (
    *("double_replies", "self_replies", "bot_replies", "pings", "stale_replies"),
    *("silent_room_replies", "mentions_unanswered"),
)


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks replay")
    _shape.add_options(parser)
    parser.add_argument("--community", nargs="+", default=community.names())
    parser.add_argument("--days", type=int, default=21)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--learned", action="store_true", help="speak when members would")
    options = parser.parse_args(arguments)
    played = {
        name: play(name, options.days, options.rate, _shape.chosen(options), options.learned)
        for name in options.community
    }
    figures: dict[str, Any] = {key: sum(one[key] for one in played.values()) for key in ZEROES}
    figures |= {key: max(one[key] for one in played.values()) for key in ("share_error",)}
    return {**figures, **played}


@dataclasses.dataclass(frozen=True)
class Said:
    """A message of the bot's; `trigger_id` and `is_asked` of the first one of a reply."""

    post: Post
    trigger_id: int | None
    is_asked: bool


class _Clocked(Engine):
    """The engine, while whose calls go on the clock runs."""

    def __init__(self, model: Path, clock: Clock) -> None:
        super().__init__(model, embedder_dir=config.ROOT / "models")
        self._clock = clock

    async def start(self) -> None:
        with self._clock.running():
            await super().start()

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        with self._clock.running():
            async with contextlib.aclosing(super().reply(prompt, sampling, channel_id)) as pieces:
                async for piece in pieces:
                    yield piece

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        with self._clock.running():
            await super().read(prompt, sampling, channel_id)

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        with self._clock.running():
            return await super().embed(texts)


def play(
    name: str, days: int, rate: float, model: Path, is_learned: bool = False
) -> dict[str, Any]:
    """The figures of one community."""
    told = community.load(name)
    start, lines = busiest(told, days)
    before = tuple(line for line in told.lines if snowflake_time(line.id) < start)
    world = populate(dataclasses.replace(told, lines=before))
    clock = Clock(start)
    _let_run(clock)
    played, said, pings = _clock.run(clock, _play(clock, world, lines, rate, model, is_learned))
    members = [post for post in played if not world.people[post.author_id].is_bot]
    return {**figures(world, members, said, rate), "pings": pings, "messages": len(members)}


def _let_run(clock: Clock) -> None:
    """Have the clock run while a thread looks something up, and leave out most of the rounds.

    A gateway that is silent over a leap is not taken for dead.
    """
    bot_main.BEAT_SECONDS = recall.REST_SECONDS = commands.WATCH_SECONDS = ROUND_SECONDS
    look_up = Recall._run

    async def run(owner: Recall, *call: Any) -> Any:
        with clock.running():
            return await look_up(owner, *call)

    setattr(Recall, "_run", run)  # noqa: B010 (mypy)
    patient = functools.partial(bot_main.PersonaBot, heartbeat_timeout=FOR_EVER)
    setattr(bot_main, "PersonaBot", patient)  # noqa: B010 (mypy)


def busiest(told: Community, days: int) -> tuple[float, list[Line]]:
    """When the busiest of the newest days begin, and what was said on them."""
    lines = sorted(told.lines, key=attrgetter("id"))
    newest = lines[round((1 - NEWEST) * len(lines)) :]
    counts = Counter(int(snowflake_time(line.id) // DAY_SECONDS) for line in newest)
    first = max(counts, key=lambda day: sum(counts[day + n] for n in range(days)))
    start, end = first * DAY_SECONDS, (first + days) * DAY_SECONDS
    return start, [line for line in newest if start <= snowflake_time(line.id) < end]


async def _play(
    clock: Clock, world: World, lines: Sequence[Line], rate: float, model: Path, is_learned: bool
) -> tuple[list[Post], list[Said], int]:
    """Run the bot among the members; what they said, what it said, and how often it pinged."""
    with tempfile.TemporaryDirectory() as name:
        async with Sandbox(world, has_rate_limits=False) as sandbox:
            settings = config.load(write_env(Path(name), sandbox))
            with contextlib.closing(database.connect(settings.database_path)) as connection:
                _prepare(connection, world, rate)
                if is_learned:
                    print(speaking_fit.renew(settings))
                engine = _Clocked(model, clock)
                with clock.running():
                    running = bot_main.run([(settings, connection)], [engine], False)
                    bot = asyncio.create_task(running)
                    while not sandbox.gateway.sockets:
                        await asyncio.sleep(0.1)
                    await asyncio.sleep(CONNECT_SECONDS)
                played = await _say(sandbox, lines)
                await asyncio.sleep(AFTERWARDS_SECONDS)
                said = [
                    _said(connection, post)
                    for place in world.places.values()
                    for post in place.posts
                    if post.author_id == world.bot_id
                ]
                bot.cancel()
                with clock.running(), contextlib.suppress(asyncio.CancelledError):
                    await bot
            return played, said, len(sandbox.actions.pings)


def _prepare(connection: sqlite3.Connection, world: World, rate: float) -> None:
    """What the bot knows when it starts: the newest of what was said before."""
    posts = [post for place in world.places.values() for post in place.posts]
    known = sorted(posts, key=attrgetter("id"))[-KNOWN:]
    database.change_setting(connection, "response_rate", rate)
    database.change_setting(connection, "max_tokens", LONGEST)
    with database.transaction(connection):
        messages.save(connection, (_stored(world, post) for post in known))


def _stored(world: World, post: Post) -> Message:
    author = world.people[post.author_id]
    return Message(
        post.id,
        post.place_id,
        author.id,
        author.name,
        post.content,
        "bot" if author.is_bot else "member",
        post.type,
        post.reply_to,
        post.mentions,
    )


async def _say(sandbox: Sandbox, lines: Sequence[Line]) -> list[Post]:
    """Have the members say it all again, each line at its time; what was posted."""
    posts: dict[int, Post] = {}
    mention = f"<@{sandbox.world.bot_id}> "
    for number, line in enumerate(lines, 1):
        await asyncio.sleep(max(0.0, snowflake_time(line.id) - time.time()))
        is_bot = sandbox.world.people[line.author_id].is_bot
        text = line.content if number % MENTION_EVERY or is_bot else mention + line.content
        answered = posts.get(line.reply_to or 0)
        reply_to = answered.id if answered else line.reply_to
        posts[line.id] = await sandbox.say(line.place_id, line.author_id, text, reply_to=reply_to)
    return list(posts.values())


def _said(connection: sqlite3.Connection, post: Post) -> Said:
    found = explanations.find(connection, post.id)
    is_first = found is not None and found.reply_id == post.id
    is_asked = not (found and found.why and found.why.reason == Reason.CHANCE.value)
    return Said(post, found.trigger_id if found and is_first else None, is_asked)


def figures(
    world: World, members: Sequence[Post], said: Sequence[Said], rate: float
) -> dict[str, Any]:
    """What a member would complain about, counted."""
    replies = [one for one in said if one.trigger_id is not None]
    answered = Counter(one.trigger_id for one in replies)
    wrote = {post.id: post.author_id for place in world.places.values() for post in place.posts}
    authors = [wrote.get(one.trigger_id or 0) for one in replies]
    called = [post for post in members if world.bot_id in post.mentions]
    unasked = [one for one in replies if not one.is_asked]
    share = len(unasked) / (len(members) - len(called))
    return {
        "double_replies": sum(count - 1 for count in answered.values()),
        "self_replies": authors.count(world.bot_id),
        "bot_replies": sum(world.people[a].is_bot for a in authors if a and a != world.bot_id),
        "stale_replies": sum(_is_buried(world, one) for one in unasked),
        "silent_room_replies": sum(_breaks_silence(world, one.post) for one in unasked),
        "mentions_unanswered": sum(not answered[post.id] for post in called),
        "share": round(share, 3),
        "share_error": round(abs(share / rate - 1), 3),
        "longest_streak": _streak(world, {world.bot_id}),
        "longest_streak_members": _streak(world, {post.author_id for post in members}),
        "replies": len(replies),
    }


def _is_buried(world: World, one: Said) -> bool:
    between = [
        post
        for post in world.places[one.post.place_id].posts
        if (one.trigger_id or 0) < post.id < one.post.id and post.author_id != world.bot_id
    ]
    return one.post.reply_to is None and len(between) >= BURIED


def _breaks_silence(world: World, own: Post) -> bool:
    """Whether nobody else had said anything for so long."""
    before = [
        post.sent_ms
        for post in world.places[own.place_id].posts
        if post.id < own.id and post.author_id != world.bot_id
    ]
    return not before or own.sent_ms - before[-1] > 1000 * SILENT_SECONDS


def _streak(world: World, people: set[int]) -> int:
    """The most messages in a row by one of the people in a place."""
    return max(
        (
            sum(1 for _ in run)
            for place in world.places.values()
            for author, run in groupby(place.posts, key=attrgetter("author_id"))
            if author in people
        ),
        default=0,
    )
