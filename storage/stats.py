"""The figures on the window's dashboard and behind `!stats`."""

import dataclasses
import sqlite3

from storage.messages import snowflake_at

DAY_SECONDS = 86_400
CONVERSATION_GAP_SECONDS = 600


@dataclasses.dataclass(frozen=True)
class Stats:
    """What the bot saw and said. Times are in seconds; None where there was no reply.

    The first group covers the last 24 hours, the second the last 7 days. `messages_seen` leaves
    out the bot's own. A conversation is a run of replies in one channel with less than ten
    minutes between them.
    """

    messages_seen: int = 0
    replies: int = 0
    average_seconds: float | None = None

    replies_in_week: int = 0
    conversations_in_week: int = 0
    fastest_seconds: float | None = None
    slowest_seconds: float | None = None

    last_reply_at: float | None = None

    @property
    def reply_share(self) -> float | None:
        """Replies as a share of the messages seen in 24 hours."""
        return self.replies / self.messages_seen if self.messages_seen else None


def stats(connection: sqlite3.Connection, now: float) -> Stats:
    """The figures as of `now`, in seconds since 1970."""
    day, week = now - DAY_SECONDS, now - 7 * DAY_SECONDS
    seen = connection.execute(
        "SELECT count(*) FROM messages WHERE message_id BETWEEN ? AND ? AND author_kind <> 'self'",
        (snowflake_at(day), snowflake_at(now)),
    ).fetchone()[0]
    replies, average = connection.execute(
        "SELECT count(*), avg(seconds) FROM replies WHERE sent_at BETWEEN ? AND ?", (day, now)
    ).fetchone()
    in_week, fastest, slowest = connection.execute(
        "SELECT count(*), min(seconds), max(seconds) FROM replies WHERE sent_at BETWEEN ? AND ?",
        (week, now),
    ).fetchone()
    last = connection.execute("SELECT max(sent_at) FROM replies").fetchone()[0]
    conversations = _conversations(connection, week, now)
    return Stats(seen, replies, average, in_week, conversations, fastest, slowest, last)


def reply_times(connection: sqlite3.Connection, since: float) -> list[tuple[float, float]]:
    """When a reply was sent and how long it took, both in seconds, from a moment on, in order."""
    return connection.execute(
        "SELECT sent_at, seconds FROM replies WHERE sent_at >= ? ORDER BY sent_at", (since,)
    ).fetchall()


def _conversations(connection: sqlite3.Connection, since: float, until: float) -> int:
    row = connection.execute(
        "SELECT count(*) FROM ("
        " SELECT sent_at - lag(sent_at) OVER (PARTITION BY channel_id ORDER BY sent_at) AS silence"
        " FROM replies WHERE sent_at BETWEEN ? AND ?)"
        " WHERE silence IS NULL OR silence >= ?",
        (since, until, CONVERSATION_GAP_SECONDS),
    ).fetchone()
    return int(row[0])
