"""The real bot process on two servers, added as an operator would; a third does not have it.

It starts once for all of these tests: each leaves both servers as it found them.
"""

import asyncio
import dataclasses
import os
import shutil
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from bot.config import ROOT
from bot.more_servers import FOLDER
from data import privacy
from gui import env_file
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Place, Post, World
from storage import database, judgements, messages, quiet, requests, shadow
from storage.requests import DONE
from tests.bot.test_bot import COMMANDS, SECONDS, Bot, start

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALICE = 2**60
CANARIES = ("the amber heron stands in the river", "the cobalt heron sits on the roof")


@dataclasses.dataclass
class Side:
    """A server as its admin and a member see it, and the database that is its own."""

    server_id: int
    place: Place
    admin_id: int
    canary: str
    env: Path
    connection: sqlite3.Connection


@dataclasses.dataclass
class House:
    """Everything that runs."""

    sandbox: Sandbox
    bot: Bot
    one: Side
    two: Side
    nowhere: int

    @property
    def both_ways(self) -> tuple[tuple[Side, Side], tuple[Side, Side]]:
        return (self.one, self.two), (self.two, self.one)

    async def say(self, here: Side, text: str, author: int = ALICE, **how: int) -> Post:
        return await self.sandbox.say(here.place.id, author, text, **how)

    async def order(self, here: Side, text: str, says: str) -> Post:
        """The answer to an admin's command: the bot's next message that `says` this."""
        asked, own = await self.say(here, text, here.admin_id), self.sandbox.world.bot_id

        async def wait() -> Post:
            while True:
                for post in here.place.posts:
                    if post.id > asked.id and post.author_id == own and says in post.content:
                        return post
                await asyncio.sleep(0.02)

        return await asyncio.wait_for(wait(), SECONDS)

    async def all_is_heard(self, here: Side) -> None:
        """Wait until all that happened there before was dealt with."""
        await self.order(here, "!quiet off", "It was not quiet here.")

    async def mention(self, here: Side) -> tuple[Post, Post]:
        """A member asks the bot, and it replies."""
        asked = await self.say(here, f"<@{self.sandbox.world.bot_id}> what did you have for lunch?")
        await self.bot.logged(f"replied to {asked.id}")
        (reply,) = (post for post in here.place.posts if post.reply_to == asked.id)
        return asked, reply

    def commands(self, here: Side) -> set[object]:
        return {one["name"] for one in self.sandbox.world.commands_in(here.place.id)}


