"""Finding related messages by meaning: a LanceDB table that can always be rebuilt from SQLite.

The vectors themselves are rows of SQLite's `embeddings`; LanceDB only finds the nearest ones.
"""

import datetime
import logging
import shutil
import sqlite3
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import messages
from storage.database import transaction

log = logging.getLogger(__name__)

Vector = npt.NDArray[np.float32]

TABLE = "messages"
DAMAGE = (ValueError, OSError, RuntimeError)  # what LanceDB raises for files cut by a power loss
OPTIMIZE_EVERY = 32  # appended batches; each is a fragment that makes every search slower


class VectorStore:
    """The nearest messages to a vector. Calls block and must come from one thread at a time."""

    def __init__(self, path: Path, dimension: int, embedder: str) -> None:
        import lancedb  # takes seconds and 120 MB: only who searches pays
        import pyarrow

        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._embedder = embedder
        self._schema = pyarrow.schema(
            [
                pyarrow.field("id", pyarrow.int64()),
                pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), dimension)),
            ]
        )
        self._database: Any = lancedb.connect(path)
        self._files = path / f"{TABLE}.lance"
        self._batches = 0
        self._table: Any = self._open()

    def sync(self, connection: sqlite3.Connection) -> int:
        """Rebuild the table if it does not hold exactly what SQLite does; the number of rows."""
        ids = _ids(connection, self._embedder)
        if self._held() != ids:
            self._rebuild(connection)
            log.info("recall index rebuilt: %d messages", len(ids))
        return len(ids)

    def add(
        self,
        connection: sqlite3.Connection,
        ids: Sequence[int],
        vectors: Sequence[Vector],
    ) -> None:
        """Remember vectors of messages: in SQLite first, then in the table.

        What was erased or deleted while it was being embedded gets none.
        """
        with transaction(connection):
            known = {message.id for message in messages.by_ids(connection, ids)}
            kept = [(i, v) for i, v in zip(ids, vectors, strict=True) if i in known]
            connection.executemany(
                "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)",
                [(i, self._embedder, v.tobytes()) for i, v in kept],
            )
        if kept:
            self._table.add([{"id": i, "vector": v} for i, v in kept])
        self._batches += 1
        if self._batches % OPTIMIZE_EVERY == 0:
            self._table.optimize()

    def search(self, vector: Vector, limit: int) -> list[tuple[int, float]]:
        """The nearest message ids with their cosine similarity, the best first."""
        self._table.checkout_latest()  # another process may have let `forget` remove older files
        found = self._table.search(vector).distance_type("cosine").limit(limit).to_list()
        return [(row["id"], 1.0 - row["_distance"]) for row in found]

    def forget(self, connection: sqlite3.Connection) -> int:
        """Drop every vector that SQLite no longer holds, from older files too; how many."""
        kept, held = set(_ids(connection, self._embedder)), self._held()
        if held is None:
            self._rebuild(connection)
            return 0
        gone = [number for number in held if number not in kept]
        for start in range(0, len(gone), 4096):
            self._table.delete(f"id IN ({', '.join(map(str, gone[start : start + 4096]))})")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that readers of older versions will have to look anew
            self._table.optimize(cleanup_older_than=datetime.timedelta(0), delete_unverified=True)
        return len(gone)

    def _open(self) -> Any:
        try:
            return self._database.open_table(TABLE)
        except DAMAGE:
            return self._create()

    def _create(self) -> Any:
        """An empty table in place of whatever is there: the rows are in SQLite."""
        shutil.rmtree(self._files, ignore_errors=True)
        return self._database.create_table(TABLE, schema=self._schema)

    def _held(self) -> list[int] | None:
        """The ids in the table, in order; None if it cannot be read."""
        try:
            query = self._table.search().select(["id"]).limit(self._table.count_rows() + 1)
            return sorted(query.to_arrow()["id"].to_pylist())
        except DAMAGE:
            return None

    def _rebuild(self, connection: sqlite3.Connection) -> None:
        self._table = self._create()
        rows = connection.execute(
            "SELECT message_id, vector FROM embeddings WHERE embedder = ?", (self._embedder,)
        )
        while batch := rows.fetchmany(4096):
            self._table.add(
                [{"id": row[0], "vector": np.frombuffer(row[1], np.float32)} for row in batch]
            )


def rows(table: Path) -> Iterator[bytes]:
    """The rows of any LanceDB table, but for its vectors. Raises one of `DAMAGE`."""
    import lancedb

    opened: Any = lancedb.connect(table.parent).open_table(table.stem)
    names = [field.name for field in opened.schema if not hasattr(field.type, "value_type")]
    for batch in opened.search().select(names).limit(opened.count_rows() + 1).to_batches():
        for row in batch.to_pylist():
            yield repr(row).encode() + b"\n"


def pending(connection: sqlite3.Connection, embedder: str, limit: int) -> list[messages.Message]:
    """Messages by people that have no vector yet, the newest first."""
    rows = connection.execute(
        "SELECT m.message_id FROM messages m LEFT JOIN embeddings e"
        " ON e.message_id = m.message_id AND e.embedder = ?"
        " WHERE e.message_id IS NULL AND m.deleted_at IS NULL AND m.author_kind = 'member'"
        " AND m.kind IN (0, 19) AND length(m.content) >= 12"
        " ORDER BY m.message_id DESC LIMIT ?",
        (embedder, limit),
    )
    return messages.by_ids(connection, [row[0] for row in rows])


def _ids(connection: sqlite3.Connection, embedder: str) -> list[int]:
    rows = connection.execute(
        "SELECT message_id FROM embeddings WHERE embedder = ? ORDER BY message_id", (embedder,)
    )
    return [row[0] for row in rows]
