"""Places: everything with messages that the bot may read, and a word on what it may not."""

import contextlib
from collections.abc import AsyncIterator, Collection

import discord
import pytest

from data import discord_api, places
from data.places import Places
from sandbox.rest import ApiError, Call
from sandbox.server import Sandbox
from sandbox.world import CATEGORY, FORUM, PUBLIC_THREAD, TEXT, VOICE, Place, World
from storage.channels import Channel
from tests.data.fetching import answer


def thread(world: World, name: str, parent: Place, is_archived: bool = False) -> Place:
    place = world.add_place(name, PUBLIC_THREAD, parent.id)
    place.is_archived = is_archived
    return place


def world_of_every_kind() -> World:
    world = World()
    world.add_place("category", CATEGORY)
    text, forum = world.add_place("text", TEXT), world.add_place("forum", FORUM)
    world.add_place("voice", VOICE)
    thread(world, "active", text)
    thread(world, "archived", text, is_archived=True)
    thread(world, "post", forum)
    thread(world, "old post", forum, is_archived=True)
    return world


def called(world: World, name: str) -> Place:
    return next(place for place in world.places.values() if place.name == name)


@contextlib.asynccontextmanager
async def logged_in(sandbox: Sandbox) -> AsyncIterator[tuple[discord.Client, discord.Guild]]:
    discord_api.use(sandbox.api)
    async with discord.Client(intents=discord.Intents.none()) as client:
        await client.login(sandbox.world.token)
        yield client, await client.fetch_guild(sandbox.world.guild_id)


async def found(sandbox: Sandbox, wanted: Collection[int] = ()) -> Places:
    async with logged_in(sandbox) as (client, guild):
        return await places.find(client, guild, wanted)


def names(found: Places) -> list[str]:
    return sorted(place.name for place in found.readable)


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox]:
    async with Sandbox(world_of_every_kind(), has_rate_limits=False) as running:
        yield running


async def test_everything_that_holds_messages_is_found_once(sandbox: Sandbox) -> None:
    everything = await found(sandbox)
    assert names(everything) == ["active", "archived", "old post", "post", "text", "voice"]
    assert everything.forbidden == []


@pytest.mark.parametrize("name", ["text", "forum", "voice"])
@pytest.mark.parametrize("how", ["hidden", "without history"])
async def test_what_may_not_be_read_is_named_and_left_with_its_threads(
    sandbox: Sandbox, name: str, how: str
) -> None:
    place = called(sandbox.world, name)
    if how == "hidden":
        place.is_hidden = True
    else:
        place.may_read_history = False
    rest = await found(sandbox)
    assert [channel.name for channel in rest.forbidden] == [name]
    places = sandbox.world.places.values()
    mine = {p.name for p in places if place.id in (p.id, p.parent_id)}
    assert not mine & set(names(rest))
    assert "category" not in names(rest)


async def test_chosen_channels_come_with_their_threads(sandbox: Sandbox) -> None:
    world = sandbox.world
    text, forum = called(world, "text"), called(world, "forum")
    assert names(await found(sandbox, [text.id])) == ["active", "archived", "text"]
    assert names(await found(sandbox, [forum.id])) == ["old post", "post"]
    assert names(await found(sandbox, [12345])) == []


async def test_of_chosen_channels_alone_it_is_said_that_they_may_not_be_read(
    sandbox: Sandbox,
) -> None:
    text, voice = called(sandbox.world, "text"), called(sandbox.world, "voice")
    text.is_hidden = voice.is_hidden = True
    chosen = await found(sandbox, [voice.id])
    assert [channel.name for channel in chosen.forbidden] == ["voice"]
    assert names(chosen) == []


async def test_more_archived_threads_than_one_answer_holds(sandbox: Sandbox) -> None:
    text = called(sandbox.world, "text")
    old_ms = text.made_ms - 1_000_000
    for number in range(250):
        place = Place(sandbox.world.new_id(old_ms + number), f"t{number}", PUBLIC_THREAD, text.id)
        place.is_archived = True
        sandbox.world.places[place.id] = place
    assert len((await found(sandbox)).readable) == 256


@pytest.mark.parametrize("status", [403, 404])
async def test_a_channel_that_goes_meanwhile_takes_only_its_threads(
    sandbox: Sandbox, status: int
) -> None:
    async def gone(_: Call) -> None:
        raise ApiError(status, 10003, "Unknown Channel")

    text = called(sandbox.world, "text")
    answer(sandbox, rf"/channels/{text.id}/threads/archived/\w+", gone)
    assert names(await found(sandbox)) == ["active", "old post", "post", "text", "voice"]


async def test_a_place_is_kept_with_its_kind_and_parent(sandbox: Sandbox) -> None:
    kept = {place.name: places.to_channel(place) for place in (await found(sandbox)).readable}
    text, archived = called(sandbox.world, "text"), called(sandbox.world, "archived")
    assert kept["text"] == Channel(text.id, "text", "text")
    assert kept["archived"] == Channel(archived.id, "archived", "public_thread", text.id)
    assert kept["voice"].kind == "voice"