async def add_server(env: Path, server_id: int) -> Path:
    """Have the script add a server; its settings."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "scripts/add_server.py", str(server_id), "--env", str(env)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), SECONDS)
    path = env.parent / FOLDER / str(server_id) / ".env"
    assert process.returncode == 0, out.decode()
    assert out.decode().endswith(f'scripts/1_fetch_all_history.py --env "{path}"\n')
    return path


def share_models(folder: Path) -> None:
    folder.mkdir(parents=True)
    for file in (ROOT / "models" / "base").glob("*.gguf"):
        try:
            os.link(file, folder / file.name)
        except OSError:
            shutil.copyfile(file, folder / file.name)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    tmp_path_factory: pytest.TempPathFactory, small_model: Path
) -> AsyncIterator[House]:
    folder, world = tmp_path_factory.mktemp("bot"), World("Tea House")
    den, nowhere = world.add_server("Den"), world.add_server("Nowhere")
    world.guilds[2].has_bot = False
    places = world.add_place("general"), world.add_place("den", server_id=den)
    admins = world.owner_id, ALICE + 1
    world.add_person(ALICE, "amber-fox")
    world.add_person(admins[1], "the den's admin")
    share_models(folder / "models" / "base")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        own = {"DATA_DIR": str(folder / "data"), "MODELS_DIR": str(folder / "models")}
        first = write_env(folder, sandbox, **own)
        second = await add_server(first, den)
        env_file.write(second, {"ADMIN_USERS": str(admins[1])})
        strange = {"SERVER_ID": str(nowhere), "BASE_MODEL": str(small_model)}
        env_file.write(folder / FOLDER / "x" / ".env", {**env_file.read(second), **strange})
        data = (folder / "data", second.parent / "data_storage")
        connections = [database.connect(path / "database" / "bot.sqlite3") for path in data]
        for connection in connections:
            database.change_setting(connection, "response_rate", 0)
            database.change_setting(connection, "max_tokens", 10)
            database.confirm_permission(connection, "yes")
        ids = (world.guild_id, den)
        one, two = (
            Side(*facts)
            for facts in zip(
                ids, places, admins, CANARIES, (first, second), connections, strict=True
            )
        )
        bot = await start(first)
        await bot.logged("connected as")
        yield House(sandbox, bot, one, two, nowhere)
        assert bot.process.stdin
        bot.process.stdin.close()
        code, output = await bot.ended()
        assert code == 0, output
        assert world.token not in output and not any(text in output for text in CANARIES)
        assert not sandbox.actions.pings


async def test_it_replies_in_each_and_keeps_each_apart(house: House) -> None:
    for here, other in house.both_ways:
        told = await house.say(here, here.canary)
        asked, reply = await house.mention(here)
        stored = messages.reply_for(here.connection, asked.id)
        assert stored and (stored.content, stored.author_kind) == (reply.content, "self")
        assert messages.by_ids(here.connection, [told.id])
        ids = [told.id, asked.id, reply.id]
        assert not messages.by_ids(other.connection, ids)


async def test_edits_deletions_and_reactions_are_of_the_server_they_happen_in(
    house: House,
) -> None:
    for here, other in house.both_ways:
        edited, deleted = await house.say(here, "first"), await house.say(here, "second")
        await house.all_is_heard(here)
        twins = messages.by_ids(here.connection, [edited.id, deleted.id])
        messages.save(other.connection, twins)  # as if both servers had the same ids
        await house.sandbox.actions.react(edited, here.admin_id, "\N{THUMBS UP SIGN}")
        await house.sandbox.actions.edit(edited, "changed")
        await house.sandbox.actions.delete(here.place.id, [deleted.id])
        await house.all_is_heard(here)
        (kept,) = messages.by_ids(here.connection, [edited.id, deleted.id])
        assert (kept.content, kept.reactions) == ("changed", {"\N{THUMBS UP SIGN}": 1})
        assert messages.by_ids(other.connection, [edited.id, deleted.id]) == twins
        messages.mark_deleted(other.connection, [edited.id, deleted.id])


async def test_what_an_admin_sets_holds_in_that_server(house: House) -> None:
    for here, other in house.both_ways:
        before = database.settings(other.connection)
        await house.order(here, "!setrate 0.001", "Answering 0.1%")
        await house.order(here, "!shadow on", "Listening only")
        await house.order(here, "!quiet 5 everywhere", "Quiet everywhere")
        assert database.settings(here.connection).response_rate == 0.001
        assert database.settings(other.connection) == before
        assert not shadow.is_on(other.connection) and not quiet.places(other.connection, 0)
        unheard = await house.say(here, f"<@{house.sandbox.world.bot_id}> are you there?")
        await house.mention(other)
        assert not any(post.reply_to == unheard.id for post in here.place.posts)
        await house.order(here, "!quiet off everywhere", "Speaking again.")
        await house.order(here, "!shadow off", "Speaking.")
        await house.order(here, "!setrate 0", "Answering 0%")


async def test_who_is_excluded_in_one_is_answered_in_the_other(house: House) -> None:
    one, two = house.one, house.two
    await house.order(one, f"!exclude {ALICE}", f"{ALICE} is excluded.")
    ignored = await house.say(one, f"<@{house.sandbox.world.bot_id}> hello?")
    asked, _ = await house.mention(two)
    assert messages.by_ids(two.connection, [asked.id])
    assert not messages.by_ids(one.connection, [ignored.id])
    assert not any(post.reply_to == ignored.id for post in one.place.posts)
    assert database.excluded_users(two.connection) == frozenset()
    await house.order(one, f"!include {ALICE}", "no longer excluded")
    assert database.excluded_users(one.connection) == frozenset()


async def test_an_admin_of_one_is_nobody_in_the_other(house: House) -> None:
    for here, other in house.both_ways:
        _, reply = await house.mention(other)
        link = f"https://discord.com/channels/{here.server_id}/{other.place.id}/{reply.id}"
        for text in ("!setrate 1", "!quiet everywhere", f"!exclude {ALICE}", f"!bad {reply.id}"):
            await house.say(other, text, here.admin_id)
        await house.order(here, f"!why {link}", "Nothing is known")
        await house.order(here, f"!bad {link}", "no such message")
        await house.all_is_heard(other)
        assert reply in other.place.posts
        assert not judgements.rejected_replies(other.connection)
        assert database.settings(other.connection).response_rate == 0
        assert not quiet.places(other.connection, 0)
        assert database.excluded_users(other.connection) == frozenset()


async def test_members_have_privacy_where_they_decide(house: House) -> None:
    assert house.commands(house.one) == house.commands(house.two) == COMMANDS
    privacy.set_consent_mode(house.two.connection, privacy.OPT_OUT)
    await house.bot.logged("slash commands synced")
    assert house.commands(house.two) == {*COMMANDS, "privacy"}
    assert house.commands(house.one) == COMMANDS
    privacy.set_consent_mode(house.two.connection, privacy.ADMIN)
    await house.bot.logged("slash commands synced")
    assert house.commands(house.two) == COMMANDS


async def test_the_launcher_is_asked_in_the_servers_own_database(house: House) -> None:
    told = await house.order(house.two, "!fetch", "Asking the launcher")
    asked = requests.open_request(house.two.connection)
    assert asked and asked.step == requests.FETCH
    assert requests.open_request(house.one.connection) is None
    requests.tell(house.two.connection, asked.id, DONE, "Fetched @everyone")
    await house.bot.logged("fetch: done")
    assert told.content == "Fetched @everyone"


async def test_one_model_serves_both_and_each_has_a_sign_of_life(house: House) -> None:
    family = psutil.Process(house.bot.process.pid).children(recursive=True)
    workers = [one for one in family if "model.worker" in one.cmdline()]
    assert len(workers) == 1  # of the base model that the script has linked
    beats = [database.heartbeat(side.connection, "bot") for side in (house.one, house.two)]
    assert [beat and beat.pid for beat in beats] == [house.bot.process.pid] * 2


async def test_a_server_it_is_not_on_is_named_while_the_others_go_on(house: House) -> None:
    log = "".join(house.bot.log)
    assert f"not a member of server {house.nowhere} (SERVER_ID in " in log
    joined = f"to server {house.sandbox.world.guild_id}, {house.two.server_id}\n"
    assert joined in log
