"""What the owner thinks of the bot's replies: the last exchanges, and a thumbs-down for any."""

import dataclasses
import sqlite3
import time

from storage.messages import snowflake_at

BAD = "bad"


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A reply of the bot's and what it answered.

    `said_by` and `said` are None where that message is not stored any more. `sent_at` and
    `seconds`, how long the reply took, are in seconds.
    """

    reply_id: int
    sent_at: float
    seconds: float
    model: str
    channel: str
    said_by: str | None
    said: str | None
    reply: str
    is_rejected: bool


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A reply that the owner found bad, by the ids of its message and of what it answered."""

    reply_id: int
    trigger_id: int
    channel_id: int
    reply: str


def exchanges(connection: sqlite3.Connection, limit: int = 20) -> list[Exchange]:
    """The newest replies that were not deleted, the newest first."""
    rows = connection.execute(
        "SELECT r.message_id, r.sent_at, r.seconds, r.model, coalesce(c.name, ''),"
        " CASE WHEN said.message_id IS NULL THEN NULL ELSE coalesce(u.name, '') END, said.content,"
        " own.content, j.verdict IS NOT NULL"
        " FROM replies r JOIN messages own ON own.message_id = r.message_id"
        " AND own.deleted_at IS NULL"
        " LEFT JOIN messages said ON said.message_id = r.trigger_id AND said.deleted_at IS NULL"
        " LEFT JOIN users u ON u.user_id = said.author_id"
        " LEFT JOIN channels c ON c.channel_id = r.channel_id"
        " LEFT JOIN judgements j ON j.reply_id = r.message_id AND j.verdict = ?"
        " ORDER BY r.sent_at DESC, r.message_id DESC LIMIT ?",
        (BAD, limit),
    )
    return [Exchange(*row) for row in rows]


def reject(connection: sqlite3.Connection, reply_id: int) -> None:
    """Keep that a reply is bad."""
    connection.execute(
        "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?)", (reply_id, BAD, time.time())
    )


def take_back(connection: sqlite3.Connection, reply_id: int) -> None:
    """Forget what was thought of a reply."""
    connection.execute("DELETE FROM judgements WHERE reply_id = ?", (reply_id,))


def withdraw(connection: sqlite3.Connection, reply_id: int) -> None:
    """Keep that a reply is bad, and that it is deleted, with its text: what not to say again."""
    reject(connection, reply_id)
    connection.execute(
        "UPDATE messages SET deleted_at = unixepoch() WHERE message_id = ? AND deleted_at IS NULL",
        (reply_id,),
    )


def put_back(connection: sqlite3.Connection, reply_id: int) -> None:
    """A withdrawn reply could not be deleted after all; it is still bad."""
    connection.execute(
        "UPDATE messages SET deleted_at = NULL WHERE message_id = ? AND content != ''", (reply_id,)
    )


def forget_before(connection: sqlite3.Connection, moment: float) -> None:
    """Forget the text of withdrawn replies that are older than a moment (seconds)."""
    connection.execute(
        "UPDATE messages SET content = '' WHERE message_id < ? AND deleted_at IS NOT NULL"
        " AND content != ''",
        (snowflake_at(moment),),
    )


def rejected_replies(connection: sqlite3.Connection) -> list[Rejected]:
    """Every bad reply of a model's whose text is known, with what it answered, oldest first."""
    rows = connection.execute(
        "SELECT j.reply_id, r.trigger_id, r.channel_id, own.content FROM judgements j"
        " JOIN replies r ON r.message_id = j.reply_id"
        " JOIN messages own ON own.message_id = j.reply_id AND own.content != ''"
        " JOIN messages said ON said.message_id = r.trigger_id AND said.deleted_at IS NULL"
        " LEFT JOIN explanations e ON e.reply_id = j.reply_id"
        " WHERE j.verdict = ? AND coalesce(e.sampling, '') != '{}' ORDER BY j.reply_id",
        (BAD,),
    )
    return [Rejected(*row) for row in rows]
