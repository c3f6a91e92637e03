"""Admins exclude and include people on a real client in the sandbox; nobody else is heard."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import discord

from bot.commands import sync
from bot.privacy_commands import PrivacyCommands
from storage import database, messages, people
from storage.messages import Message
from tests.bot.room import Room
from tests.bot.room import room as open_room
from tests.sandbox.conftest import ALICE, SECONDS
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

KIM = 900_000_000_000_000_001
TEXT = "the heron stands in the cold river"


@contextlib.asynccontextmanager
async def room(folder: Path) -> AsyncIterator[Room]:
    async with open_room(folder, lambda _, servers: PrivacyCommands(servers)) as here:
        with database.transaction(here.database):
            own = Message(10**18 + 5, 1, here.sandbox.world.bot_id, "bot", "hello", "self")
            messages.save(here.database, [Message(10**18, 1, KIM, "kim", TEXT), own])
        yield here


async def test_an_admin_excludes_and_includes_by_id_or_mention(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        said = await here.ask(f"!exclude {KIM} asked for it")
        assert said == f"{KIM} is excluded. Messages erased: 1."
        assert not people.written(here.database, KIM).texts
        (one,) = people.exclusions(here.database)
        assert (one.reason, one.excluded_by) == ("asked for it", here.sandbox.world.owner_id)
        assert await here.ask(f"!include <@{KIM}>") == f"{KIM} is no longer excluded."
        assert await here.ask(f"!include <@!{KIM}>") == f"{KIM} was not excluded."
        assert database.excluded_users(here.database) == frozenset()


async def test_what_is_left_is_said_without_a_word_of_theirs(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (tmp_path / "stray.txt").write_text(TEXT)
        said = await here.ask(f"!exclude {KIM}")
        assert f"forget_person.py {KIM}" in said
        assert "heron" not in said


async def test_nonsense_is_answered_with_the_way_out(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        for text in ("!exclude", "!exclude kim", "!include @everyone", "!exclude 99"):
            said = await here.ask(text)
            assert said.startswith("That did not work: ")
            assert "person" in said
        said = await here.ask(f"!exclude {here.sandbox.world.bot_id}")
        assert "the bot itself" in said
        assert database.excluded_users(here.database) == frozenset()


async def test_members_are_not_heard(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.say(f"!exclude {KIM}", ALICE)
        await here.say(f"!include {KIM}", ALICE)
        assert "was not excluded" in await here.ask(f"!include {KIM}")
        own = [p for p in here.place.posts if p.author_id == here.sandbox.world.bot_id]
        assert len(own) == 1
        assert people.written(here.database, KIM).texts


async def test_slash_commands_are_for_moderators_to_see_and_admins_to_use(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        world = here.sandbox.world
        await sync(here.bot, here.servers)
        by_name = {command["name"]: command for command in world.commands}
        assert set(by_name) == {"exclude", "include"}
        moderators = str(discord.Permissions(manage_guild=True).value)
        assert {c["default_member_permissions"] for c in by_name.values()} == {moderators}
        refused = await here.sandbox.actions.invoke(
            here.place.id, ALICE, by_name["exclude"], {"person": str(KIM)}
        )
        await asyncio.wait_for(refused.answered.wait(), SECONDS)
        assert "admins" in refused.answers[0].content
        for name, outcome in (("exclude", "Messages erased: 1."), ("include", "no longer")):
            used = await here.sandbox.actions.invoke(
                here.place.id, world.owner_id, by_name[name], {"person": f"<@{KIM}>"}
            )
            await asyncio.wait_for(used.answered.wait(), SECONDS)
            assert outcome in used.answers[-1].content
        assert not here.place.posts
