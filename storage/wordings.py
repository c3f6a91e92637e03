"""How members put things: their texts, and the custom emoji that they ever wrote."""

import re
import sqlite3
from collections.abc import Iterator

_EMOJI = re.compile(r"<a?:(\w+):[0-9]+>")


def texts(connection: sqlite3.Connection) -> Iterator[tuple[int, str]]:
    """(message id, text) of every member's message that was not deleted."""
    return connection.execute(
        "SELECT message_id, content FROM messages"
        " WHERE author_kind = 'member' AND deleted_at IS NULL"
    )


def custom_emoji(connection: sqlite3.Connection) -> frozenset[str]:
    """The names of all custom emoji in members' messages; the server may have them no more."""
    rows = connection.execute(
        "SELECT content FROM messages WHERE author_kind = 'member' AND content GLOB '*<*:*:*>*'"
    )
    return frozenset(name for (text,) in rows for name in _EMOJI.findall(text))
