"""`!fetch` of a bot that nobody supervises, on a real client in the sandbox."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import step_commands
from bot.servers import Servers
from bot.step_commands import StepCommands
from sandbox.faults import Fault
from storage import database, messages
from tests.bot.room import Bot, Room, room
from tests.sandbox.conftest import ALICE
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself


def steps(_: Bot, servers: Servers) -> StepCommands:
    return StepCommands(servers, restart=lambda: None)


@contextlib.asynccontextmanager
async def permitted(folder: Path) -> AsyncIterator[Room]:
    async with room(folder, steps) as here:
        database.confirm_permission(here.database, "yes")
        yield here


async def test_fetch_tells_how_it_went_by_editing_its_answer(tmp_path: Path) -> None:
    async with permitted(tmp_path) as here:
        said = await here.say("good morning", ALICE)
        assert await here.ask("!fetch") == "Fetching ..."
        answer = here.place.posts[-1]
        await here.bot.sees(lambda: answer.content.startswith("Fetched "))
        assert "1 channel" in answer.content
        assert messages.by_ids(here.database, [said.id])


async def test_a_second_fetch_waits_for_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(step_commands, "TELL_SECONDS", 0.05)
    async with permitted(tmp_path) as here:
        here.sandbox.faults.add(Fault("slow", "GET .*/messages", seconds=1.0))
        assert await here.ask("!fetch") == "Fetching ..."
        first = here.place.posts[-1]
        assert await here.ask("!fetch") == "A fetch is running already."
        await here.bot.sees(lambda: first.content.startswith("Fetched "))


async def test_without_permission_nothing_is_fetched(tmp_path: Path) -> None:
    async with room(tmp_path, steps) as here:
        assert "needs permission" in await here.ask("!fetch")
        assert messages.count(here.database) == 0


async def test_members_cannot_fetch(tmp_path: Path) -> None:
    async with permitted(tmp_path) as here:
        await here.say("!fetch", ALICE)
        assert "launcher" in await here.ask("!restart")  # the next one is heard
        assert messages.count(here.database) == 0
