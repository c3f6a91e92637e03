"""The bot asks, the launcher answers, and there is one open request at most."""

import sqlite3
from pathlib import Path

import pytest

from storage import database, requests
from storage.requests import DEPLOY, DONE, FAILED, FETCH, RUNNING, TRAIN


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


def test_a_second_request_waits_until_the_first_has_ended(connection: sqlite3.Connection) -> None:
    for ending in (DONE, FAILED):
        asked = requests.ask(connection, FETCH, 1, 2)
        assert asked and requests.open_request(connection) == asked
        assert requests.ask(connection, TRAIN, 1, 3) is None
        requests.tell(connection, asked.id, RUNNING, "half")
        assert requests.ask(connection, TRAIN, 1, 3) is None
        requests.tell(connection, asked.id, ending, "over")
        assert requests.open_request(connection) is None


def test_how_it_goes_is_the_last_word(connection: sqlite3.Connection) -> None:
    asked = requests.ask(connection, DEPLOY, 1, 2, "sam")
    assert asked and asked.argument == "sam"
    assert requests.answer(connection, asked.id) is None
    requests.tell(connection, asked.id, RUNNING, "half")
    requests.tell(connection, asked.id, DONE, "over")
    heard = requests.answer(connection, asked.id)
    assert heard and (heard.state, heard.text) == (DONE, "over")


def test_who_was_not_told_is_remembered(connection: sqlite3.Connection) -> None:
    asked = requests.ask(connection, FETCH, 1, 2)
    assert asked and requests.untold(connection) == [asked]
    requests.mark_told(connection, asked.id)
    assert requests.untold(connection) == []


def test_a_withdrawn_request_leaves_room_and_its_number_is_not_used_again(
    connection: sqlite3.Connection,
) -> None:
    asked = requests.ask(connection, FETCH, 1, 2)
    assert asked
    requests.withdraw(connection, asked.id)
    again = requests.ask(connection, FETCH, 1, 2)
    assert again and again.id > asked.id


def test_an_unknown_step_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        requests.ask(connection, "rm -rf", 1, 2)
