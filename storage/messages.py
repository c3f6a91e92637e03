"""Every message of the server: storing, correcting and reading them back in order."""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from storage import judgements
from storage.database import excluded_users

DISCORD_EPOCH_MS = 1_420_070_400_000
JUDGED_SECONDS = 86_400  # a reply of ours that is deleted later was not deleted for being bad
DEFAULT, REPLY = (
    0,
    19,
)  # Discord's message types that a person writes; all others are notices


@dataclasses.dataclass(frozen=True)
class Message:
    """One message as it was written. Ids are snowflakes; `reactions` maps emoji to count.

    `author_kind` is "member", "bot" (another bot), "webhook" or "self" (this bot); `attachments`
    are (file name, content type) pairs; times are seconds since 1970.
    """

    id: int
    channel_id: int
    author_id: int
    author_name: str
    content: str
    author_kind: str = "member"
    kind: int = DEFAULT
    reply_to: int | None = None
    mentions: tuple[int, ...] = ()
    attachments: tuple[tuple[str, str], ...] = ()
    reactions: dict[str, int] = dataclasses.field(default_factory=dict)
    edited_at: float | None = None

    @property
    def sent_at(self) -> float:
        """Seconds since 1970, from the snowflake."""
        return snowflake_time(self.id)


@dataclasses.dataclass(frozen=True)
class Reply:
    """A reply the bot sent: its message, what it answered, and how long it took."""

    message_id: int
    trigger_id: int
    channel_id: int
    model: str
    seconds: float


def snowflake_time(snowflake: int) -> float:
    """When a snowflake was made, in seconds since 1970 (Discord API reference, "Snowflakes")."""
    return ((snowflake >> 22) + DISCORD_EPOCH_MS) / 1000


def snowflake_at(seconds: float) -> int:
    """The smallest snowflake of a moment given in seconds since 1970; 0 before 2015."""
    return max(0, int(seconds * 1000) - DISCORD_EPOCH_MS) << 22


def save(connection: sqlite3.Connection, messages: Iterable[Message]) -> int:
    """Store messages, updating those already known, and give back how many there were.

    Messages of excluded people are refused here, so that no caller can bring them back.
    A message once marked deleted stays deleted, an older edit never replaces a newer one, and what
    was trimmed of an erased person's words stays so until its author edits it.
    Call it inside a transaction.
    """
    excluded = excluded_users(connection)
    kept = [message for message in messages if message.author_id not in excluded]
    connection.executemany(
        "INSERT INTO users VALUES (?, ?) ON CONFLICT DO UPDATE SET name = excluded.name",
        {message.author_id: message.author_name for message in kept}.items(),
    )
    connection.executemany(
        "INSERT INTO messages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
        " ON CONFLICT DO UPDATE SET content = excluded.content, mentions = excluded.mentions,"
        " attachments = excluded.attachments, edited_at = excluded.edited_at"
        " WHERE deleted_at IS NULL AND coalesce(excluded.edited_at, 0) >= coalesce(edited_at, 0)"
        " AND (message_id NOT IN (SELECT message_id FROM trimmed)"
        " OR coalesce(excluded.edited_at, 0) > coalesce(edited_at, 0))",
        map(_row, kept),
    )
    connection.executemany(
        "DELETE FROM embeddings WHERE message_id = ?",
        [(message.id,) for message in kept if message.edited_at is not None],
    )
    connection.execute(
        "DELETE FROM reactions WHERE message_id IN (SELECT value FROM json_each(?))",
        (json.dumps([message.id for message in kept]),),
    )
    connection.executemany(
        "INSERT INTO reactions SELECT message_id, ?, ? FROM messages"
        " WHERE message_id = ? AND deleted_at IS NULL",
        [(emoji, count, m.id) for m in kept for emoji, count in m.reactions.items() if count > 0],
    )
    return len(kept)


def edit(connection: sqlite3.Connection, message_id: int, content: str, edited_at: float) -> None:
    """Take over a message's new text."""
    connection.execute(
        "UPDATE messages SET content = ?, edited_at = ? WHERE message_id = ?",
        (content, edited_at, message_id),
    )
    connection.execute("DELETE FROM embeddings WHERE message_id = ?", (message_id,))


