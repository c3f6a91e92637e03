"""What would have been said in shadow mode, and when it goes."""

import sqlite3
import time
from pathlib import Path

import pytest

from storage import database, messages, people, shadow
from storage.messages import Message
from storage.shadow import Decision

KIM = 101
NOW = messages.snowflake_at(time.time())
SILENT = Decision(NOW, 1, "", 0.05)
DRAFT = Decision(NOW + 1, 1, "chance", 0.4, ("lol", "no way"), "tiny", 1.5)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    messages.save(connection, [Message(NOW + n, 1, KIM, "kim", "hi") for n in range(3)])
    return connection


def test_what_was_decided_is_kept(connection: sqlite3.Connection) -> None:
    shadow.hear(connection, SILENT)
    shadow.hear(connection, Decision(DRAFT.trigger_id, 1, "chance", 0.4))
    shadow.keep(connection, DRAFT)
    assert shadow.decisions(connection) == [SILENT, DRAFT]
    assert shadow.count(connection) == (2, 1)
    assert shadow.holds(connection, NOW) and not shadow.holds(connection, NOW + 2)


def test_the_probability_stays_that_of_when_the_message_came(
    connection: sqlite3.Connection,
) -> None:
    shadow.hear(connection, Decision(NOW, 1, "chance", 0.4))
    shadow.keep(connection, Decision(NOW, 1, "chance", 1.0, ("lol",), "tiny", 1.0))
    (kept,) = shadow.decisions(connection)
    assert (kept.probability, kept.texts) == (0.4, ("lol",))


def test_a_value_that_makes_no_sense_lets_nothing_out(connection: sqlite3.Connection) -> None:
    assert not shadow.is_on(connection)
    for value in ("yes", "true", "No", "no ", "0", "\ufffd"):
        database.remember(connection, shadow.SETTING, value)
        assert shadow.is_on(connection), value
    shadow.switch(connection, False)
    assert not shadow.is_on(connection)


@pytest.mark.parametrize(
    "garbage", ["", "{}", "null", "[1]", '["a", null]', '"lol"', "[" * 100_000, "]"]
)
def test_texts_that_cannot_be_read_are_none(connection: sqlite3.Connection, garbage: str) -> None:
    shadow.keep(connection, DRAFT)
    connection.execute("UPDATE shadow SET texts = ?", (garbage,))
    (kept,) = shadow.decisions(connection)
    assert kept.texts == ()


def test_deleted_messages_and_erased_people_leave_nothing(connection: sqlite3.Connection) -> None:
    for decision in (SILENT, DRAFT):
        shadow.keep(connection, decision)
    messages.mark_deleted(connection, [NOW])
    assert shadow.decisions(connection) == [DRAFT]
    shadow.keep(connection, SILENT)  # as if it was being written
    assert shadow.decisions(connection) == [DRAFT]
    assert people.erase(connection, KIM)["unsent replies to them"] == 1
    assert shadow.decisions(connection) == []


def test_what_is_old_is_dropped_when_more_is_heard(connection: sqlite3.Connection) -> None:
    old = messages.snowflake_at(time.time() - shadow.KEPT_SECONDS - 60)
    messages.save(connection, [Message(old, 1, KIM, "kim", "hi")])
    shadow.keep(connection, Decision(old, 1, "chance", 0.4, ("lol",), "tiny", 1.0))
    shadow.hear(connection, SILENT)
    assert shadow.decisions(connection) == [SILENT]
