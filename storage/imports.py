"""What an import asks about the messages that are stored already."""

import json
import sqlite3
from collections.abc import Iterable


def edits(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, float]:
    """Which of these messages are stored, and when each was last edited (seconds; 0: never)."""
    return dict(
        connection.execute(
            "SELECT message_id, coalesce(edited_at, 0.0) FROM messages"
            " WHERE message_id IN (SELECT value FROM json_each(?))",
            (json.dumps(list(ids)),),
        )
    )