def mark_deleted(connection: sqlite3.Connection, message_ids: Iterable[int]) -> None:
    """Forget the text of messages that were deleted on Discord; keep that they existed.

    Replies of our own that went soon are kept aside, to be learned from as bad ones.
    """
    doomed = list(message_ids)
    soon = snowflake_at(time.time() - JUDGED_SECONDS)
    judgements.keep_deleted(connection, doomed, soon)
    ids = [(message_id,) for message_id in doomed]
    connection.executemany(
        "UPDATE messages SET content = '', deleted_at = coalesce(deleted_at, unixepoch())"
        " WHERE message_id = ?",
        ids,
    )
    for table in ("reactions", "embeddings"):
        connection.executemany(f"DELETE FROM {table} WHERE message_id = ?", ids)
    connection.executemany("DELETE FROM shadow WHERE trigger_id = ?", ids)


def mark_missing(
    connection: sqlite3.Connection, channel_id: int, after: int, through: int, found: Iterable[int]
) -> list[int]:
    """Mark as deleted what Discord no longer has between two ids; those it marked.

    `found` is everything Discord gave for ids above `after` and up to `through`.
    """
    rows = connection.execute(
        "SELECT message_id FROM messages WHERE channel_id = ? AND message_id > ?"
        " AND message_id <= ? AND deleted_at IS NULL",
        (channel_id, after, through),
    )
    missing = sorted({row[0] for row in rows} - set(found))
    mark_deleted(connection, missing)
    return missing


def deleted_since(connection: sqlite3.Connection, moment: float) -> list[tuple[int, int]]:
    """(channel id, message id) of messages marked deleted at or after a moment (seconds)."""
    return connection.execute(
        "SELECT channel_id, message_id FROM messages WHERE deleted_at >= ?", (moment,)
    ).fetchall()


def written_before(connection: sqlite3.Connection, moment: float) -> list[tuple[int, int]]:
    """(channel id, message id) of the messages that are older than a moment (seconds)."""
    return connection.execute(
        "SELECT channel_id, message_id FROM messages WHERE message_id < ? AND deleted_at IS NULL",
        (snowflake_at(moment),),
    ).fetchall()


def add_reaction(connection: sqlite3.Connection, message_id: int, emoji: str, step: int) -> None:
    """Count one reaction more (`step` 1) or less (-1) on a message we know."""
    if step > 0:
        connection.execute(
            "INSERT INTO reactions SELECT message_id, ?, 1 FROM messages WHERE message_id = ?"
            " ON CONFLICT DO UPDATE SET count = count + 1",
            (emoji, message_id),
        )
        return
    key = (message_id, emoji)
    connection.execute(
        "DELETE FROM reactions WHERE message_id = ? AND emoji = ? AND count = 1", key
    )
    connection.execute(
        "UPDATE reactions SET count = count - 1 WHERE message_id = ? AND emoji = ?", key
    )


def recent(
    connection: sqlite3.Connection, channel_id: int, limit: int, through: int = 2**63 - 1
) -> list[Message]:
    """The newest `limit` messages of a channel that people or we wrote, oldest first.

    Those up to the id `through`, where it is given.
    """
    rows = _read(
        connection,
        "WHERE m.channel_id = ? AND m.message_id <= ? AND m.deleted_at IS NULL"
        " AND m.kind IN (0, 19) ORDER BY m.message_id DESC LIMIT ?",
        (channel_id, through, limit),
    )
    return list(rows)[::-1]


def newest_by_channel(connection: sqlite3.Connection, limit: int) -> Iterator[Message]:
    """The newest `limit` messages that were written and not deleted, ordered as in `history`."""
    return _read(
        connection,
        "WHERE m.deleted_at IS NULL AND m.kind IN (0, 19) AND m.message_id >= coalesce((SELECT"
        " message_id FROM messages WHERE deleted_at IS NULL AND kind IN (0, 19)"
        " ORDER BY message_id DESC LIMIT 1 OFFSET ?), 0) ORDER BY m.channel_id, m.message_id",
        (limit - 1,),
    )


def by_ids(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Message]:
    """The messages with these ids that still exist, in the order given."""
    rows = _read(
        connection,
        "WHERE m.message_id IN (SELECT value FROM json_each(?)) AND m.deleted_at IS NULL",
        (json.dumps(list(ids)),),
    )
    found = {message.id: message for message in rows}
    return [found[i] for i in ids if i in found]


def history(
    connection: sqlite3.Connection,
    channel_id: int | None = None,
    first: int = 0,
    last: int = 2**63 - 1,
) -> Iterator[Message]:
    """Every message that was not deleted, channel by channel, oldest first.

    Of one channel only, and only from id `first` to id `last`, where these are given.
    """
    if channel_id is None:
        return _read(
            connection, "WHERE m.deleted_at IS NULL ORDER BY m.channel_id, m.message_id", ()
        )
    return _read(
        connection,
        "WHERE m.channel_id = ? AND m.message_id BETWEEN ? AND ? AND m.deleted_at IS NULL"
        " ORDER BY m.message_id",
        (channel_id, first, last),
    )


