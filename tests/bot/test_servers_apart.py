"""Two servers of one bot: what is asked, set or said in one changes and shows nothing in the other.

On a real client in the sandbox, each cog by itself; the whole process is in test_several_servers.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import errands
from bot.commands import sync
from bot.errands import Errands
from bot.member_commands import MemberCommands
from bot.privacy_commands import PrivacyCommands
from bot.reply_commands import ReplyCommands
from bot.servers import Servers
from bot.setting_commands import SettingCommands
from bot.step_commands import StepCommands
from data import privacy
from sandbox.world import Post
from storage import database, explanations, judgements, messages, people, quiet, requests, shadow
from storage.explanations import Why
from storage.messages import Message, Reply
from storage.requests import DONE
from tests.bot.room import Bot, MakeCog, Room
from tests.bot.room import rooms as open_rooms
from tests.bot.test_member_commands import press
from tests.sandbox.conftest import ALICE
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

BOTH = 10**18  # a message that both databases have: ids tell nothing of the server
WORDS = "the heron stands in the cold river"


@contextlib.asynccontextmanager
async def rooms(folder: Path, make_cog: MakeCog) -> AsyncIterator[tuple[Room, Room]]:
    """Two servers, in each of which Alice has said something; the commands are synced."""
    async with open_rooms([folder / "one", folder / "two"], make_cog) as (one, two):
        for here in (one, two):
            messages.save(here.database, [Message(BOTH, here.place.id, ALICE, "amber", WORDS)])
            database.confirm_permission(here.database, "yes")
        await sync(one.bot, one.servers)
        yield one, two


async def replied(here: Room) -> Post:
    """A reply of the bot's, as it is kept."""
    world = here.sandbox.world
    asked = await here.say("hello", ALICE)
    said = await here.say("indeed", world.bot_id)
    own = Message(said.id, here.place.id, world.bot_id, "bot", "indeed", "self")
    with database.transaction(here.database):
        messages.save(here.database, [Message(asked.id, here.place.id, ALICE, "amber", "hi"), own])
        reply = Reply(said.id, asked.id, here.place.id, "scripted", 1.0)
        messages.record_reply(here.database, reply)
        explanations.record(here.database, said.id, Why("mentioned", 1.0, 1, 0, {"min_p": 0.1}))
    return said


async def test_settings_quiet_and_shadow_are_the_servers_own(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda _, servers: SettingCommands(servers)) as (one, two):
        before = database.settings(two.database)
        for text in ("!setrate 50%", "!settemp 1.2", "!setmaxlen 20"):
            await one.ask(text)
        assert (await one.ask("!quiet everywhere")).startswith("Quiet everywhere")
        assert (await one.ask("!shadow on")).startswith("Listening only")
        assert database.settings(one.database).response_rate == 0.5
        assert shadow.is_on(one.database) and quiet.places(one.database, 0)
        assert database.settings(two.database) == before
        assert not shadow.is_on(two.database) and not quiet.places(two.database, 0)
        assert await two.ask("!quiet off everywhere") == "It was not quiet here."
        assert quiet.places(one.database, 0)


async def test_an_admin_of_one_commands_nothing_in_the_other(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda _, servers: SettingCommands(servers)) as (one, two):
        assert one.admin_id != two.admin_id
        before = database.settings(two.database)
        await two.say("!setrate 1", one.admin_id)
        refused = await two.use("setrate", one.admin_id, rate=1.0)
        assert refused.answers[0].content == "This command is for the bot's admins."
        await two.ask("!settemp 1.1")  # the next one is heard
        assert database.settings(two.database).response_rate == before.response_rate
        assert len(two.said) == 1 and not one.said


async def test_a_message_of_the_other_server_is_out_of_reach(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda _, servers: ReplyCommands(servers)) as (one, two):
        post = await replied(two)
        here, there, channel = one.server.id, two.server.id, two.place.id
        ways = [f"https://discord.com/channels/{here}/{channel}/{post.id}", f"{post.id}"]
        for way in (*ways, f"{channel}-{post.id}"):
            assert (await one.ask(f"!why {way}")).startswith("Nothing is known"), way
            assert "no such message" in await one.ask(f"!bad {way}"), way
            used = await one.use("bad", message=way)
            assert "no such message" in used.answers[0].content
        foreign = f"https://discord.com/channels/{there}/{channel}/{post.id}"
        for command in ("why", "bad"):
            told = await one.ask(f"!{command} {foreign}")
            assert told == "That message is not of this server."
            await two.say(f"!{command} {foreign}", one.admin_id)
        assert post in two.place.posts and not judgements.rejected_replies(two.database)
        assert "Reason: mentioned" in await two.ask(f"!why {foreign}")
        assert (await two.ask(f"!bad {foreign}")).startswith("Deleted, and kept")
        assert len(judgements.rejected_replies(two.database)) == 1
        assert not judgements.rejected_replies(one.database)


