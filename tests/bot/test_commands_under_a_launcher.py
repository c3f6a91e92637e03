"""Under the real launcher without a window: an admin fetches, restarts and changes the model."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import ROOT
from model import catalog
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Post
from storage import database, messages
from tests.bot.test_bot import Bot, answer, general, say
from tests.bot.test_bot import sandbox as sandbox  # a fixture

HEADLESS = "import sys, terminal; from pathlib import Path; terminal.supervise(Path(sys.argv[1]))"
SECONDS = 120.0

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="ended by a signal of Unix")


@contextlib.asynccontextmanager
async def launched(env: Path) -> AsyncIterator[Bot]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HEADLESS, str(env)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    launcher = Bot(process)
    try:
        yield launcher
    finally:
        process.terminate()
        _, output = await launcher.ended()
    assert "Traceback" not in output


async def ask(sandbox: Sandbox, text: str) -> Post:
    asked = await sandbox.say(general(sandbox).id, sandbox.world.owner_id, text)
    return await answer(sandbox, asked)


async def becomes(post: Post, text: str) -> None:
    async def wait() -> None:
        while text not in post.content:
            await asyncio.sleep(0.05)

    await asyncio.wait_for(wait(), SECONDS)


async def test_an_admin_fetches_restarts_and_changes_the_model(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    said = await say(sandbox, "an older message")  # before there was a bot
    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    database.confirm_permission(connection, "yes")
    async with launched(write_env(tmp_path, sandbox)) as launcher:
        await launcher.logged("connected as")
        first = database.heartbeat(connection, "bot")
        told = await ask(sandbox, "!fetch")
        await becomes(told, "Fetch new messages: done. Fetched")
        assert messages.by_ids(connection, [said.id])

        told = await ask(sandbox, "!train")
        await becomes(told, "Prepare data: ")  # there is far too little to learn from
        assert "needs you" in told.content or "failed" in told.content

        await ask(sandbox, "!restart")
        await launcher.logged("connected as")
        second = database.heartbeat(connection, "bot")
        assert first and second and first.pid != second.pid

        name = Path(catalog.SMALL_MODEL.member).stem
        assert "Restarting with" in (await ask(sandbox, f"!model use {name}")).content
        await launcher.logged("connected as")
        assert f"`{name}`, a base model" in (await ask(sandbox, "!model list")).content
        chosen = database.chosen_path(connection)
        assert chosen and chosen.stem == name
