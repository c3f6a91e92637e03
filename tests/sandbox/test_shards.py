"""Several connections of one bot: each server's events come on its shard's alone."""

import asyncio
import contextlib

import aiohttp
import discord

from sandbox.gateway import CONCURRENCY
from sandbox.limits import Window
from sandbox.server import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ALICE, Caller, Client, online
from tests.sandbox.test_gateway import another

EVERYTHING = 1 << 0 | 1 << 9 | 1 << 12 | 1 << 15


class ShardedClient(Client, discord.AutoShardedClient):
    """A real client with a connection for each shard."""


def at_home(world: World, shard: int, count: int) -> None:
    """Give the server an id that belongs to a shard."""
    while (world.guild_id >> 22) % count != shard:
        world.home.id += 1 << 22


async def test_only_the_shard_of_a_server_is_told(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    at_home(world, 1, 2)
    sandbox.gateway.logins = Window(2, 60)
    async with another(sandbox) as first, another(sandbox) as second:
        await first.identify(EVERYTHING, shard=[0, 2])
        await second.identify(EVERYTHING, shard=[1, 2])
        assert (await second.read())["t"] == "GUILD_CREATE"
        await sandbox.say(place_id, ALICE, "hello")
        await sandbox.say(world.direct(ALICE).id, ALICE, "psst")
        await sandbox.gateway.reconnect()
        told = [[(await line.read())["d"] for _ in range(2)] for line in (first, second)]
    assert [events[0]["content"] for events in told] == ["psst", "hello"]
    assert [events[1] for events in told] == [None, None]


async def test_a_shard_without_servers_is_told_of_none(sandbox: Sandbox, world: World) -> None:
    at_home(world, 0, 2)
    async with another(sandbox) as line:
        data = {"token": world.token, "intents": EVERYTHING, "shard": [1, 2]}
        await line.ws.send_json({"op": 2, "d": data})
        ready = await line.until("READY")
    assert ready["d"]["guilds"] == [] and ready["d"]["shard"] == [1, 2]


async def test_shards_that_log_in_too_fast_are_sent_back(sandbox: Sandbox) -> None:
    async with another(sandbox) as first, another(sandbox) as second:
        await first.identify(shard=[0, 2])
        data = {"token": sandbox.world.token, "intents": 0, "shard": [1, 2]}
        await second.ws.send_json({"op": 2, "d": data})
        assert (await second.read())["op"] == 9


async def test_discord_recommends_what_it_is_told_to(world: World) -> None:
    async with Sandbox(world, recommended_shards=3) as sandbox, aiohttp.ClientSession() as session:
        status, body = await Caller(session, sandbox)("GET", "/gateway/bot")
    assert (status, body["shards"]) == (200, 3)
    assert body["session_start_limit"]["max_concurrency"] == CONCURRENCY


async def test_a_real_client_with_two_shards_hears_each_message_once(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    at_home(world, 1, 2)
    async with online(sandbox, ShardedClient(shard_count=2)) as client:
        await sandbox.say(place_id, ALICE, "hello")
        await client.until("message")
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(client.until("message", 2), 0.3)
        assert [message.content for message in client.of("message")] == ["hello"]
        assert client.guilds[0].shard_id == 1
    assert sandbox.gateway.identifies == 2
