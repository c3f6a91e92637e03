"""Where the bot is to say nothing, and until when."""

import sqlite3
from collections.abc import Iterable

EVERYWHERE = 0


def begin(connection: sqlite3.Connection, channel_id: int, until: float | None) -> None:
    """Have the bot be quiet in a channel until a moment (seconds since 1970; None: for good)."""
    connection.execute("INSERT OR REPLACE INTO quiet VALUES (?, ?)", (channel_id, until))


def end(connection: sqlite3.Connection, channel_ids: Iterable[int] | None = None) -> bool:
    """Let it speak there again, or anywhere; False if it was not quiet."""
    if channel_ids is None:
        return connection.execute("DELETE FROM quiet").rowcount > 0
    ids = [(channel_id,) for channel_id in channel_ids]
    return connection.executemany("DELETE FROM quiet WHERE channel_id = ?", ids).rowcount > 0


def is_quiet(
    connection: sqlite3.Connection, channel_id: int, parent_id: int | None, now: float
) -> bool:
    """Whether the bot is to say nothing in a channel, or a thread of `parent_id`, at `now`."""
    row = connection.execute(
        "SELECT 1 FROM quiet WHERE channel_id IN (?, ?, ?) AND coalesce(until, ?) >= ?",
        (EVERYWHERE, channel_id, parent_id, now, now),
    ).fetchone()
    return row is not None


def places(connection: sqlite3.Connection, now: float) -> list[tuple[int, float | None]]:
    """Where it is quiet at `now` and until when; the channel 0 is everywhere."""
    rows = connection.execute(
        "SELECT channel_id, until FROM quiet WHERE coalesce(until, ?) >= ? ORDER BY channel_id",
        (now, now),
    )
    return rows.fetchall()
