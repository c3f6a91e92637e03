"""Two servers of one bot that share a model: no prompt of one holds anything of the other.

The bot's own `run` in this process, so that its prompts can be read; only the model is scripted.
"""

import asyncio
import contextlib
import dataclasses
import itertools
import os
import sqlite3
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path

import numpy as np

from bot import config, main
from model.inference import Sampling
from model.prompts import Prompt
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Place, Post, World
from storage import database, messages
from storage.embeddings import Vector
from storage.messages import Message
from tests.bot.scripted import Scripted
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

SECONDS = 60.0
QUESTION = "what did you have for lunch?"


class Voice(Scripted):
    """Says something new each time; to its embedder all texts mean the same."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[tuple[int, str]] = []  # a channel, and what was shown for a reply there
        self._numbers = itertools.count(1)

    async def start(self) -> None:
        self.embedder = {"name": "placed", "sha256": "0" * 64, "dimension": 64}

    async def close(self) -> None:
        pass

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        return [np.eye(1, 64, dtype=np.float32)[0] for _ in texts]

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        self.shown.append((channel_id, repr(prompt)))
        yield f"it was number {next(self._numbers)}"


@dataclasses.dataclass
class Side:
    """A server: where people talk, what was said elsewhere in it, and by whom."""

    server_id: int
    place: Place
    member_id: int
    canaries: tuple[str, ...]
    settings: config.Config
    connection: sqlite3.Connection


async def side(sandbox: Sandbox, folder: Path, server_id: int, word: str, **changes: str) -> Side:
    """A server in whose lounge somebody said something, before the bot came."""
    world = sandbox.world
    place = world.add_place("general", server_id=server_id)
    lounge = world.add_place("lounge", server_id=server_id)
    member = world.add_person(world.new_id(), f"{word}-fox")
    said = world.add_post(lounge.id, member.id, f"the {word} heron stands in the river")
    folder.mkdir()
    changes = {"SERVER_ID": str(server_id), "MODELS_DIR": str(folder / "models"), **changes}
    settings = config.load(write_env(folder, sandbox, **changes))
    connection = database.connect(settings.database_path)
    database.change_setting(connection, "response_rate", 0)
    kept = Message(said.id, lounge.id, member.id, member.name, said.content)
    messages.save(connection, [kept])
    canaries = (said.content, member.name, f"the {word} word of today")
    return Side(server_id, place, member.id, canaries, settings, connection)


@contextlib.asynccontextmanager
async def running(folder: Path, **changes: str) -> AsyncIterator[tuple[Sandbox, Voice, list[Side]]]:
    world, voice = World("Test server"), Voice()
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        ids = (world.guild_id, world.add_server("Den"))
        sides = [
            await side(sandbox, folder / word, server_id, word, **changes)
            for server_id, word in zip(ids, ("amber", "cobalt"), strict=True)
        ]
        places = [(one.settings, one.connection) for one in sides]
        bot = asyncio.create_task(main.run(places, [voice, voice], is_supervised=False))
        await until(lambda: bot.done() or len(world.commands) > 2)
        try:
            yield sandbox, voice, sides
        finally:
            bot.cancel()
            assert await bot == 0
        assert not sandbox.actions.pings


async def until(claim: Callable[[], object]) -> None:
    async def wait() -> None:
        while not claim():
            await asyncio.sleep(0.02)

    await asyncio.wait_for(wait(), SECONDS)


async def ask(sandbox: Sandbox, here: Side, text: str = QUESTION) -> Post:
    """The bot's answer to a member who mentions it."""
    said = f"<@{sandbox.world.bot_id}> {text}"
    asked = await sandbox.say(here.place.id, here.member_id, said)
    await until(lambda: answers(here, asked))
    return answers(here, asked)[0]


def answers(here: Side, asked: Post) -> list[Post]:
    return [p for p in here.place.posts if p.id > asked.id and p.reply_to == asked.id]


async def test_no_prompt_and_no_recall_holds_anything_of_the_other(tmp_path: Path) -> None:
    async with running(tmp_path) as (sandbox, voice, sides):
        for here in sides:
            await sandbox.say(here.place.id, here.member_id, here.canaries[-1])
        for here in sides:
            while not any(here.canaries[0] in text for _, text in voice.shown):  # until it recalls
                await ask(sandbox, here)
        one, two = sides
        for here, other in ((one, two), (two, one)):
            shown = [text for channel, text in voice.shown if channel == here.place.id]
            assert shown and all(canary in shown[-1] for canary in here.canaries)
            assert not any(canary in text for text in shown for canary in other.canaries)
            stored = repr(messages.recent(here.connection, here.place.id, 100))
            assert not any(canary in stored for canary in other.canaries)
            assert not messages.recent(here.connection, other.place.id, 1)


async def why(sandbox: Sandbox, here: Side, reply: Post) -> str:
    """What an admin is told of a reply."""
    await sandbox.say(here.place.id, sandbox.world.owner_id, "!why", reply_to=reply.id)
    await until(lambda: "Reason: mentioned" in here.place.posts[-1].content)
    return here.place.posts[-1].content


async def test_what_is_near_in_meaning_is_linked_in_its_own_server(tmp_path: Path) -> None:
    async with running(tmp_path) as (sandbox, voice, sides):
        for here in sides:
            while not any(here.canaries[0] in text for _, text in voice.shown):
                reply = await ask(sandbox, here)
            (*_, told) = (await why(sandbox, here, reply)).splitlines()
            assert told.startswith("Closest in meaning of what it knows: https://discord.com/")
            assert told.count("channels/") == told.count(f"channels/{here.server_id}/")


async def test_the_same_words_are_not_answered_by_what_was_said_in_the_other(
    tmp_path: Path,
) -> None:
    async with running(tmp_path, RESPONSE_CACHE_SECONDS="300") as (sandbox, _, sides):
        one, two = sides
        said = (await ask(sandbox, one)).content
        assert (await ask(sandbox, two)).content != said
        assert (await ask(sandbox, one)).content == said


async def test_each_database_has_its_own_sign_of_life(tmp_path: Path) -> None:
    async with running(tmp_path) as (_, _, sides):
        beats = [database.heartbeat(here.connection, "bot") for here in sides]
        assert [beat and beat.pid for beat in beats] == [os.getpid()] * 2


async def test_a_kill_word_is_heard_where_it_was_said(tmp_path: Path) -> None:
    async with running(tmp_path) as (sandbox, voice, (one, two)):
        said = await sandbox.say(one.place.id, one.member_id, "hush bot")
        await until(lambda: said.reactions)
        await sandbox.say(one.place.id, one.member_id, f"<@{sandbox.world.bot_id}> {QUESTION}")
        await ask(sandbox, two)  # which waits as long as an answer to the first would have
        assert [channel for channel, _ in voice.shown] == [two.place.id]
