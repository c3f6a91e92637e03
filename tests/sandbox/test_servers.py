"""Several servers in one world: each has its own places and commands, and nothing of another's."""

import asyncio

import discord
import pytest
from discord import app_commands

from sandbox.server import Sandbox
from sandbox.world import PUBLIC_THREAD, Place, World
from tests.sandbox.conftest import ALICE, SECONDS, Caller, Client, online
from tests.sandbox.test_shards import ShardedClient


@pytest.fixture
def den(world: World) -> Place:
    """The channel of a further server."""
    return world.add_place("den", server_id=world.add_server("Den"))


def guild_id(world: World, place: Place) -> int:
    guild = world.guild_of(place.id)
    assert guild
    return guild.id


async def test_a_client_sees_each_server_with_its_own_places(
    sandbox: Sandbox, world: World, den: Place, place_id: int
) -> None:
    thread = world.add_place("corner", PUBLIC_THREAD, den.id)
    async with online(sandbox) as client:
        await client.sees(lambda: not any(guild.unavailable for guild in client.guilds))
        home, other = client.get_guild(world.guild_id), client.get_guild(guild_id(world, den))
        assert home and other and len(client.guilds) == 2
        assert (home.name, other.name) == ("Sandbox", "Den")
        assert [c.id for c in home.channels] == [place_id] and not home.threads
        assert [c.id for c in other.channels] == [den.id]
        assert [t.id for t in other.threads] == [thread.id]
        assert [t.id for t in await other.active_threads()] == [thread.id]
        assert await home.active_threads() == []
        assert [c.id for c in await other.fetch_channels()] == [den.id]
        assert other.default_role.id == other.id
        assert (await other.fetch_member(ALICE)).guild is other
        assert {member.id for member in await other.query_members("alice")} == {ALICE}
        named = {(guild.id, guild.name) async for guild in client.fetch_guilds()}
        assert named == {(home.id, "Sandbox"), (other.id, "Den")}


async def test_what_happens_names_the_server_where_it_does(
    sandbox: Sandbox, world: World, den: Place, place_id: int
) -> None:
    async with online(sandbox) as client:
        await client.sees(lambda: not any(guild.unavailable for guild in client.guilds))
        for here in (place_id, den.id):
            said = await sandbox.say(here, ALICE, "hello")
            await sandbox.actions.edit(said, "hello!")
            await sandbox.actions.react(said, ALICE, "\N{ROCKET}")
            await sandbox.actions.type(here, ALICE)
            await sandbox.actions.delete(here, [said.id])
        await sandbox.actions.open_thread(den.id, "corner")
        await client.until("thread_create")
        await sandbox.actions.remove_place(den.id)
        await client.until("guild_channel_delete")
        for event in ("message", "raw_message_edit", "raw_reaction_add", "raw_message_delete"):
            told = client.of(event)
            ids = [one.guild.id if event == "message" else one.guild_id for one in told]
            assert ids == [world.guild_id, guild_id_of_den(client)], event
        assert client.of("thread_create")[0].guild.name == "Den"
        assert client.of("guild_channel_delete")[0].guild.name == "Den"


def guild_id_of_den(client: Client) -> int:
    return next(guild.id for guild in client.guilds if guild.name == "Den")


async def test_commands_belong_to_the_server_where_they_were_synced(
    sandbox: Sandbox, world: World, den: Place, place_id: int
) -> None:
    client = Client()
    tree, there = app_commands.CommandTree(client), discord.Object(guild_id(world, den))

    @tree.command(guild=there)
    async def growl(interaction: discord.Interaction) -> None:
        """Say where."""
        assert interaction.guild
        await interaction.response.send_message(interaction.guild.name)

    async with online(sandbox, client):
        await tree.sync(guild=there)
        await tree.sync(guild=discord.Object(world.guild_id))
        assert world.commands_in(place_id) == []
        (command,) = world.commands_in(den.id)
        assert [c.guild_id for c in await tree.fetch_commands(guild=there)] == [there.id]
        assert await tree.fetch_commands() == []
        used = await sandbox.actions.invoke(den.id, ALICE, command, {})
        await asyncio.wait_for(used.answered.wait(), SECONDS)
        assert [post.content for post in used.answers] == ["Den"]
        assert den.posts and not world.places[place_id].posts


async def test_of_a_server_it_is_not_on_the_bot_is_told_nothing(
    sandbox: Sandbox, world: World, den: Place, place_id: int, call: Caller
) -> None:
    server_id = guild_id(world, den)
    world.guilds[1].has_bot = False
    async with online(sandbox) as client:
        await sandbox.say(den.id, ALICE, "among us")
        await sandbox.say(place_id, ALICE, "hello")
        await client.until("message")
        assert [message.content for message in client.of("message")] == ["hello"]
        assert [guild.id for guild in client.guilds] == [world.guild_id]
    for path in ("", "/channels", "/threads/active", f"/members/{ALICE}"):
        assert (await call("GET", f"/guilds/{server_id}{path}"))[1]["code"] == 10004
    assert (await call("GET", f"/channels/{den.id}/messages"))[0] == 403
    assert [guild["id"] for guild in (await call("GET", "/users/@me/guilds"))[1]] == [
        str(world.guild_id)
    ]
    commands = f"/applications/{world.bot_id}/guilds/{server_id}/commands"
    assert (await call("PUT", commands, json=[]))[0] == 404


async def test_each_server_is_on_its_own_shard(
    sandbox: Sandbox, world: World, den: Place, place_id: int
) -> None:
    while (world.guilds[1].id >> 22) % 2 == (world.guild_id >> 22) % 2:
        world.guilds[1].id += 1 << 22
    async with online(sandbox, ShardedClient(shard_count=2)) as client:
        await client.sees(lambda: len(client.guilds) == 2)
        await sandbox.say(place_id, ALICE, "hello")
        await sandbox.say(den.id, ALICE, "good evening")
        await client.until("message", 2)
        assert {(m.content, m.guild.name) for m in client.of("message")} == {
            ("hello", "Sandbox"),
            ("good evening", "Den"),
        }
        assert {guild.shard_id for guild in client.guilds} == {0, 1}
