"""The real bot process on the sandbox: it is started, spoken to and stopped as a user would."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from bot.config import NEEDS_A_PERSON, ROOT
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Place, Post, World
from storage import database, messages

SECONDS = 90.0
FEW_TOKENS = 24  # of a reply: it need not be long to be one
COMMANDS = {
    *("about", "bad", "exclude", "fetch", "help", "include", "model", "quiet", "restart"),
    *("setmaxlen", "setpolicy", "setrate", "settemp", "shadow", "status", "train", "why"),
}


class Bot:
    """A running `python -m bot.main` and what it logged."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.log: list[str] = []

    async def logged(self, text: str) -> str:
        """Read on until a line contains `text`."""
        assert self.process.stdout
        while line := (await asyncio.wait_for(self.process.stdout.readline(), SECONDS)).decode():
            self.log.append(line)
            if text in line:
                return line
        raise AssertionError(f"the bot ended without {text!r}:\n" + "".join(self.log))

    async def ended(self) -> tuple[int, str]:
        """Its exit code and everything it printed."""
        out, _ = await asyncio.wait_for(self.process.communicate(), SECONDS)
        assert self.process.returncode is not None
        return self.process.returncode, "".join(self.log) + out.decode()


async def start(env: Path) -> Bot:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bot.main", "--env", str(env), "--supervised"),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    return Bot(process)


@contextlib.asynccontextmanager
async def talking(tmp_path: Path, sandbox: Sandbox, **settings: str) -> AsyncIterator[Bot]:
    database.change_setting(
        database.connect(tmp_path / "database" / "bot.sqlite3"), "max_tokens", FEW_TOKENS
    )
    bot = await start(write_env(tmp_path, sandbox, **settings))
    try:
        await bot.logged("connected as")
        yield bot
    finally:
        assert bot.process.stdin
        bot.process.stdin.close()
        code, output = await bot.ended()
    assert code == 0, output
    assert sandbox.world.token not in output
    assert not sandbox.actions.pings


@pytest.fixture
async def sandbox(small_model: Path) -> AsyncIterator[Sandbox]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(2**60, "amber-fox")
    async with Sandbox(world, has_rate_limits=False) as running:
        yield running


def general(sandbox: Sandbox) -> Place:
    return next(iter(sandbox.world.places.values()))


async def answer(sandbox: Sandbox, trigger: Post) -> Post:
    """The bot's next message after `trigger`."""
    place = general(sandbox)

    async def wait() -> Post:
        while True:
            for post in place.posts:
                if post.id > trigger.id and post.author_id == sandbox.world.bot_id:
                    return post
            await asyncio.sleep(0.02)

    return await asyncio.wait_for(wait(), SECONDS)


async def say(sandbox: Sandbox, text: str, **how: int) -> Post:
    return await sandbox.say(general(sandbox).id, 2**60, text, **how)


