"""What admins have run under a launcher, played by the test; on a real client in the sandbox."""

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import errands
from bot.commands import sync
from bot.errands import Errands
from bot.servers import Servers
from bot.step_commands import StepCommands
from sandbox.faults import Fault
from storage import database, requests
from storage.requests import DONE, FAILED, RUNNING, Request
from tests.bot.room import Bot, Room
from tests.bot.room import room as open_room
from tests.sandbox.conftest import ALICE
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

ASKING = "Asking the launcher ..."


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(errands, "LOOK_SECONDS", 0.02)
    monkeypatch.setattr(errands, "TELL_SECONDS", 0.1)


@contextlib.asynccontextmanager
async def room(folder: Path, restarts: list[str] | None = None) -> AsyncIterator[Room]:
    """A supervised bot, whose restarts are noted."""

    def restart() -> None:
        (restarts if restarts is not None else []).append("restart")

    def cog(bot: Bot, servers: Servers) -> StepCommands:
        return StepCommands(servers, restart, Errands(bot, servers, restart))

    async with open_room(folder, cog) as here:
        database.confirm_permission(here.database, "yes")
        yield here


def asked_for(here: Room) -> Request:
    request = requests.open_request(here.database)
    assert request
    return request


async def test_progress_and_outcome_are_told_in_one_answer(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        assert await here.ask("!fetch") == ASKING
        answer, request = here.place.posts[-1], asked_for(here)
        assert (request.step, request.channel_id) == (requests.FETCH, here.place.id)
        for state, text in (
            (RUNNING, "Fetching 10%"),
            (RUNNING, "90%"),
            (DONE, "Fetched @everyone"),
        ):
            requests.tell(here.database, request.id, state, text)
            await here.bot.sees(lambda text=text: answer.content == text)  # type: ignore[misc]
        assert len(here.said) == 1
        assert requests.untold(here.database) == []


async def test_one_thing_runs_at_a_time(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.ask("!train")
        assert asked_for(here).step == requests.TRAIN
        assert "It begins in a moment" in await here.ask("!fetch")
        requests.tell(here.database, asked_for(here).id, RUNNING, "Training 5%")
        assert "one thing at a time. Training 5%" in await here.ask("!train")
        requests.tell(here.database, asked_for(here).id, FAILED, "It failed.")
        assert await here.ask("!fetch") == ASKING


async def test_a_slash_answer_grown_too_old_goes_on_as_a_message(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await sync(here.bot, here.servers)
        used = await here.use("train")
        assert used.answers[0].is_private and not here.said
        requests.tell(here.database, asked_for(here).id, RUNNING, "Training 5%")
        while used.answers[0].content != "Training 5%":
            await here.bot.sees(lambda: True)
        here.sandbox.faults.add(Fault("status", "PATCH .*/webhooks/", status=401, times=100))
        requests.tell(here.database, asked_for(here).id, RUNNING, "Training 6%")
        await here.bot.sees(lambda: here.said == ["Training 6%"])
        requests.tell(here.database, asked_for(here).id, DONE, "Trained.")
        await here.bot.sees(lambda: here.said == ["Trained."])


async def test_a_deleted_answer_is_written_anew(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.ask("!fetch")
        await here.sandbox.actions.delete(here.place.id, [here.place.posts[-1].id])
        requests.tell(here.database, asked_for(here).id, DONE, "Fetched.")
        await here.bot.sees(lambda: here.said == ["Fetched."])


async def test_after_a_restart_the_answer_goes_on(tmp_path: Path) -> None:
    restarts: list[str] = []
    async with room(tmp_path, restarts) as here:
        await here.ask("!train")
        answer, request = here.place.posts[-1], asked_for(here)
        cog = here.bot.get_cog("StepCommands")
        assert isinstance(cog, StepCommands)
        await here.bot.remove_cog("StepCommands")
        requests.tell(here.database, request.id, DONE, "Trained.")
        await here.bot.add_cog(cog)
        await here.bot.sees(lambda: answer.content == "Trained.")
        assert requests.untold(here.database) == [] and not restarts


async def test_a_launcher_that_does_not_answer_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(errands, "PATIENCE_SECONDS", 0.2)
    async with room(tmp_path) as here:
        await here.ask("!fetch")
        answer = here.place.posts[-1]
        await here.bot.sees(lambda: "does not answer" in answer.content)
        assert requests.open_request(here.database) is None


async def test_the_bot_leaves_to_be_started_again(tmp_path: Path) -> None:
    restarts: list[str] = []
    async with room(tmp_path, restarts) as here:
        await here.say("!restart", ALICE)
        assert (await here.ask("!restart")).startswith("Restarting.")
        assert restarts == ["restart"]


async def test_without_a_launcher_nobody_would_start_or_train_it(tmp_path: Path) -> None:
    def restart() -> None:
        raise AssertionError("nobody would start it again")

    async with open_room(tmp_path, lambda _, servers: StepCommands(servers, restart)) as here:
        assert "nobody would start it again" in await here.ask("!restart")
        assert "3_train_model.py" in await here.ask("!train")
        assert requests.open_request(here.database) is None


async def test_members_start_nothing(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await sync(here.bot, here.servers)
        for name in ("fetch", "train", "restart"):
            await here.say(f"!{name}", ALICE)
            refused = await here.use(name, ALICE)
            assert refused.answers[0].content == "This command is for the bot's admins."
        assert requests.open_request(here.database) is None
        assert not here.said
