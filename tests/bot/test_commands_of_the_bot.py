"""Commands of the real bot process on the sandbox, and of those who are not to be heard."""

import asyncio
from pathlib import Path

from bot import honesty
from bot.config import RESTART_ME
from data import privacy
from sandbox.server import Sandbox
from sandbox.settings import write_env
from storage import database, messages
from tests.bot.test_bot import COMMANDS, SECONDS, Bot, answer, general, say, start, talking
from tests.bot.test_bot import sandbox as sandbox  # a fixture

IMPOSTOR, HOOK = 2**61, 2**62


async def ask(sandbox: Sandbox, text: str, **how: int) -> str:
    """What the bot says to an admin."""
    asked = await sandbox.say(general(sandbox).id, sandbox.world.owner_id, text, **how)
    return (await answer(sandbox, asked)).content


async def heard(sandbox: Sandbox, bot: Bot) -> int:
    """Wait until all that was said before was dealt with; the id of what is answered."""
    mark = await say(sandbox, f"<@{sandbox.world.bot_id}> hi")
    await bot.logged(f"replied to {mark.id}")
    return mark.id


async def test_nobody_else_is_heard_not_even_answered(tmp_path: Path, sandbox: Sandbox) -> None:
    world, place = sandbox.world, general(sandbox)
    admin = world.people[world.owner_id]
    world.add_person(IMPOSTOR, admin.name)  # by an admin's name
    world.add_person(HOOK, admin.name, is_bot=True)  # as a webhook posts
    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    database.change_setting(connection, "response_rate", 1)
    async with talking(tmp_path, sandbox) as bot:
        for author in (2**60, IMPOSTOR, HOOK):
            await sandbox.say(place.id, author, "!setrate 0.5")
            await sandbox.say(place.id, author, "!model use own")
        edited = await sandbox.say(place.id, HOOK, "hello")
        await sandbox.actions.edit(edited, "!setrate 0.5")
        private = world.direct(world.owner_id)
        await sandbox.say(private.id, world.owner_id, "!setrate 0.5")
        mark = await heard(sandbox, bot)
        own = [post for post in place.posts if post.author_id == world.bot_id]
        assert own[0].reply_to == mark
        assert database.settings(connection).response_rate == 1
        assert "!setrate" not in {m.content for m in messages.recent(connection, place.id, 50)}
        assert not private.posts[1:]


async def test_an_admins_edit_is_no_command(tmp_path: Path, sandbox: Sandbox) -> None:
    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    database.change_setting(connection, "response_rate", 0)
    async with talking(tmp_path, sandbox) as bot:
        said = await sandbox.say(general(sandbox).id, sandbox.world.owner_id, "hello")
        await sandbox.actions.edit(said, "!setrate 0.5")
        await heard(sandbox, bot)
        assert database.settings(connection).response_rate == 0


async def test_help_status_and_why_tell_what_there_is(tmp_path: Path, sandbox: Sandbox) -> None:
    async with talking(tmp_path, sandbox) as bot:
        lines = (await ask(sandbox, "!help")).splitlines()
        named = {line.split("`")[1].split()[0] for line in lines if "`" in line}
        hidden, groups = {"!exclude", "!include"}, {"!model"}
        assert len(lines) == len(named) + 2  # model has two lines, and there is a last word
        assert not named & hidden and groups < named and "!setrate" in named
        assert max(map(len, lines)) < 120

        await ask(sandbox, "!quiet 5 everywhere")
        status = await ask(sandbox, "!status")
        for part in ("Up 0.0 h with SmolLM2", "under the launcher", "MB of memory", "In 7 days"):
            assert part in status
        for part in ("Quiet everywhere until <t:", "Answers 5% of messages", "consent: admin"):
            assert part in status
        assert "shadow" not in status and "until it has learned when members do" in status
        await ask(sandbox, "!quiet off")
        await ask(sandbox, "!shadow on")
        assert "Listening only (shadow)" in await ask(sandbox, "!status")
        await ask(sandbox, "!shadow off")
        await ask(sandbox, "!setpolicy rate")
        assert "it speaks at an even rate\n" in await ask(sandbox, "!status")

        mark = await say(sandbox, f"<@{sandbox.world.bot_id}> what did you have for lunch?")
        reply = await answer(sandbox, mark)
        await bot.logged(f"replied to {mark.id}")
        told = await ask(sandbox, "!why", reply_to=reply.id)
        assert "Reason: mentioned" in told and "temperature 0.75" in told
        asked = await say(sandbox, f"<@{sandbox.world.bot_id}> r u a bot?")
        assert (await answer(sandbox, asked)).content in honesty.ANSWERS
        log = "".join(bot.log)
        assert "lunch" not in log and reply.content not in log


async def test_members_commands_come_and_go_with_the_consent_mode(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    def named() -> set[str]:
        return {str(command["name"]) for command in sandbox.world.commands}

    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    async with talking(tmp_path, sandbox) as bot:
        assert named() == COMMANDS
        privacy.set_consent_mode(connection, privacy.OPT_IN)  # as the window does
        await bot.logged("slash commands synced")
        assert named() == {*COMMANDS, "privacy"}
        privacy.set_consent_mode(connection, privacy.ADMIN)
        await bot.logged("slash commands synced")
        assert named() == COMMANDS


async def test_a_restart_is_asked_for_by_exit_code(tmp_path: Path, sandbox: Sandbox) -> None:
    bot = await start(write_env(tmp_path, sandbox))
    await bot.logged("connected as")
    assert (await ask(sandbox, "!restart")).startswith("Restarting.")
    code, output = await asyncio.wait_for(bot.ended(), SECONDS)
    assert code == RESTART_ME, output