def texts(
    connection: sqlite3.Connection, channel_id: int, first: int, last: int
) -> Iterator[tuple[int, int, str, int]]:
    """(id, author, text, whether there are reactions) of a channel from one id to another.

    Several times as fast as `history`, for who reads the same messages again.
    """
    return connection.execute(
        "SELECT message_id, author_id, content,"
        " EXISTS (SELECT 1 FROM reactions r WHERE r.message_id = m.message_id)"
        " FROM messages m WHERE channel_id = ? AND message_id BETWEEN ? AND ?"
        " AND deleted_at IS NULL ORDER BY message_id",
        (channel_id, first, last),
    )


def sample(connection: sqlite3.Connection, size: int) -> Iterator[str]:
    """About `size` texts by members, spread over all times; always the same ones."""
    step = max(1, count(connection) // size)
    rows = connection.execute(
        "SELECT content FROM messages WHERE (message_id >> 22) % ? = 0"
        " AND author_kind = 'member' AND deleted_at IS NULL",
        (step,),
    )
    return (row[0] for row in rows)


def own(connection: sqlite3.Connection) -> Iterator[Message]:
    """Every message of the bot's that was not deleted."""
    return _read(connection, "WHERE m.author_kind = 'self' AND m.deleted_at IS NULL", ())


def names(connection: sqlite3.Connection, ids: Iterable[int] | None = None) -> dict[int, str]:
    """The names, as last seen, of these people or of everybody, by id."""
    if ids is None:
        return dict(connection.execute("SELECT user_id, name FROM users"))
    wanted = json.dumps(list(ids))
    return dict(
        connection.execute(
            "SELECT user_id, name FROM users WHERE user_id IN (SELECT value FROM json_each(?))",
            (wanted,),
        )
    )


def record_reply(connection: sqlite3.Connection, reply: Reply) -> None:
    """Note that, to what and how fast the bot replied."""
    connection.execute(
        "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?)",
        (*dataclasses.astuple(reply), snowflake_time(reply.message_id)),
    )


def reply_for(connection: sqlite3.Connection, trigger_id: int) -> Message | None:
    """What the bot replied to a message, if it did."""
    row = connection.execute(
        "SELECT message_id FROM replies WHERE trigger_id = ?", (trigger_id,)
    ).fetchone()
    found = by_ids(connection, [row[0]]) if row else []
    return found[0] if found else None


def count(connection: sqlite3.Connection, since: float = 0.0) -> int:
    """How many messages were written at or after a moment (seconds since 1970)."""
    row = connection.execute(
        "SELECT count(*) FROM messages WHERE message_id >= ?", (snowflake_at(since),)
    ).fetchone()
    return int(row[0])


def _row(m: Message) -> tuple[object, ...]:
    mentions = json.dumps(m.mentions) if m.mentions else "[]"  # as most are
    attachments = json.dumps(m.attachments) if m.attachments else "[]"
    place = (m.id, m.channel_id, m.author_id, m.author_kind, m.kind)
    return (*place, m.content, m.reply_to, mentions, attachments, m.edited_at)


def _read(
    connection: sqlite3.Connection, where: str, values: Sequence[object]
) -> Iterator[Message]:
    rows = connection.execute(
        "SELECT m.message_id, m.channel_id, m.author_id, coalesce(u.name, ''), m.content,"
        " m.author_kind, m.kind, m.reply_to, m.mentions, m.attachments, m.edited_at,"
        " (SELECT json_group_object(emoji, count) FROM reactions r"
        "  WHERE r.message_id = m.message_id)"
        f" FROM messages m LEFT JOIN users u ON u.user_id = m.author_id {where}",
        values,
    )
    for row in rows:
        yield Message(*row[:8], *_parsed(*row[8:]))


def _parsed(mentions: str, attachments: str, edited_at: float | None, reactions: str) -> Any:
    """The last fields of a message; most messages have nothing there that needs reading."""
    return (
        () if mentions == "[]" else tuple(json.loads(mentions)),
        () if attachments == "[]" else tuple(map(tuple, json.loads(attachments))),
        {} if reactions == "{}" else json.loads(reactions),
        edited_at,
    )
