"""What may be recalled where: nobody is told what they could not read themselves."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bot import visibility
from bot.handlers import Handler
from bot.recall import Recall
from bot.visibility import recallable
from data import discord_api
from model.inference import Engine, Sampling
from model.prompts import Prompt
from sandbox.server import Sandbox
from sandbox.world import FORUM, PUBLIC_THREAD, VOICE, World
from storage import channels, database, messages
from storage.channels import Channel
from storage.embeddings import Vector
from storage.messages import Message
from tests.bot import hurry
from tests.sandbox.conftest import ALICE, Client, online
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

OPEN, OTHER, STAFF, BOARD = (
    Channel(number, "", kind) for number, kind in enumerate(("text", "text", "text", "forum"), 1)
)
TALK = Channel(11, "", "public_thread", parent_id=OPEN.id)
PLAN = Channel(13, "", "public_thread", parent_id=STAFF.id)
PLAN_2 = Channel(14, "", "public_thread", parent_id=STAFF.id)
WHISPER = Channel(15, "", "private_thread", parent_id=OPEN.id)
HUSH = Channel(16, "", "private_thread", parent_id=STAFF.id)
POST = Channel(17, "", "public_thread", parent_id=BOARD.id)
LOST = Channel(18, "", "public_thread", parent_id=99)
GONE = Channel(19, "", "text")
PLACES = [OPEN, OTHER, STAFF, BOARD, TALK, PLAN, PLAN_2, WHISPER, HUSH, POST, LOST, GONE]
PUBLIC = {OPEN.id, OTHER.id, BOARD.id}
EVERYWHERE = {OPEN, OTHER, BOARD, TALK, POST}


@pytest.mark.parametrize(
    ("here", "more"),
    [
        (OPEN, set()),
        (TALK, set()),
        (POST, set()),
        (STAFF, {STAFF, PLAN, PLAN_2}),
        (PLAN, {STAFF, PLAN, PLAN_2}),
        (WHISPER, {WHISPER}),
        (HUSH, {HUSH, STAFF, PLAN, PLAN_2}),
        (LOST, {LOST}),
        (GONE, {GONE}),
    ],
)
def test_only_what_every_reader_may_read_is_recalled(here: Channel, more: set[Channel]) -> None:
    assert recallable(here, PLACES, PUBLIC) == {place.id for place in EVERYWHERE | more}


def test_what_nobody_knows_is_private() -> None:
    assert recallable(GONE, [], []) == {GONE.id}
    assert recallable(TALK, [], [OPEN.id]) == {TALK.id}


async def test_what_everyone_may_read_is_found_in_a_real_guild(tmp_path: Path) -> None:
    world = World("Test server")
    general, staff, voice = (
        world.add_place(*place) for place in (("general",), ("staff",), ("voice", VOICE))
    )
    news, board = world.add_place("news"), world.add_place("board", FORUM)
    world.add_place("plan", PUBLIC_THREAD, staff.id)
    post = world.add_place("post", PUBLIC_THREAD, board.id)
    staff.is_hidden, news.may_read_history = True, False
    connection = database.connect(tmp_path / "bot.sqlite3")
    for channel in (
        Channel(901, "old post", "public_thread", board.id),
        Channel(902, "removed", "public_thread", board.id),
        Channel(903, "old plan", "public_thread", staff.id),
        Channel(904, "closed", "text"),
    ):
        channels.save(connection, channel)
    channels.mark(connection, 902, "gone")
    world.add_person(ALICE, "amber")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        discord_api.use(sandbox.api)
        async with online(sandbox) as client:
            (guild,) = client.guilds
            public = {general.id, voice.id, board.id}
            assert visibility.public_channels(guild) == public
            said = await sandbox.say(general.id, ALICE, "hello")
            await client.sees(lambda: any(m.id == said.id for m in client.of("message")))
            (heard,) = client.of("message")
            assert visibility.around(heard, connection) == {*public, post.id, 901}


class Placed(Engine):
    """Has a vector for each text that begins with the same word, and echoes what it recalled."""

    def __init__(self) -> None:
        super().__init__(Path("placed.gguf"))
        self.embedder = {"name": "placed", "sha256": "0" * 64, "dimension": 64}
        self.prompts: list[Prompt] = []

    async def start(self) -> None:
        pass

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        dice = [np.random.default_rng(sum(map(ord, text.split()[-1]))) for text in texts]
        drawn = [each.normal(size=64).astype(np.float32) for each in dice]
        return [vector / np.linalg.norm(vector) for vector in drawn]

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        self.prompts.append(prompt)
        yield "ok"


async def ask(sandbox: Sandbox, client: Client, handler: Handler, place: int) -> None:
    post = await sandbox.say(place, ALICE, f"<@{sandbox.world.bot_id}> what about the heron")
    await client.sees(lambda: any(m.id == post.id for m in client.of("message")))
    (incoming,) = [m for m in client.of("message") if m.id == post.id]
    await handler.handle(incoming)


async def test_a_hidden_channel_is_never_recalled_in_an_open_one(tmp_path: Path) -> None:
    """Not even when hundreds of closer messages there crowd the few that may be told."""
    world = World("Test server")
    general, lounge, staff = (world.add_place(name) for name in ("general", "lounge", "staff"))
    world.add_person(ALICE, "amber")
    staff.is_hidden = True
    path, first = tmp_path / "bot.sqlite3", messages.snowflake_at(1_700_000_000)
    connection = database.connect(path)
    secret = [
        Message(first + n, staff.id, 7, "kim", f"secret {n} of the heron") for n in range(600)
    ]
    told = Message(first + 700, lounge.id, 7, "kim", "we all saw the heron")
    messages.save(connection, [*secret, told])
    engine = Placed()
    recall = Recall(engine, path, tmp_path / "embeddings")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        discord_api.use(sandbox.api)
        async with online(sandbox) as client:
            handler = hurry.handler(connection, engine, recall, world.bot_id)
            indexing = asyncio.create_task(recall.index_forever())
            while len(await recall.related("heron", [], [staff.id, lounge.id])) < 3:
                await asyncio.sleep(0.2)
            for _ in range(100):
                if await recall.related("heron", [], [lounge.id]):
                    break
                await asyncio.sleep(0.2)
            await ask(sandbox, client, handler, general.id)
            indexing.cancel()
    recall.close()
    assert [turn.text for turn in engine.prompts[-1].recalled] == [told.content]
