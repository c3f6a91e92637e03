"""The real bot process where Discord recommends several connections."""

import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.config import NEEDS_A_PERSON
from bot_controller import logins
from sandbox.gateway import AUTHENTICATION_FAILED, IDENTIFY_SECONDS, Gateway
from sandbox.server import Sandbox
from sandbox.sessions import Session, Socket
from sandbox.settings import write_env
from sandbox.world import World
from tests.bot.test_bot import answer, say, start
from tests.sandbox.test_shards import at_home


@contextlib.asynccontextmanager
async def recommending(shards: int, *denied: str) -> AsyncIterator[Sandbox]:
    """A sandbox whose server is on the last shard."""
    world = World("Test server")
    world.add_place("general")
    world.add_person(2**60, "amber-fox")
    at_home(world, shards - 1, shards)
    async with Sandbox(
        world, has_rate_limits=False, recommended_shards=shards, denied_intents=denied
    ) as running:
        yield running


@dataclasses.dataclass
class Login:
    """When somebody logged in, and as which shard."""

    moment: float
    shard: object


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Login]:
    """Every login."""
    seen: list[Login] = []
    identify = Gateway._identify

    async def watched(self: Gateway, socket: Socket, data: dict[str, object]) -> Session | None:
        seen.append(Login(time.monotonic(), data.get("shard")))
        return await identify(self, socket, data)

    monkeypatch.setattr(Gateway, "_identify", watched)
    return seen


async def test_three_shards_log_in_in_turn_and_the_servers_own_answers(
    tmp_path: Path, small_model: Path, seen: list[Login]
) -> None:
    async with recommending(3) as sandbox:
        bot = await start(write_env(tmp_path, sandbox))
        await bot.logged("connected as")
        assert [login.shard for login in seen] == [[0, 3], [1, 3], [2, 3]]
        first, second, third = (login.moment for login in seen)
        assert min(second - first, third - second) >= IDENTIFY_SECONDS - 0.1
        asked = await say(sandbox, f"<@{sandbox.world.bot_id}> what did you have for lunch?")
        assert (await answer(sandbox, asked)).reply_to == asked.id
        assert logins(tmp_path / "database" / "bot.sqlite3")() == 3
        await sandbox.gateway.sockets[1].close(AUTHENTICATION_FAILED)
        status, output = await bot.ended()
    assert status == NEEDS_A_PERSON, output
    assert "refused the token" in output.strip().splitlines()[-1]


async def test_a_shard_without_message_content_names_the_page(
    tmp_path: Path, small_model: Path
) -> None:
    async with recommending(2, "message_content") as sandbox:
        status, output = await (await start(write_env(tmp_path, sandbox))).ended()
        last = output.strip().splitlines()[-1]
    assert status == NEEDS_A_PERSON, output
    assert f"/applications/{sandbox.world.bot_id}/bot" in last


async def test_without_logins_left_it_waits_and_spends_none(
    tmp_path: Path, small_model: Path
) -> None:
    async with recommending(2) as sandbox:
        sandbox.gateway.identifies = 999
        bot = await start(write_env(tmp_path, sandbox))
        await bot.logged("1 of the day's are left, 2 are needed")
        assert sandbox.gateway.identifies == 999
        assert bot.process.stdin
        bot.process.stdin.close()
        assert (await bot.ended())[0] == 0


async def test_where_one_is_enough_there_is_no_shard(
    tmp_path: Path, small_model: Path, seen: list[Login]
) -> None:
    async with recommending(1) as sandbox:
        bot = await start(write_env(tmp_path, sandbox))
        await bot.logged("connected as")
        assert [login.shard for login in seen] == [None]
        assert bot.process.stdin
        bot.process.stdin.close()
        assert (await bot.ended())[0] == 0
