"""The bot is quiet where and as long as it was told."""

import sqlite3
from pathlib import Path

import pytest

from storage import database, quiet

NOW = 1_760_000_000.0
HERE, THREAD, ELSEWHERE = 10, 11, 20


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


def silent(connection: sqlite3.Connection, now: float = NOW) -> list[int]:
    parents = {HERE: None, THREAD: HERE, ELSEWHERE: None}
    return [one for one, parent in parents.items() if quiet.is_quiet(connection, one, parent, now)]


def test_a_channel_is_quiet_with_its_threads(connection: sqlite3.Connection) -> None:
    assert silent(connection) == []
    quiet.begin(connection, HERE, NOW + 60)
    assert silent(connection) == [HERE, THREAD]
    assert silent(connection, NOW + 61) == []
    assert quiet.places(connection, NOW + 61) == []


def test_everywhere_is_every_channel(connection: sqlite3.Connection, tmp_path: Path) -> None:
    quiet.begin(connection, quiet.EVERYWHERE, None)
    connection = database.connect(tmp_path / "bot.sqlite3")  # as after a restart
    assert silent(connection, NOW + 1e9) == [HERE, THREAD, ELSEWHERE]
    assert quiet.places(connection, NOW) == [(quiet.EVERYWHERE, None)]


def test_it_ends_where_it_is_ended(connection: sqlite3.Connection) -> None:
    quiet.begin(connection, HERE, None)
    quiet.begin(connection, ELSEWHERE, None)
    assert quiet.end(connection, [HERE])
    assert silent(connection) == [ELSEWHERE]
    assert not quiet.end(connection, [HERE])
    assert quiet.end(connection)
    assert silent(connection) == []