async def test_a_mention_always_gets_a_reply_from_the_model(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    async with talking(tmp_path, sandbox) as bot:
        asked = await say(sandbox, f"<@{sandbox.world.bot_id}> what did you have for lunch?")
        reply = await answer(sandbox, asked)
        assert reply.reply_to == asked.id
        assert reply.content
        await bot.logged(f"replied to {asked.id}")
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        stored = messages.reply_for(connection, asked.id)
        assert stored
        assert (stored.content, stored.author_kind) == (reply.content, "self")
        again = await say(sandbox, "really?", reply_to=reply.id)
        await bot.logged(f"replied to {again.id}")
        assert [post for post in general(sandbox).posts if post.reply_to == again.id]


async def test_the_rate_takes_effect_without_a_restart(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox) as bot:
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        database.change_setting(connection, "response_rate", 0)
        for number in range(5):
            await say(sandbox, f"just chatting {number}")
        await sandbox.say(general(sandbox).id, sandbox.world.owner_id, "!setrate 1")
        await bot.logged("response rate set to 1")
        talked = [p for p in general(sandbox).posts if p.author_id == sandbox.world.bot_id]
        assert not any("just chatting" in p.content for p in talked)
        told = await say(sandbox, "anybody here?")
        await bot.logged(f"replied to {told.id}")
        assert database.settings(connection).response_rate == 1


async def test_admin_commands_are_for_admins_only(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox):
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        database.change_setting(connection, "response_rate", 0)
        await say(sandbox, "!setrate 0.9")
        asked = await sandbox.say(general(sandbox).id, sandbox.world.owner_id, "!status")
        status = await answer(sandbox, asked)
        assert "Answers 0% of messages" in status.content
        assert database.settings(connection).response_rate == 0


async def test_slash_commands_answer_the_asker_alone(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox) as bot:
        await bot.logged("connected as") if not bot.log else None
        place, world = general(sandbox), sandbox.world
        by_name = {command["name"]: command for command in world.commands}
        assert set(by_name) == COMMANDS
        used = await sandbox.actions.invoke(
            place.id, world.owner_id, by_name["setrate"], {"rate": 0.25}
        )
        await asyncio.wait_for(used.answered.wait(), SECONDS)
        assert used.answers[0].content == "Answering 25% of messages now."
        refused = await sandbox.actions.invoke(place.id, 2**60, by_name["setrate"], {"rate": 1.0})
        await asyncio.wait_for(refused.answered.wait(), SECONDS)
        assert "admins" in refused.answers[0].content
        assert not place.posts


async def test_edits_deletions_and_reactions_are_kept(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox) as bot:
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        database.change_setting(connection, "response_rate", 0)
        edited, deleted = await say(sandbox, "first"), await say(sandbox, "second")
        await sandbox.actions.react(edited, sandbox.world.owner_id, "👍")
        await sandbox.actions.edit(edited, "changed")
        await sandbox.actions.delete(edited.place_id, [deleted.id])
        mark = await say(sandbox, f"<@{sandbox.world.bot_id}> hi")
        await bot.logged(f"replied to {mark.id}")
        first, *_ = messages.recent(connection, edited.place_id, 10)
        assert (first.content, first.reactions) == ("changed", {"👍": 1})
        assert not messages.by_ids(connection, [deleted.id])


async def test_excluded_people_are_neither_stored_nor_answered(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    database.exclude_user(connection, 2**60)
    async with talking(tmp_path, sandbox) as bot:
        ignored = await say(sandbox, f"<@{sandbox.world.bot_id}> hello?")
        owner = sandbox.world.owner_id
        asked = await sandbox.say(general(sandbox).id, owner, f"<@{sandbox.world.bot_id}> hey")
        await bot.logged(f"replied to {asked.id}")
        assert messages.reply_for(connection, ignored.id) is None
        assert not messages.by_ids(connection, [ignored.id])


async def test_the_launcher_is_told_the_servers_name(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox):
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        assert database.recall(connection, "server_name") == "Test server"


async def test_stopping_leaves_no_process_behind(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox) as bot:
        family = psutil.Process(bot.process.pid).children(recursive=True)
        assert family
    assert not any(process.is_running() for process in family)


async def test_it_waits_for_a_network_that_is_down(tmp_path: Path, sandbox: Sandbox) -> None:
    env = write_env(tmp_path, sandbox, DISCORD_API_BASE="http://127.0.0.1:9/api/v10")
    bot = await start(env)
    await bot.logged("Discord cannot be reached")
    assert bot.process.stdin
    bot.process.stdin.close()
    assert (await bot.ended())[0] == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"DISCORD_TOKEN": ""}, "DISCORD_TOKEN is missing"),
        ({"DISCORD_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4.aaaaaa." + "b" * 38}, "refused the token"),
        ({"SERVER_ID": "123456789"}, "not a member of server 123456789"),
        ({"ADMIN_USERS": ""}, "ADMIN_USERS"),
        ({"MODEL_PATH": "nowhere.gguf"}, "There is no model at"),
    ],
)
async def test_what_a_person_must_mend_is_one_sentence_and_78(
    tmp_path: Path, sandbox: Sandbox, changes: dict[str, str], named: str
) -> None:
    bot = await start(write_env(tmp_path, sandbox, **changes))
    code, output = await bot.ended()
    last = output.strip().splitlines()[-1]
    assert code == NEEDS_A_PERSON, output
    assert last.startswith("error: ")
    assert named in last
    assert "Traceback" not in output


async def test_without_message_content_the_page_to_open_is_named(
    tmp_path: Path, small_model: Path
) -> None:
    world = World()
    world.add_place("general")
    async with Sandbox(world, denied_intents=("message_content",)) as sandbox:
        code, output = await (await start(write_env(tmp_path, sandbox))).ended()
    assert code == NEEDS_A_PERSON
    assert f"/applications/{world.bot_id}/bot" in output.strip().splitlines()[-1]
