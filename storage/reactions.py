"""Reactions, added up: what a channel, a person and a time usually get."""

import json
import sqlite3
from collections.abc import Iterable, Iterator

from storage.messages import DISCORD_EPOCH_MS

ORDINARY = 10  # reactions that need no witness
WITNESSES = 3

Cell = tuple[int, int, int, int, float, float]


def emoji(connection: sqlite3.Connection) -> list[str]:
    """Every emoji that anybody reacted with."""
    return [row[0] for row in connection.execute("SELECT DISTINCT emoji FROM reactions")]


def by_cell(
    connection: sqlite3.Connection, counted: Iterable[str], period_seconds: int
) -> Iterator[Cell]:
    """(channel, author, period, messages, reactions, sum of squared reactions) of members.

    Only the emoji in `counted` count. A message counts for at most the third highest number in its
    channel, or `ORDINARY` if that is more: one message cannot speak for the place. `period` is how
    many whole periods after 1970 the messages were written.
    """
    return connection.execute(
        # total(), a real number, does not overflow as sum() would
        "WITH got AS (SELECT message_id, total(count) AS likes FROM reactions"
        "  WHERE emoji IN (SELECT value FROM json_each(:counted)) GROUP BY message_id),"
        " ranked AS (SELECT channel_id, likes, row_number() OVER"
        "  (PARTITION BY channel_id ORDER BY likes DESC) AS place"
        "  FROM got JOIN messages USING (message_id) WHERE likes > :ordinary),"
        " caps AS (SELECT channel_id, likes AS cap FROM ranked WHERE place = :witnesses),"
        " seen AS (SELECT channel_id, author_id,"
        "  ((message_id >> 22) + :epoch_ms) / :period_ms AS period,"
        "  min(coalesce(likes, 0.0), coalesce(cap, :ordinary)) AS likes"
        "  FROM messages LEFT JOIN got USING (message_id) LEFT JOIN caps USING (channel_id)"
        "  WHERE deleted_at IS NULL AND author_kind = 'member' AND kind IN (0, 19))"
        " SELECT channel_id, author_id, period, count(*), total(likes), total(likes * likes)"
        " FROM seen GROUP BY channel_id, author_id, period",
        {
            "counted": json.dumps(list(counted)),
            "ordinary": float(ORDINARY),
            "witnesses": WITNESSES,
            "epoch_ms": DISCORD_EPOCH_MS,
            "period_ms": period_seconds * 1000,
        },
    )


def newest(connection: sqlite3.Connection) -> int:
    """The id of the newest message stored; 0 when there is none."""
    row = connection.execute("SELECT coalesce(max(message_id), 0) FROM messages").fetchone()
    return int(row[0])
