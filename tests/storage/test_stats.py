"""The dashboard's figures, from rows as the bot writes them."""

import sqlite3
from pathlib import Path

import pytest

from storage import database, messages
from storage.messages import Message, snowflake_at
from storage.stats import Stats, reply_times, stats

NOW = 1_760_000_000.0
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


def write(connection: sqlite3.Connection, ago: float, kind: str = "member") -> None:
    message = Message(snowflake_at(NOW - ago), 1, 2, "ann", "hi", author_kind=kind)
    messages.save(connection, [message])


def reply(connection: sqlite3.Connection, ago: float, seconds: float, channel: int = 1) -> None:
    connection.execute(
        "INSERT INTO replies VALUES (?, 5, ?, 'tiny', ?, ?)",
        (snowflake_at(NOW - ago) + channel, channel, seconds, NOW - ago),
    )


def test_an_empty_database_has_no_figures(connection: sqlite3.Connection) -> None:
    assert stats(connection, NOW) == Stats()
    assert Stats().reply_share is None


def test_a_day_counts_what_was_seen_and_said_within_24_hours(
    connection: sqlite3.Connection,
) -> None:
    for ago in (HOUR, 2 * HOUR, 23 * HOUR, 25 * HOUR):
        write(connection, ago)
    write(connection, 3 * HOUR, "self")
    write(connection, 4 * HOUR, "bot")
    reply(connection, HOUR, 2.0)
    reply(connection, 3 * HOUR, 3.0)
    reply(connection, 25 * HOUR, 9.0)
    figures = stats(connection, NOW)
    assert (figures.messages_seen, figures.replies, figures.average_seconds) == (4, 2, 2.5)
    assert figures.reply_share == 0.5


def test_a_week_knows_its_extremes(connection: sqlite3.Connection) -> None:
    for ago, seconds in ((DAY, 1.8), (6 * DAY, 4.2), (8 * DAY, 0.1)):
        reply(connection, ago, seconds)
    figures = stats(connection, NOW)
    assert figures.replies_in_week == 2
    assert (figures.fastest_seconds, figures.slowest_seconds) == (1.8, 4.2)


def test_replies_close_together_in_one_channel_are_one_conversation(
    connection: sqlite3.Connection,
) -> None:
    for minutes in (0, 5, 14, 40):
        reply(connection, DAY - minutes * 60, 1.0)
    reply(connection, DAY - 60, 1.0, channel=2)
    assert stats(connection, NOW).conversations_in_week == 3


def test_the_last_reply_may_be_older_than_a_week(connection: sqlite3.Connection) -> None:
    reply(connection, 30 * DAY, 1.0)
    assert stats(connection, NOW).last_reply_at == NOW - 30 * DAY


def test_reply_times_begin_at_a_moment(connection: sqlite3.Connection) -> None:
    for ago, seconds in ((50, 2.0), (10, 1.0), (4000, 9.0)):
        reply(connection, ago, seconds)
    assert reply_times(connection, NOW - HOUR) == [(NOW - 50, 2.0), (NOW - 10, 1.0)]
