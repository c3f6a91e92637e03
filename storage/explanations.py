"""Why the bot said what it said: kept with every reply, counts and values only."""

import dataclasses
import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

from storage.messages import snowflake_at, snowflake_time

BURST_SECONDS = 60.0  # the messages of one reply follow each other sooner


@dataclasses.dataclass(frozen=True)
class Why:
    """What led to a reply; `sampling` is empty where no model was asked."""

    reason: str
    probability: float
    context_count: int
    recalled_count: int
    sampling: Mapping[str, float | int | None]


@dataclasses.dataclass(frozen=True)
class Said:
    """A reply and why it was given, as far as that is known."""

    reply_id: int
    trigger_id: int
    channel_id: int
    model: str
    seconds: float
    is_deleted: bool
    why: Why | None

    @property
    def is_fixed(self) -> bool:
        """Whether no model was asked."""
        return self.why is not None and not self.why.sampling


def record(connection: sqlite3.Connection, reply_id: int, why: Why) -> None:
    """Keep why a reply was given."""
    connection.execute(
        "INSERT OR REPLACE INTO explanations VALUES (?, ?, ?, ?, ?, ?)",
        (
            reply_id,
            why.reason,
            why.probability,
            why.context_count,
            why.recalled_count,
            json.dumps(dict(why.sampling)),
        ),
    )


def find(connection: sqlite3.Connection, message_id: int) -> Said | None:
    """The reply that one of the bot's messages is, or is a later part of."""
    since = snowflake_at(snowflake_time(message_id) - BURST_SECONDS)
    row = connection.execute(
        "SELECT r.message_id, r.trigger_id, r.channel_id, r.model, r.seconds,"
        " first.deleted_at IS NOT NULL, e.reason, e.probability, e.context_count,"
        " e.recalled_count, e.sampling"
        " FROM messages named JOIN replies r ON r.channel_id = named.channel_id"
        " JOIN messages first ON first.message_id = r.message_id"
        " LEFT JOIN explanations e ON e.reply_id = r.message_id"
        " WHERE named.message_id = ? AND named.author_kind = 'self'"
        " AND r.message_id BETWEEN ? AND named.message_id"
        " ORDER BY r.message_id DESC LIMIT 1",
        (message_id, since),
    ).fetchone()
    if row is None:
        return None
    reply_id, trigger_id, channel_id, model, seconds, is_deleted, *facts = row
    why = None if facts[0] is None else _why(facts)
    return Said(reply_id, trigger_id, channel_id, model, seconds, bool(is_deleted), why)


def parts(connection: sqlite3.Connection, said: Said) -> list[int]:
    """The ids of all messages of one reply that are not deleted, in order."""
    following = connection.execute(
        "SELECT min(message_id) FROM replies WHERE channel_id = ? AND message_id > ?",
        (said.channel_id, said.reply_id),
    ).fetchone()[0]
    until = snowflake_at(snowflake_time(said.reply_id) + BURST_SECONDS)
    rows = connection.execute(
        "SELECT message_id FROM messages WHERE channel_id = ? AND author_kind = 'self'"
        " AND message_id >= ? AND message_id < ? AND deleted_at IS NULL ORDER BY message_id",
        (said.channel_id, said.reply_id, min(until, following or until)),
    )
    return [row[0] for row in rows]


def _why(row: Sequence[Any]) -> Why:
    reason, probability, context_count, recalled_count, sampling = row
    return Why(reason, probability, context_count, recalled_count, json.loads(sampling))
