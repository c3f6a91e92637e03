"""What an admin asked for in Discord is run by the launcher, with a window or without."""

import dataclasses
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gui.pipeline import ACTIONS, DEPLOY, TRAINING
from gui.presenter import Presenter
from gui.session import Session, Way
from storage import database, requests
from storage.database import Model
from storage.requests import DONE, FAILED, RUNNING, Answer, Request

SCRIPT = """
import sys, time
from pathlib import Path
sys.path.insert(0, {root!r})
from bot import logs
here = Path(__file__)
with (here.parent / "ran").open("a") as file:
    print(here.name, *sys.argv[1:], file=file)
update = logs.meter("work", 4, 0)
update(1, "one of four")
hold = here.with_suffix(".hold")
while hold.exists():
    time.sleep(0.02)
print("all is well with", here.name)
print("Next: python something else")
sys.exit(1 if here.with_suffix(".fails").exists() else 0)
"""


class Office:
    """A launcher whose scripts only note that they ran."""

    def __init__(self, session: Session, folder: Path) -> None:
        self.folder = folder
        for action in ACTIONS:
            (folder / action.program).write_text(SCRIPT.format(root=str(Path.cwd())))
        others = tuple(dataclasses.replace(one, scripts=folder) for one in session.others)
        way = Way(lambda report: dataclasses.replace(session, scripts=folder, others=others))
        self.database: sqlite3.Connection = database.connect(session.database_path)
        self.presenter = Presenter(way)

    def turn(self) -> None:
        self.presenter.tick(time.time())
        time.sleep(0.01)

    def settle(self) -> None:
        """Until the launcher has looked for requests."""
        servers = self.presenter._servers
        while not servers or len(self.presenter._errands._seen) < len(servers):
            self.turn()

    def ask(self, step: str, argument: str = "") -> Request:
        asked = requests.ask(self.database, step, 1, 2, argument)
        assert asked
        return asked

    def until(self, asked: Request, *states: str) -> Answer:
        give_up_at = time.monotonic() + 30
        while True:
            heard = requests.answer(self.database, asked.id)
            if heard and heard.state in states:
                return heard
            assert time.monotonic() < give_up_at, heard
            self.turn()

    @property
    def ran(self) -> list[str]:
        path = self.folder / "ran"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def office(session: Session, tmp_path: Path) -> Iterator[Office]:
    folder = tmp_path / "steps"
    folder.mkdir()
    made = Office(session, folder)
    made.settle()
    yield made
    made.presenter.end()


def test_a_fetch_is_run_and_its_outcome_told(office: Office) -> None:
    heard = office.until(office.ask(requests.FETCH), DONE, FAILED)
    assert heard.state == DONE
    assert "all is well with 1_fetch_all_history.py" in heard.text
    assert [line.split()[0] for line in office.ran] == ["1_fetch_all_history.py"]


def test_training_runs_all_of_its_steps_in_order(office: Office) -> None:
    heard = office.until(office.ask(requests.TRAIN), DONE, FAILED)
    assert heard.state == DONE and heard.text.startswith("Deploy: done")
    assert [line.split()[0] for line in office.ran] == [action.program for action in TRAINING]


def test_a_step_that_fails_is_the_last(office: Office) -> None:
    (office.folder / "3_train_model.fails").touch()
    heard = office.until(office.ask(requests.TRAIN), DONE, FAILED)
    assert heard.state == FAILED and "Retrain model: failed" in heard.text
    assert len(office.ran) == 2


def test_progress_is_told_while_it_runs_and_the_window_shows_it(office: Office) -> None:
    hold = office.folder / "1_fetch_all_history.hold"
    hold.touch()
    asked = office.ask(requests.FETCH)
    while "one of four" not in office.until(asked, RUNNING).text:
        office.turn()
    assert office.presenter.snapshot(time.time()).step.title == "Fetching messages"
    assert "25%" in office.until(asked, RUNNING).text
    assert requests.ask(office.database, requests.TRAIN, 1, 2) is None
    hold.unlink()
    assert office.until(asked, DONE, FAILED).state == DONE


def test_what_the_window_cancels_has_failed(office: Office) -> None:
    (office.folder / "1_fetch_all_history.hold").touch()
    asked = office.ask(requests.FETCH)
    office.until(asked, RUNNING)
    office.presenter.cancel_step()
    heard = office.until(asked, DONE, FAILED)
    assert heard.state == FAILED and "cancelled" in heard.text


def test_while_the_window_runs_a_step_nothing_else_begins(office: Office) -> None:
    (office.folder / "5_deploy_bot.hold").touch()
    office.presenter.run_step(DEPLOY)
    heard = office.until(office.ask(requests.FETCH), DONE, FAILED)
    assert heard.state == FAILED and "Deploying is going on" in heard.text


def test_a_model_is_deployed_by_a_name_that_is_known(office: Office) -> None:
    for name in ("own", "--rollback"):
        database.add_model(office.database, Model(name, Path("x"), "b", "", {}, 1.0))
    for name in ("own", "--rollback"):
        assert office.until(office.ask(requests.DEPLOY, name), DONE, FAILED).state == DONE
    for name in ("../own", "--list", "", "OWN"):
        assert office.until(office.ask(requests.DEPLOY, name), DONE, FAILED).state == FAILED
    assert [line.split()[-1] for line in office.ran] == ["--model=own", "--model=--rollback"]


