"""The places with messages: what they are called, and how far each is fetched."""

import dataclasses
import sqlite3
import time


@dataclasses.dataclass(frozen=True)
class Channel:
    """A place with messages: a text channel, thread, forum post or voice channel's chat."""

    id: int
    name: str
    kind: str
    parent_id: int | None = None
    fetched_through: int = 0


def save(connection: sqlite3.Connection, channel: Channel) -> None:
    """Note a channel that exists and may be read; how far it was fetched is kept."""
    connection.execute(
        "INSERT INTO channels (channel_id, parent_id, name, kind) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET name = excluded.name, kind = excluded.kind, state = 'open'",
        (channel.id, channel.parent_id, channel.name, channel.kind),
    )


def known(connection: sqlite3.Connection) -> list[Channel]:
    """Every channel seen so far."""
    rows = connection.execute(
        "SELECT channel_id, name, kind, parent_id, fetched_through FROM channels"
    )
    return [Channel(*row) for row in rows]


def open_threads(connection: sqlite3.Connection) -> list[Channel]:
    """Every thread that could be read when its server was last looked through."""
    rows = connection.execute(
        "SELECT channel_id, name, kind, parent_id, fetched_through FROM channels"
        " WHERE state = 'open' AND parent_id IS NOT NULL"
    )
    return [Channel(*row) for row in rows]


def mark(connection: sqlite3.Connection, channel_id: int, state: str) -> None:
    """Note that a channel is "forbidden" or "gone"; its messages stay."""
    connection.execute("UPDATE channels SET state = ? WHERE channel_id = ?", (state, channel_id))


def fetched_through(connection: sqlite3.Connection, channel_id: int, message_id: int) -> None:
    """Note that a channel is fetched up to and including this message."""
    connection.execute(
        "UPDATE channels SET fetched_through = max(fetched_through, ?), fetched_at = ?"
        " WHERE channel_id = ?",
        (message_id, time.time(), channel_id),
    )


def start_over(connection: sqlite3.Connection) -> None:
    """Have the next fetch read every channel from its beginning; nothing stored is lost."""
    connection.execute("UPDATE channels SET fetched_through = 0")