async def test_who_is_excluded_in_one_stays_in_the_other(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda _, servers: PrivacyCommands(servers)) as (one, two):
        assert "Messages erased: 1" in await one.ask(f"!exclude {ALICE}")
        assert database.excluded_users(one.database) == {ALICE}
        assert messages.count(one.database) == 0
        assert database.excluded_users(two.database) == frozenset()
        assert [m.content for m in messages.by_ids(two.database, [BOTH])] == [WORDS]
        assert "was not excluded" in await two.ask(f"!include {ALICE}")
        assert database.excluded_users(one.database) == {ALICE}


async def test_members_decide_where_they_may_and_for_that_server(tmp_path: Path) -> None:
    def cog(bot: Bot, servers: Servers) -> MemberCommands:
        return MemberCommands(bot, servers)

    def names(here: Room) -> set[object]:
        return {command["name"] for command in here.sandbox.world.commands_in(here.place.id)}

    async with rooms(tmp_path, cog) as (one, two):
        assert names(one) == names(two) == {"about"}
        privacy.set_consent_mode(two.database, privacy.OPT_IN)
        await sync(two.bot, two.servers)
        assert names(one) == {"about"} and names(two) == {"about", "privacy"}
        for here, other in ((one, two), (two, one)):
            (told,) = (await here.use("about", ALICE)).answers
            assert f"<@{here.admin_id}>" in told.content
            assert f"<@{other.admin_id}>" not in told.content
        (shown,) = (await two.use("privacy", ALICE)).answers
        await press(two, shown, "Learn from my messages", ALICE)
        assert people.consents(two.database) == {ALICE: True}
        (sure,) = (await press(two, shown, "Erase everything of mine", ALICE)).answers
        (done,) = (await press(two, sure, "Yes, erase all of it", ALICE)).answers
        assert done.content.startswith("Erased.")
        assert messages.count(two.database) == 0 and messages.count(one.database) == 1
        assert not people.consents(one.database) and not database.excluded_users(one.database)


async def test_a_refusal_of_discord_in_one_does_not_keep_the_other_waiting(tmp_path: Path) -> None:
    async with rooms(tmp_path, lambda _, servers: SettingCommands(servers)) as (one, two):
        for here in (one, two):
            database.remember(here.database, "synced_commands", "")
        one.sandbox.world.commands.clear()
        one.sandbox.world.guilds[0].has_bot = False
        await sync(one.bot, one.servers)
        assert {command["guild_id"] for command in one.sandbox.world.commands} == {
            str(two.server.id)
        }


async def test_a_fetch_is_of_the_server_where_it_was_asked_for(tmp_path: Path) -> None:
    def cog(_: Bot, servers: Servers) -> StepCommands:
        return StepCommands(servers, restart=lambda: None)

    async with rooms(tmp_path, cog) as (one, two):
        there, here = await one.say("elsewhere", ALICE), await two.say("good morning", ALICE)
        assert await two.ask("!fetch") == "Fetching ..."
        answer = two.place.posts[-1]
        await two.bot.sees(lambda: answer.content.startswith("Fetched "))
        assert "1 channel" in answer.content
        assert messages.by_ids(two.database, [here.id])
        assert not messages.by_ids(two.database, [there.id])
        assert messages.count(one.database) == 1  # that of both
        assert not one.said


async def test_the_launcher_is_asked_for_the_server_where_it_was_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "LOOK_SECONDS", 0.02)

    def restart() -> None:
        raise AssertionError("nobody asked for that")

    def cog(bot: Bot, servers: Servers) -> StepCommands:
        return StepCommands(servers, restart, Errands(bot, servers, restart))

    async with rooms(tmp_path, cog) as (one, two):
        assert await two.ask("!fetch") == "Asking the launcher ..."
        answer, asked = two.place.posts[-1], requests.open_request(two.database)
        assert asked and (asked.step, asked.channel_id) == (requests.FETCH, two.place.id)
        assert requests.open_request(one.database) is None
        assert await one.ask("!train") == "Asking the launcher ..."  # one thing in each
        requests.tell(two.database, asked.id, DONE, "Fetched @everyone")
        await two.bot.sees(lambda: answer.content == "Fetched @everyone")
        await asyncio.sleep(0.1)
        assert one.said == ["Asking the launcher ..."]
        assert requests.untold(two.database) == [] and len(requests.untold(one.database)) == 1