def test_what_another_launcher_left_behind_has_failed(session: Session, tmp_path: Path) -> None:
    connection = database.connect(session.database_path)
    asked = requests.ask(connection, requests.TRAIN, 1, 2)
    assert asked
    requests.tell(connection, asked.id, RUNNING, "half")
    office = Office(session, tmp_path)
    try:
        heard = office.until(asked, FAILED)
        assert "Ask again" in heard.text
        assert office.until(office.ask(requests.FETCH), DONE, FAILED).state == DONE
    finally:
        office.presenter.end()
    assert len(office.ran) == 1


def test_a_launcher_that_leaves_says_so(office: Office) -> None:
    (office.folder / "1_fetch_all_history.hold").touch()
    asked = office.ask(requests.FETCH)
    office.until(asked, RUNNING)
    office.presenter.close()
    assert office.until(asked, DONE, FAILED).state == FAILED


@pytest.fixture
def other_server(two_servers: Session) -> sqlite3.Connection:
    return database.connect(two_servers.others[0].database_path)


@pytest.fixture
def wide_office(two_servers: Session, tmp_path: Path) -> Iterator[Office]:
    """A launcher of a bot that lives on two servers; an admin of the first asks."""
    folder = tmp_path / "steps"
    folder.mkdir()
    made = Office(two_servers, folder)
    made.settle()
    yield made
    made.presenter.end()


def test_each_servers_errands_run_with_its_own_settings_and_are_told_there(
    wide_office: Office, other_server: sqlite3.Connection, two_servers: Session
) -> None:
    first, (second,) = wide_office.database, two_servers.others
    wide_office.database = other_server
    asked = wide_office.ask(requests.TRAIN)
    assert wide_office.until(asked, DONE, FAILED).state == DONE
    steps = [f"{action.program} --env {second.env_path}" for action in TRAINING]
    assert wide_office.ran == steps
    assert requests.answer(first, asked.id) is None
    wide_office.database = first
    assert wide_office.until(wide_office.ask(requests.FETCH), DONE, FAILED).state == DONE
    assert wide_office.ran[-1] == f"1_fetch_all_history.py --env {two_servers.env_path}"


def test_one_servers_errand_is_not_disturbed_by_anothers(
    wide_office: Office, other_server: sqlite3.Connection
) -> None:
    hold = wide_office.folder / "3_train_model.hold"
    hold.touch()
    first, running = wide_office.database, wide_office.ask(requests.TRAIN)
    while "Training" not in wide_office.until(running, RUNNING).text:
        wide_office.turn()
    wide_office.database = other_server
    refused = wide_office.until(wide_office.ask(requests.FETCH), DONE, FAILED)
    assert refused.state == FAILED and refused.text.startswith("Training is going on")
    hold.unlink()
    wide_office.database = first
    assert wide_office.until(running, DONE, FAILED).state == DONE
    assert [line.split()[0] for line in wide_office.ran] == [one.program for one in TRAINING]


def test_two_servers_that_ask_at_once_are_served_one_after_the_other(
    wide_office: Office, other_server: sqlite3.Connection
) -> None:
    first, asked = wide_office.database, wide_office.ask(requests.FETCH)
    wide_office.database = other_server
    heard = wide_office.until(wide_office.ask(requests.FETCH), DONE, FAILED)
    assert heard.state == FAILED and "ask again" in heard.text
    wide_office.database = first
    assert wide_office.until(asked, DONE, FAILED).state == DONE
    assert len(wide_office.ran) == 1


def test_a_model_of_another_server_is_not_deployed(
    wide_office: Office, other_server: sqlite3.Connection
) -> None:
    database.add_model(wide_office.database, Model("own", Path("x"), "b", "", {}, 1.0))
    wide_office.database = other_server
    asked = wide_office.ask(requests.DEPLOY, "own")
    assert wide_office.until(asked, DONE, FAILED).state == FAILED
    assert wide_office.ran == []


def test_a_server_whose_database_is_locked_keeps_no_other_waiting(
    wide_office: Office, other_server: sqlite3.Connection
) -> None:
    first, asked = wide_office.database, wide_office.ask(requests.DEPLOY, "no such model")
    first.execute("BEGIN IMMEDIATE")
    wide_office.database = other_server
    assert wide_office.until(wide_office.ask(requests.FETCH), DONE, FAILED).state == DONE
    first.execute("ROLLBACK")
    wide_office.database = first
    assert wide_office.until(asked, DONE, FAILED).state == FAILED


def test_what_was_left_behind_has_failed_in_every_server(
    two_servers: Session, other_server: sqlite3.Connection, tmp_path: Path
) -> None:
    asked = requests.ask(other_server, requests.TRAIN, 1, 2)
    assert asked
    office = Office(two_servers, tmp_path)
    try:
        office.database = other_server
        assert "Ask again" in office.until(asked, DONE, FAILED).text
    finally:
        office.presenter.end()
    assert office.ran == []
