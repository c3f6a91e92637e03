"""Finding related messages by meaning: a LanceDB table that can always be rebuilt from SQLite.

The vectors themselves are rows of SQLite's `embeddings`. The table holds a copy from which short
sketches in memory (`storage/sketches.py`) are made. They say which vectors are worth a closer look,
for which SQLite gives them: 256 in 4 ms, where LanceDB took 18. Of 100,000 vectors all that takes a
tenth of the time and of the memory of LanceDB's own search.
"""

import dataclasses
import datetime
import json
import logging
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import embeddings
from storage.database import transaction
from storage.embeddings import Embedder, Row, Vector
from storage.sketches import Sketches

log = logging.getLogger(__name__)

TABLE = "messages"
DAMAGE = (ValueError, OSError, RuntimeError)  # what LanceDB raises for files cut by a power loss
CANDIDATES = 256  # sketches that are looked at closely
CHUNK = 4096  # rows at a time
FRAGMENTS = 32  # each batch that is added makes one, and every reading slower
TIDY_SHARE = 0.05  # of the time, at most, goes into joining them
FAILURES = 3  # in a row, and the table is made anew
OLD = datetime.timedelta(seconds=2)  # for who still reads an older version of the table
CACHE_BYTES = 1 << 20  # each of two; more of it only grows: the vectors come from SQLite


class VectorStore:
    """The nearest messages to a vector. Calls block and must come from one thread at a time.

    `failures` counts how often the table could not be tidied up; `trouble` is the kind of error
    with which it failed last, "" once it worked.
    """

    def __init__(self, path: Path, embedder: Embedder) -> None:
        import lancedb  # takes seconds and 100 MB: only who searches pays

        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        session = lancedb.Session(CACHE_BYTES, CACHE_BYTES)
        self._database: Any = lancedb.connect(path, session=session)
        self._files = path / f"{TABLE}.lance"
        self._embedder, self._schema = embedder, _schema(embedder)
        self.failures = self._failed_in_a_row = 0
        self.trouble = ""
        self._tidy_at = 0.0
        self._table: Any = self._open()

    def sync(self, connection: sqlite3.Connection) -> int:
        """Make the table hold exactly what SQLite does; the number of rows."""
        wanted = np.array(embeddings.ids(connection, self._embedder), np.int64)
        try:
            self._refresh()
            held, times = np.unique(self._sketches.ids, return_counts=True)
            doubled = held[times > 1]  # stopped between two steps of an `add`
            surplus = np.union1d(np.setdiff1d(held, wanted), doubled)
            missing = np.union1d(np.setdiff1d(wanted, held), np.intersect1d(doubled, wanted))
            if 2 * len(missing) > len(wanted):
                raise ValueError("mostly missing")
            self._delete(surplus)
            self._copy(connection, missing)
        except DAMAGE:
            self._table = self._create()
            surplus, missing = wanted[:0], wanted
            self._copy(connection, missing)
        if len(missing) or len(surplus):
            log.info("recall index mended: %d added, %d removed", len(missing), len(surplus))
        return len(wanted)

    def add(
        self, connection: sqlite3.Connection, ids: Sequence[int], vectors: Sequence[Vector]
    ) -> None:
        """Remember vectors of messages: in SQLite first, then in the table.

        What was erased or deleted while it was being embedded gets none.
        """
        self._delete(np.intersect1d(self._sketches.ids, np.array(ids, np.int64)))
        with transaction(connection):
            rows = embeddings.save(connection, self._embedder, ids, vectors)
        self._append(rows)
        self._refresh()
        self.tidy(connection)

    def search(
        self,
        connection: sqlite3.Connection,
        vector: Vector,
        limit: int,
        channels: Collection[int] | None = None,
        allows: Callable[[int], bool] | None = None,
    ) -> list[tuple[int, float]]:
        """The nearest message ids with their cosine similarity, the best first.

        Where they are given, of these channels and of authors that `allows` holds for only.
        """
        self._refresh()
        close = self._sketches.closest(vector, max(limit, CANDIDATES), channels, allows)
        ids, known = embeddings.vectors(connection, self._embedder, close.tolist())
        cosines = known @ vector / (np.linalg.norm(known, axis=1) * np.linalg.norm(vector))
        best = np.argsort(-cosines)[:limit]
        return list(zip(ids[best].tolist(), cosines[best].tolist(), strict=True))

    def tidy(self, connection: sqlite3.Connection) -> None:
        """Join small fragments and drop old versions, where that is due and in the budget."""
        if self._table.stats()["fragment_stats"]["num_fragments"] < FRAGMENTS:
            return
        started = time.monotonic()
        if started < self._tidy_at:
            return
        try:
            self._table.optimize(cleanup_older_than=OLD)
            self._refresh()
            self._failed_in_a_row, self.trouble = 0, ""
        except DAMAGE as error:
            self.failures += 1
            self._failed_in_a_row += 1
            self.trouble = type(error).__name__
            log.error("recall index not tidied (%s), %d times by now", self.trouble, self.failures)
            if self._failed_in_a_row % FAILURES == 0:
                self._table = self._create()
                self.sync(connection)
        now = time.monotonic()
        self._tidy_at = now + (now - started) / TIDY_SHARE

    def forget(self, connection: sqlite3.Connection) -> int:
        """Drop every vector that SQLite no longer holds, from older files too; how many.

        LanceDB leaves deleted rows in a file that holds many others, so all of it is written anew.
        """
        kept = np.array(embeddings.ids(connection, self._embedder), np.int64)
        try:
            self._refresh()
            gone = np.setdiff1d(self._sketches.ids, kept)
            # whoever searches meanwhile finds the new version
            self._table = self._database.create_table(TABLE, schema=self._schema, mode="overwrite")
            self._copy(connection, kept)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that readers of older versions must look anew
                self._table.optimize(
                    cleanup_older_than=datetime.timedelta(0), delete_unverified=True
                )
            self._refresh()
        except DAMAGE:
            self._table = self._create()
            self.sync(connection)
            return 0
        return len(gone)

    def _open(self) -> Any:
        self._forget_sketches()
        try:
            table = self._database.open_table(TABLE)
            if table.schema.equals(self._schema, check_metadata=True):
                return table
        except DAMAGE:
            pass
        return self._create()

    def _create(self) -> Any:
        """An empty table in place of whatever is there: the rows are in SQLite."""
        self._forget_sketches()
        shutil.rmtree(self._files, ignore_errors=True)
        return self._database.create_table(TABLE, schema=self._schema)

    def _forget_sketches(self) -> None:
        self._sketches, self._version = Sketches(self._embedder.dimension), -1

    def _refresh(self) -> None:
        """See the newest version of the table, which another process may have changed, too."""
        self._table.checkout_latest()
        version = self._table.version
        if version == self._version:
            return
        query = self._table.search().select(["id"]).with_row_id(True)
        found = query.limit(self._table.count_rows() + 1).to_arrow()
        ids, rows = _ints(found, "id"), _ints(found, "_rowid")
        new = rows[self._sketches.follow(ids)]
        for start in range(0, len(new), CHUNK):
            part = self._read(new[start : start + CHUNK], "id", "channel", "author", "vector")
            ids, channels, authors = (_ints(part, name) for name in ("id", "channel", "author"))
            self._sketches.add(ids, channels, authors, self._matrix(part))
        self._version = version

    def _read(self, rows: npt.NDArray[np.int64], *columns: str) -> Any:
        return self._table.take_row_ids(rows.tolist()).select(list(columns)).to_arrow()

    def _matrix(self, found: Any) -> Vector:
        """The vectors that were read, one a line."""
        numbers = found["vector"].combine_chunks().flatten().to_numpy()
        return np.asarray(numbers, np.float32).reshape(-1, self._embedder.dimension)

    def _delete(self, ids: npt.NDArray[np.int64]) -> None:
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK].tolist()
            self._table.delete(f"id IN ({', '.join(map(str, some))})")
        if len(ids):
            self._refresh()

    def _copy(self, connection: sqlite3.Connection, ids: npt.NDArray[np.int64]) -> None:
        """Put what SQLite has of these messages into the table."""
        for start in range(0, len(ids), CHUNK):
            some = ids[start : start + CHUNK].tolist()
            self._append(embeddings.stored(connection, self._embedder, some))
        self._refresh()

    def _append(self, rows: Iterable[Row]) -> None:
        import pyarrow

        if not (rows := list(rows)):
            return
        ids, channels, authors, vectors = zip(*rows, strict=True)
        numbers = np.frombuffer(b"".join(vectors), np.float32)
        column = pyarrow.FixedSizeListArray.from_arrays(numbers, self._embedder.dimension)
        self._table.add(pyarrow.table([ids, channels, authors, column], schema=self._schema))


