"""The real bot process with its model on a real server."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bot.config import NEEDS_A_PERSON
from sandbox.server import Sandbox
from sandbox.settings import write_env
from storage import database
from tests.bot.test_bot import answer, general, sandbox, say, start, talking
from tests.model import chat_servers
from tests.model.chat_servers import KEY

__all__ = ["sandbox"]


@pytest.fixture(scope="module")
def llama(small_model: Path) -> Iterator[str]:
    with chat_servers.llama_server(small_model) as url:
        yield url


async def test_a_mention_is_answered_by_the_server(
    tmp_path: Path, sandbox: Sandbox, llama: str
) -> None:
    settings = {"ENGINE_URL": llama, "ENGINE_KEY": KEY, "CONTEXT_LENGTH": "512"}
    async with talking(tmp_path, sandbox, **settings) as bot:
        asked = await say(sandbox, f"<@{sandbox.world.bot_id}> what did you have for lunch?")
        reply = await answer(sandbox, asked)
        assert reply.reply_to == asked.id and reply.content
        await bot.logged(f"replied to {asked.id}")
        workers = psutil.Process(bot.process.pid).children(recursive=True)
        assert not any("--model" in worker.cmdline() for worker in workers)
        connection = database.connect(tmp_path / "database" / "bot.sqlite3")
        beat = database.heartbeat(connection, "bot")
        assert beat and beat.model == "SmolLM2-135M-Instruct.Q4_1"
        owner = sandbox.world.owner_id
        status = await sandbox.say(general(sandbox).id, owner, "!status")
        assert beat.model in (await answer(sandbox, status)).content
    assert KEY not in "".join(bot.log)


async def test_a_wrong_key_is_one_sentence_and_78(
    tmp_path: Path, sandbox: Sandbox, llama: str
) -> None:
    bot = await start(write_env(tmp_path, sandbox, ENGINE_URL=llama, ENGINE_KEY="sk-wrong"))
    code, output = await bot.ended()
    assert code == NEEDS_A_PERSON, output
    assert "refuses the key" in output.strip().splitlines()[-1]
    assert "Traceback" not in output and "sk-wrong" not in output


async def test_a_server_that_is_down_is_waited_for(tmp_path: Path, sandbox: Sandbox) -> None:
    bot = await start(write_env(tmp_path, sandbox, ENGINE_URL="http://127.0.0.1:9"))
    await bot.logged("the server cannot be reached; trying again")
    assert bot.process.stdin
    bot.process.stdin.close()
    assert (await bot.ended())[0] == 0
