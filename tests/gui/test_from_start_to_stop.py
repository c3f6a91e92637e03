"""The real window, controller, bot, model and database, and a Discord on this machine."""

import dataclasses
import json
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from gui.session import session
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import World
from storage import database
from storage.database import Settings
from tests.gui.conftest import Desk
from tests.loopback import running

MEMBER = 2**60
PATIENCE = 120.0


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(MEMBER, "amber-fox")
    with running(Sandbox(world, has_rate_limits=False)) as served:
        yield served


def say(sandbox: Sandbox, text: str) -> None:
    """Write a message as a member does."""
    place = next(iter(sandbox.world.places.values()))
    body = {"channel_id": str(place.id), "author_id": str(MEMBER), "content": text}
    request = urllib.request.Request(
        f"{sandbox.url}/sandbox/say",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    urllib.request.urlopen(request, timeout=30).close()


class Owner:
    """Somebody in front of the window."""

    def __init__(self, desk: Desk) -> None:
        self.desk, self.window = desk, desk.window

    def figure(self, name: str) -> str:
        snapshot = self.desk.presenter.snapshot(0.0)
        return dict(snapshot.day)[name]

    def waits_for(self, is_so: Callable[[], object]) -> None:
        self.desk.until(is_so, PATIENCE)

    def logged(self, text: str) -> int:
        return sum(text in line.text for line in self.desk.presenter.log.lines)

    def bot_is_online(self, times: int) -> bool:
        state = self.window.status.word.cget("text")
        return bool(state == "Running" and self.logged("connected as") >= times)


@pytest.mark.timeout(280)
def test_a_whole_day_of_a_bot(
    make_desk: Callable[..., Desk], sandbox: Sandbox, tmp_path: Path, small_model: Path
) -> None:
    prepared = session(write_env(tmp_path, sandbox))
    database.change_setting(database.connect(prepared.database_path), "max_tokens", 20)
    desk = make_desk(lambda report: dataclasses.replace(prepared, scripts=tmp_path))
    owner = Owner(desk)
    desk.until_word("Stopped")

    desk.click(desk.window.status.start)
    owner.waits_for(lambda: owner.bot_is_online(1))

    desk.press(desk.window.overview.tuning.sliders["response_rate"], "<End>")
    own = database.connect(prepared.database_path)  # as another process sees it
    owner.waits_for(lambda: database.settings(own) == Settings(response_rate=1.0, max_tokens=20))

    say(sandbox, "does anybody know a good tea")
    owner.waits_for(lambda: owner.figure("Responses sent").startswith("1 "))
    assert owner.figure("Messages seen") == "1"

    controller = prepared.controller
    assert controller.child
    killed = controller.child.pid
    psutil.Process(killed).kill()
    owner.waits_for(lambda: owner.bot_is_online(2))
    assert controller.child.pid != killed

    say(sandbox, "and a biscuit to go with it")
    owner.waits_for(lambda: owner.figure("Responses sent").startswith("2 "))

    family = controller.child.family()
    desk.click(desk.window.status.stop)
    desk.until_word("Stopped")
    assert controller.child.exit_code() == 0
    assert not [process for process in family if process.is_running()]