def forget(path: Path, connection: sqlite3.Connection) -> int:
    """Have the index at `path`, if there is one, forget as `VectorStore.forget` does; how many.

    An index that cannot be read is removed: the bot makes it anew.
    """
    files = path / f"{TABLE}.lance"
    if not files.exists():
        return 0
    import lancedb

    try:
        schema = lancedb.connect(path).open_table(TABLE).schema
        embedder = Embedder(**json.loads((schema.metadata or {})[b"embedder"]))
        return VectorStore(path, embedder).forget(connection)
    except (*DAMAGE, KeyError, TypeError):
        shutil.rmtree(files)
        return 0


def rows(table: Path) -> Iterator[bytes]:
    """The rows of any LanceDB table, but for its vectors. Raises one of `DAMAGE`."""
    import lancedb

    opened: Any = lancedb.connect(table.parent).open_table(table.stem)
    names = [field.name for field in opened.schema if not hasattr(field.type, "value_type")]
    for batch in opened.search().select(names).limit(opened.count_rows() + 1).to_batches():
        for row in batch.to_pylist():
            yield repr(row).encode() + b"\n"


def _schema(embedder: Embedder) -> Any:
    """The table's columns, with what made its vectors: those of anything else are not mixed in."""
    import pyarrow

    columns = [
        pyarrow.field("id", pyarrow.int64()),
        pyarrow.field("channel", pyarrow.int64()),
        pyarrow.field("author", pyarrow.int64()),
        pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), embedder.dimension)),
    ]
    return pyarrow.schema(columns, {"embedder": json.dumps(dataclasses.asdict(embedder))})


def _ints(found: Any, column: str) -> npt.NDArray[np.int64]:
    return np.asarray(found[column].to_numpy(), np.int64)
