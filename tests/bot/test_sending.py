"""A message is sent once, pings nobody, and is not tried again where Discord said no."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import discord
import pytest

from bot.sending import Sender, nonce
from data import discord_api
from sandbox import guilds
from sandbox.faults import Fault
from sandbox.server import Sandbox
from sandbox.world import EPOCH_MS, Post, World
from tests.sandbox.conftest import ALICE, Client, online
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

SEND = r"POST /channels/\d+/messages$"
SENDS = "POST /channels/:id/messages"


class Room:
    """A channel with a member in it, and the bot's way to send there."""

    def __init__(self, sandbox: Sandbox, client: Client) -> None:
        self.sandbox, self.client, self.sender = sandbox, client, Sender(pause_seconds=0)
        self.place = next(iter(sandbox.world.places.values()))

    def channel(self, place_id: int | None = None) -> Any:
        """As discord.py has it from the gateway."""
        (guild,) = self.client.guilds
        return guild.get_channel_or_thread(place_id or self.place.id)

    async def asked(self) -> discord.Message:
        """A member's message, as the bot got it."""
        post = await self.sandbox.say(self.place.id, ALICE, "hello?")
        await self.client.sees(lambda: any(m.id == post.id for m in self.client.of("message")))
        asked: discord.Message = self.client.of("message")[-1]
        assert asked.id == post.id
        return asked

    def said(self) -> list[Post]:
        return [p for p in self.place.posts if p.author_id == self.sandbox.world.bot_id]

    def attempts(self) -> int:
        return self.sandbox.rest.requests.get(SENDS, 0)


@contextlib.asynccontextmanager
async def talking() -> AsyncIterator[Room]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(ALICE, "amber")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        discord_api.use(sandbox.api)
        async with online(sandbox) as client:
            yield Room(sandbox, client)


@pytest.fixture(autouse=True)
def no_naps(monkeypatch: pytest.MonkeyPatch) -> None:
    """discord.py's pauses before it tries again take no time."""
    sleep = asyncio.sleep
    monkeypatch.setattr("discord.http.asyncio.sleep", lambda seconds: sleep(0))


async def test_a_reply_pings_nobody() -> None:
    async with talking() as room:
        asked = await room.asked()
        sent = await room.sender.send(room.channel(), "hey <@5> @everyone", "1-0", asked)
        plain = await room.sender.send(room.channel(), f"you <@{ALICE}>", "1-1")
        assert sent and plain
        assert [(p.id, p.reply_to) for p in room.said()] == [(sent.id, asked.id), (plain.id, None)]
        assert not room.sandbox.actions.pings


@pytest.mark.parametrize("kind", ["after_commit", "drop_after_commit", "status", "drop"])
@pytest.mark.parametrize("status", [502, 503])
async def test_an_attempt_that_fails_gives_one_message(kind: str, status: int) -> None:
    async with talking() as room:
        asked = await room.asked()
        room.sandbox.faults.add(Fault(kind, SEND, status=status))
        sent = await room.sender.send(room.channel(), "hi", nonce(asked.id, 0), asked)
        assert sent
        assert [post.id for post in room.said()] == [sent.id]
        assert room.attempts() == 2


async def test_another_process_that_answers_the_same_says_nothing_new() -> None:
    async with talking() as room:
        asked = await room.asked()
        for sender in (room.sender, Sender()):
            sent = await sender.send(room.channel(), "hi", nonce(asked.id, 0), asked)
            assert sent
            assert [post.id for post in room.said()] == [sent.id]
        await room.sender.send(room.channel(), "hi", nonce(asked.id, 1))
        assert len(room.said()) == 2


async def test_a_nonce_is_forgotten_after_some_minutes() -> None:
    async with talking() as room:
        world = room.sandbox.world
        old = Post(world.new_id(EPOCH_MS + 1), room.place.id, world.bot_id, "hi", nonce="1-0")
        room.place.posts.append(old)
        assert await room.sender.send(room.channel(), "hi", "1-0")
        assert len(room.said()) == 2


def test_a_nonce_is_as_short_as_discord_wants() -> None:
    assert len(nonce(2**64 - 1, 3)) <= 25
    assert nonce(1, 23) != nonce(12, 3)


async def test_a_question_that_was_taken_back_gets_no_answer() -> None:
    async with talking() as room:
        asked = await room.asked()
        await room.sandbox.actions.delete(room.place.id, [asked.id])
        assert await room.sender.send(room.channel(), "hi", "1-0", asked) is None
        assert not room.said()


@pytest.mark.parametrize("fault", [Fault("drop", SEND, 20), Fault("status", SEND, 20)])
async def test_what_cannot_be_sent_is_none(fault: Fault) -> None:
    async with talking() as room:
        room.sandbox.faults.add(fault)
        assert await room.sender.send(room.channel(), "hi", "1-0") is None
        assert await room.sender.send(room.channel(), "x" * 2001, "1-1") is None
        assert not room.said()


async def test_a_forbidden_channel_is_left_alone_until_permissions_change() -> None:
    async with talking() as room:
        room.place.may_write = False
        for _ in range(3):
            assert await room.sender.send(room.channel(), "hi", "1-0") is None
        assert room.attempts() == 1

        for may_write, sends in ((False, 2), (True, 4)):  # now the gateway says so
            room.place.may_write = may_write
            event = guilds.channel(room.sandbox.world, room.place)
            changed = room.client.count("guild_channel_update")
            await room.sandbox.gateway.dispatch("CHANNEL_UPDATE", event)
            await room.client.until("guild_channel_update", changed + 1)
            for position in range(2):
                sent = await room.sender.send(room.channel(), "hi", f"2-{position}")
                assert (sent is not None) == may_write
            assert room.attempts() == sends
        assert len(room.said()) == 2


async def test_in_slow_mode_a_burst_is_its_first_message() -> None:
    async with talking() as room:
        room.place.slowmode_seconds = 60
        event = guilds.channel(room.sandbox.world, room.place)
        await room.sandbox.gateway.dispatch("CHANNEL_UPDATE", event)
        await room.client.until("guild_channel_update")
        assert await room.sender.send(room.channel(), "hi", "1-0")
        assert await room.sender.send(room.channel(), "there", "1-1") is None
        assert [post.content for post in room.said()] == ["hi"]
        assert room.attempts() == 1


async def test_a_locked_thread_is_left_to_who_may_unlock_it() -> None:
    async with talking() as room:
        world = room.sandbox.world
        thread = await room.sandbox.actions.open_thread(room.place.id, "old")
        thread.is_locked = True
        await room.sandbox.gateway.dispatch("THREAD_UPDATE", guilds.channel(world, thread))
        await room.client.until("thread_update")
        assert await room.sender.send(room.channel(thread.id), "hi", "1-0")

        manage_threads = discord.Permissions(manage_threads=True).value
        denied = {"id": str(world.guild_id), "type": 0, "allow": "0", "deny": str(manage_threads)}
        event = guilds.channel(world, room.place) | {"permission_overwrites": [denied]}
        await room.sandbox.gateway.dispatch("CHANNEL_UPDATE", event)
        await room.client.until("guild_channel_update")
        assert await room.sender.send(room.channel(thread.id), "hi", "2-0") is None
        assert room.attempts() == 1
