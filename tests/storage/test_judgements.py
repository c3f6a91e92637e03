"""The last exchanges as they are stored, and the owner's thumbs-down."""

import sqlite3
import time
from pathlib import Path

import pytest

from storage import channels, database, explanations, judgements, messages
from storage.channels import Channel
from storage.explanations import Why
from storage.messages import Message, Reply

ANN, BOT = 5, 9
FIRST = messages.snowflake_at(1_760_000_000)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    channels.save(connection, Channel(1, "general", "text"))
    for number in range(3):
        exchange(connection, number)
    return connection


def exchange(connection: sqlite3.Connection, number: int) -> int:
    """What Ann said and what the bot replied; the id of the reply."""
    said, reply = FIRST + (2 * number << 32), FIRST + (2 * number + 1 << 32)
    with database.transaction(connection):
        messages.save(
            connection,
            [
                Message(said, 1, ANN, "ann", f"question {number}"),
                Message(reply, 1, BOT, "bot", f"answer {number}", "self", reply_to=said),
            ],
        )
        messages.record_reply(connection, Reply(reply, said, 1, "tiny", 1.5))
    return reply


def test_the_newest_exchanges_come_first(connection: sqlite3.Connection) -> None:
    found = judgements.exchanges(connection, 2)
    assert [(one.said, one.reply) for one in found] == [
        ("question 2", "answer 2"),
        ("question 1", "answer 1"),
    ]
    assert (found[0].said_by, found[0].channel, found[0].seconds) == ("ann", "general", 1.5)


def test_what_was_answered_may_be_gone(connection: sqlite3.Connection) -> None:
    messages.mark_deleted(connection, [FIRST + (4 << 32)])
    newest = judgements.exchanges(connection)[0]
    assert (newest.said_by, newest.said, newest.reply) == (None, None, "answer 2")


def test_a_reply_deleted_on_discord_is_not_shown(connection: sqlite3.Connection) -> None:
    newest = judgements.exchanges(connection)[0]
    messages.mark_deleted(connection, [newest.reply_id])
    assert [one.reply for one in judgements.exchanges(connection)] == ["answer 1", "answer 0"]


def test_a_thumbs_down_is_kept_and_taken_back(connection: sqlite3.Connection) -> None:
    reply_id = judgements.exchanges(connection)[1].reply_id
    judgements.reject(connection, reply_id)
    judgements.reject(connection, reply_id)  # twice is once
    assert [one.is_rejected for one in judgements.exchanges(connection)] == [False, True, False]
    (bad,) = judgements.rejected_replies(connection)
    assert (bad.reply_id, bad.reply, bad.channel_id) == (reply_id, "answer 1", 1)
    judgements.take_back(connection, reply_id)
    assert not judgements.rejected_replies(connection)
    assert not any(one.is_rejected for one in judgements.exchanges(connection))


def test_a_bad_reply_without_its_question_teaches_nothing(connection: sqlite3.Connection) -> None:
    newest = judgements.exchanges(connection)[0]
    judgements.reject(connection, newest.reply_id)
    judgements.reject(connection, 77)  # of a message that nobody knows
    messages.mark_deleted(connection, [FIRST + (4 << 32)])
    assert judgements.rejected_replies(connection) == []


def test_a_fixed_sentence_is_no_lesson(connection: sqlite3.Connection) -> None:
    newest, older, _ = judgements.exchanges(connection)
    for one, sampling in ((newest, {}), (older, {"top_k": 40})):
        judgements.reject(connection, one.reply_id)
        explanations.record(connection, one.reply_id, Why("asked", 1.0, 0, 0, sampling))
    assert [one.reply for one in judgements.rejected_replies(connection)] == ["answer 1"]


def test_only_what_the_bot_said_soon_after_a_reply_is_part_of_it(
    connection: sqlite3.Connection,
) -> None:
    reply = judgements.exchanges(connection)[0].reply_id
    more = {reply + (9_000 << 22): "and more", reply + (60_000 << 22): "much later"}
    messages.save(connection, [Message(i, 1, BOT, "bot", t, "self") for i, t in more.items()])
    messages.add_reaction(connection, reply + (9_000 << 22), "👎", 1)
    (found,) = judgements.received(connection)
    assert (found.reply_id, found.verdict, found.reply) == (reply, None, "answer 2\nand more")
    assert found.own_id == BOT


def test_a_reply_and_its_question_deleted_at_once_say_nothing_of_the_reply(
    connection: sqlite3.Connection,
) -> None:
    connection.execute("INSERT INTO judgements SELECT message_id, 'bad', 0 FROM replies")
    first, second, third = (FIRST + (n << 32) for n in (0, 2, 4))
    step = 1 << 32  # from a question to its reply
    messages.mark_deleted(connection, [third, third + step])
    messages.mark_deleted(connection, [second + step, second])
    messages.mark_deleted(connection, [first + step])
    assert judgements.kept(connection) == {first + step: "answer 0"}


def test_other_messages_that_are_deleted_are_not_kept(connection: sqlite3.Connection) -> None:
    now = messages.snowflake_at(time.time())
    texts = {now: "by a member", now + 1: "by the bot, but no reply"}
    kinds = ("member", "self")
    for (number, text), kind in zip(texts.items(), kinds, strict=True):
        messages.save(connection, [Message(number, 1, BOT, "bot", text, kind)])
    messages.mark_deleted(connection, [*texts, judgements.exchanges(connection)[0].reply_id, 77])
    assert judgements.kept(connection) == {}  # that reply is a year old and nobody judged it
