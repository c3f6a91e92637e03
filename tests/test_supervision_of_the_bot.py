"""The real bot and its worker under the real controller, connected to the sandbox."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from bot.logs import LogLine
from bot_controller import STOP_SECONDS, State
from gui.session import Session, session
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import World
from storage import database
from tests.scripted_bot import alive

MEMBER = 2**60


class Supervised:
    """The controller, ticked while the sandbox answers."""

    def __init__(self, prepared: Session, sandbox: Sandbox) -> None:
        self.controller, self.sandbox = prepared.controller, sandbox
        self.database = database.connect(prepared.database_path)
        self.log = ""

    async def until(self, is_so: Callable[[], object], seconds: float = 90.0) -> None:
        give_up_at = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < give_up_at, (self.controller.state, self.log)
            self.controller.tick(time.time())
            for event in self.controller.output.take():
                self.log += f"{event.text}\n" if isinstance(event, LogLine) else ""
            await asyncio.sleep(0.02)

    async def until_logged(self, text: str) -> None:
        self.log = ""
        await self.until(lambda: text in self.log)

    async def mention(self) -> None:
        place = next(iter(self.sandbox.world.places.values()))
        await self.sandbox.say(place.id, MEMBER, f"<@{self.sandbox.world.bot_id}> tell me a story")

    def family(self) -> list[int]:
        assert self.controller.child
        return [process.pid for process in self.controller.child.family()]


@pytest.fixture
async def running(tmp_path: Path, small_model: Path) -> AsyncIterator[Supervised]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(MEMBER, "amber-fox")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        prepared = session(write_env(tmp_path, sandbox))
        supervised = Supervised(prepared, sandbox)
        database.change_setting(supervised.database, "max_tokens", 500)
        prepared.controller.start()
        await supervised.until_logged("connected as")
        yield supervised
        prepared.controller.force_stop()
        await supervised.until(lambda: prepared.controller.state is State.STOPPED)


async def test_it_leaves_in_time_in_the_middle_of_a_generation(running: Supervised) -> None:
    """By itself: three seconds later it would have been killed."""
    controller, family = running.controller, running.family()
    worker = psutil.Process(family[-1])
    await running.mention()
    before = sum(worker.cpu_times()[:2])
    await running.until(lambda: sum(worker.cpu_times()[:2]) > before + 0.3)
    controller.stop()
    await running.until(lambda: controller.state is State.STOPPED, STOP_SECONDS + 1)
    assert controller.child
    assert controller.child.exit_code() == 0
    assert not [pid for pid in family if alive(pid)]


async def test_a_killed_bot_comes_back_and_answers(running: Supervised) -> None:
    controller, family = running.controller, running.family()
    assert len(family) == 2
    psutil.Process(family[0]).kill()
    await running.until(lambda: not any(alive(pid) for pid in family), 2.0)
    await running.until_logged("connected as")
    assert controller.state is State.RUNNING
    database.change_setting(running.database, "max_tokens", 10)
    await running.mention()
    await running.until_logged("replied to")
