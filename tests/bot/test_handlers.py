"""What the handler sends, on a real client in the sandbox; only the model's words are scripted."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.recall import Recall
from data import policies
from data.discord_api import use
from data.speaking_policy import Policy
from model.prompts import Turn
from sandbox.server import Sandbox
from sandbox.world import Place, Post, World
from storage import database, messages
from tests.bot import hurry
from tests.bot.scripted import Scripted
from tests.bot.test_participation import POLICY
from tests.sandbox.conftest import ALICE, Client, online
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself


class Talk:
    """A channel in which a member and the bot talk."""

    def __init__(
        self,
        folder: Path,
        sandbox: Sandbox,
        client: Client,
        engine: Scripted,
        policy: Policy | None,
    ) -> None:
        self.database = database.connect(folder / "bot.sqlite3")
        self.engine, self.sandbox, self._client = engine, sandbox, client
        self.place: Place = next(iter(sandbox.world.places.values()))
        recall = Recall(engine, folder / "bot.sqlite3", folder)
        own_id = sandbox.world.bot_id
        self._handler = hurry.handler(self.database, engine, recall, own_id, policy)

    async def say(self, text: str) -> list[Post]:
        """A member addresses the bot; what it says to that."""
        return await self.say_to_all(f"<@{self.sandbox.world.bot_id}> {text}")

    async def say_to_all(self, text: str) -> list[Post]:
        """A member writes; what the bot says to that."""
        post = await self.sandbox.say(self.place.id, ALICE, text)
        await self._client.sees(lambda: any(m.id == post.id for m in self._client.of("message")))
        (incoming,) = [m for m in self._client.of("message") if m.id == post.id]
        await self._handler.handle(incoming)
        return [p for p in self.place.posts if p.id > post.id]


@contextlib.asynccontextmanager
async def talking(folder: Path, *says: str, policy: Policy | None = None) -> AsyncIterator[Talk]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(ALICE, "amber")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        use(sandbox.api)
        async with online(sandbox) as client:
            yield Talk(folder, sandbox, client, Scripted(says), policy)


async def test_a_reply_of_several_lines_is_sent_as_a_burst(tmp_path: Path) -> None:
    async with talking(tmp_path, "lol\nno way\n```\na\nb\n```", "sup") as talk:
        said = await talk.say("guess what")
        assert [post.content for post in said] == ["lol", "no way", "```\na\nb\n```"]
        asked = said[0].reply_to
        assert asked and [post.reply_to for post in said[1:]] == [None, None]
        stored = messages.recent(talk.database, talk.place.id, 10)[1:]
        assert [(m.id, m.author_kind) for m in stored] == [(post.id, "self") for post in said]
        answer = messages.reply_for(talk.database, asked)
        assert answer and answer.id == said[0].id

        await talk.say("and?")
        guess, burst, _ = talk.engine.prompts[-1].turns
        assert burst == Turn(None, "lol\nno way\n```\na\nb\n```")
        assert guess.name == "amber"


async def test_a_long_burst_stays_within_four_messages(tmp_path: Path) -> None:
    async with talking(tmp_path, "\n".join("abcdef")) as talk:
        said = await talk.say("spell it")
        assert [post.content for post in said] == ["a", "b", "c", "d\ne\nf"]


@pytest.mark.parametrize("nothing", ["", "<|im_end|>", " \n\n "])
async def test_nothing_to_say_is_not_sent(tmp_path: Path, nothing: str) -> None:
    async with talking(tmp_path, nothing) as talk:
        assert not await talk.say("hello?")


async def test_whoever_says_its_name_is_answered(tmp_path: Path) -> None:
    async with talking(tmp_path, "what", "yes?") as talk:
        database.change_setting(talk.database, "response_rate", 0.0)
        assert not await talk.say_to_all("such a personality")
        said = await talk.say_to_all("does Persona know?")
        assert [post.content for post in said] == ["what"]
        assert said[0].reply_to


async def test_learned_policy_decides_unless_the_even_rate_was_chosen(tmp_path: Path) -> None:
    eager = dataclasses.replace(POLICY, bias=1000.0)
    async with talking(tmp_path, "me too", policy=eager) as talk:
        assert len(await talk.say_to_all("lol")) == 1
        policies.choose(talk.database, "rate")
        database.change_setting(talk.database, "response_rate", 1e-12)
        assert not await talk.say_to_all("lol")


async def test_where_members_send_single_messages_the_bot_soon_does(tmp_path: Path) -> None:
    lines = ["lol\nno way"] * 6
    async with talking(tmp_path, *lines, policy=POLICY) as talk:
        sent = [[post.content for post in await talk.say("and?")] for _ in lines]
    assert sent[0] == ["lol", "no way"] and sent[-1] == ["lol\nno way"]


async def test_after_it_spoke_the_bot_reads_along(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup") as talk:
        database.change_setting(talk.database, "response_rate", 0.0)
        await talk.say_to_all("not to you")
        await asyncio.sleep(0)
        assert not talk.engine.read_along  # nobody knows whether it will ever speak here
        await talk.say("hello")
        assert len(talk.engine.read_along) == 1  # while it waits for more to come
        assert await talk.say_to_all("not to you either") == []
        await asyncio.sleep(0)
        prompt = talk.engine.read_along[1]
        assert [turn.name for turn in prompt.turns][-2:] == [None, "amber"]
        assert prompt.turns[-1].text == "not to you either"
