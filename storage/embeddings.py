"""The vectors of messages, as rows of SQLite: the truth that the recall index is made from."""

import dataclasses
import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from storage import messages

Vector = npt.NDArray[np.float32]
Row = tuple[int, int, int, bytes]  # a message's id, channel, author; its vector's float32 numbers


@dataclasses.dataclass(frozen=True)
class Embedder:
    """What made a vector: a model's name, its file's SHA-256, and how many numbers it gives."""

    name: str
    sha256: str
    dimension: int


def number(connection: sqlite3.Connection, embedder: Embedder) -> int:
    """What an embedder is called in the table; it is noted the first time."""
    facts = dataclasses.astuple(embedder)
    found = "SELECT embedder_id FROM embedders WHERE (name, sha256, dimension) = (?, ?, ?)"
    row = connection.execute(found, facts).fetchone()
    if row is None:
        connection.execute(
            "INSERT OR IGNORE INTO embedders (name, sha256, dimension) VALUES (?, ?, ?)", facts
        )
        row = connection.execute(found, facts).fetchone()
    return int(row[0])


def save(
    connection: sqlite3.Connection,
    embedder: Embedder,
    ids: Sequence[int],
    vectors: Iterable[Vector],
) -> list[Row]:
    """Store vectors of messages, and give back what was stored. Call it inside a transaction.

    What was erased or deleted while it was being embedded gets none.
    """
    known = {message.id: message for message in messages.by_ids(connection, ids)}
    pairs = ((known.get(i), vector) for i, vector in zip(ids, vectors, strict=True))
    rows = [(m.id, m.channel_id, m.author_id, vector.tobytes()) for m, vector in pairs if m]
    maker = number(connection, embedder)
    connection.executemany(
        "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)",
        [(message_id, maker, vector) for message_id, _, _, vector in rows],
    )
    return rows


def ids(connection: sqlite3.Connection, embedder: Embedder) -> list[int]:
    """The messages with a vector by this embedder, in order."""
    rows = connection.execute(
        "SELECT message_id FROM embeddings WHERE embedder_id = ? ORDER BY message_id",
        (number(connection, embedder),),
    )
    return [row[0] for row in rows]


def stored(
    connection: sqlite3.Connection, embedder: Embedder, wanted: Sequence[int]
) -> Iterator[Row]:
    """The vectors of these messages by this embedder."""
    return connection.execute(
        "SELECT e.message_id, m.channel_id, m.author_id, e.vector FROM embeddings e JOIN messages m"
        " ON m.message_id = e.message_id"
        " WHERE e.embedder_id = ? AND e.message_id IN (SELECT value FROM json_each(?))",
        (number(connection, embedder), json.dumps(wanted)),
    )


def vectors(
    connection: sqlite3.Connection, embedder: Embedder, wanted: Sequence[int]
) -> tuple[npt.NDArray[np.int64], Vector]:
    """Those of these messages that have a vector by this embedder, and the vectors, one a line."""
    rows = connection.execute(
        "SELECT message_id, vector FROM json_each(?) CROSS JOIN embeddings ON message_id = value"
        " WHERE embedder_id = ?",
        (json.dumps(sorted(wanted)), number(connection, embedder)),
    ).fetchall()
    numbers = np.frombuffer(b"".join(row[1] for row in rows), np.float32)
    return np.array([row[0] for row in rows], np.int64), numbers.reshape(-1, embedder.dimension)


def pending(
    connection: sqlite3.Connection, embedder: Embedder, limit: int
) -> list[messages.Message]:
    """Messages by people that have no vector by this embedder yet, the newest first."""
    rows = connection.execute(
        "SELECT m.message_id FROM messages m LEFT JOIN embeddings e"
        " ON e.message_id = m.message_id AND e.embedder_id = ?"
        " WHERE e.message_id IS NULL AND m.deleted_at IS NULL AND m.author_kind = 'member'"
        " AND m.kind IN (0, 19) AND length(m.content) >= 12"
        " ORDER BY m.message_id DESC LIMIT ?",
        (number(connection, embedder), limit),
    )
    return messages.by_ids(connection, [row[0] for row in rows])
