"""Stores of vectors to compare: the bot's own, LanceDB's search as it comes, and two peers."""

import datetime
import sqlite3
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from storage import database, messages
from storage.embeddings import Embedder, Vector
from storage.messages import Message
from storage.vectordb import VectorStore

Vectors = npt.NDArray[np.float32]

WIDTH = 384
CHUNK = 4096
FIRST = messages.snowflake_at(1_700_000_000)


def chunks(vectors: Vectors) -> Iterator[tuple[int, Vectors]]:
    """Pieces of a large array, each with the number of its first vector."""
    for start in range(0, len(vectors), CHUNK):
        yield start, np.asarray(vectors[start : start + CHUNK])


class Ours:
    """The bot's store: SQLite, LanceDB, and sketches in memory."""

    needs: tuple[str, ...] = ()

    def __init__(self, folder: Path) -> None:
        self._connection = _database(folder)
        self._store = _ours(folder)
        self._store.sync(self._connection)

    @staticmethod
    def fill(folder: Path, vectors: Vectors) -> None:
        connection, store = _database(folder), _ours(folder)
        for start, part in chunks(vectors):
            _remember(connection, store, start, part)

    def search(self, vector: Vector, count: int) -> list[int]:
        return [number - FIRST for number, _ in self._store.search(self._connection, vector, count)]

    def add(self, number: int, vector: Vector) -> None:
        _remember(self._connection, self._store, number, vector[None])


def _ours(folder: Path) -> VectorStore:
    return VectorStore(folder / "lance", Embedder("random", "0" * 64, WIDTH))


def _database(folder: Path) -> sqlite3.Connection:
    return database.connect(folder / "bot.sqlite3")


def _remember(
    connection: sqlite3.Connection, store: VectorStore, start: int, vectors: Vectors
) -> None:
    ids = list(range(FIRST + start, FIRST + start + len(vectors)))
    with database.transaction(connection):
        messages.save(connection, [Message(i, i % 20, 2, "a", "some text") for i in ids])
    store.add(connection, ids, list(vectors))


class Lance:
    """LanceDB's own search, comparing all vectors."""

    needs: tuple[str, ...] = ()
    is_indexed = False

    def __init__(self, folder: Path) -> None:
        import lancedb

        self._table: Any = lancedb.connect(folder / "lance").open_table("all")

    @classmethod
    def fill(cls, folder: Path, vectors: Vectors) -> None:
        import lancedb

        rows = [_lance_rows(start, part) for start, part in chunks(vectors)]
        table: Any = lancedb.connect(folder / "lance").create_table("all", rows[0])
        for more in rows[1:]:
            table.add(more)
        if cls.is_indexed:
            partitions = max(1, len(vectors) // 1000)
            table.create_index(metric="cosine", index_type="IVF_FLAT", num_partitions=partitions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about readers of older versions
            table.optimize(cleanup_older_than=datetime.timedelta(0))

    def search(self, vector: Vector, count: int) -> list[int]:
        query = self._table.search(vector).distance_type("cosine").select(["id", "_distance"])
        return list(query.limit(count).to_arrow()["id"].to_pylist())

    def add(self, number: int, vector: Vector) -> None:
        self._table.add(_lance_rows(number, vector[None]))


class LanceIndexed(Lance):
    """LanceDB's own search with an IVF_FLAT index."""

    is_indexed = True


def _lance_rows(start: int, vectors: Vectors) -> Any:
    import pyarrow

    column = pyarrow.FixedSizeListArray.from_arrays(vectors.ravel(), WIDTH)
    return pyarrow.table({"id": range(start, start + len(vectors)), "vector": column})


class Faiss:
    """faiss-cpu's flat index, all in memory."""

    needs: tuple[str, ...] = ("faiss",)

    def __init__(self, folder: Path) -> None:
        import faiss

        self._index: Any = faiss.read_index(str(folder / "faiss"))

    @staticmethod
    def fill(folder: Path, vectors: Vectors) -> None:
        import faiss

        index: Any = faiss.IndexFlatIP(WIDTH)
        for _, part in chunks(vectors):
            index.add(part)
        faiss.write_index(index, str(folder / "faiss"))

    def search(self, vector: Vector, count: int) -> list[int]:
        return list(self._index.search(vector[None], count)[1][0].tolist())

    def add(self, number: int, vector: Vector) -> None:
        self._index.add(vector[None])


class SqliteVec:
    """sqlite-vec through apsw, whose SQLite may load extensions."""

    needs: tuple[str, ...] = ("apsw", "sqlite_vec")

    def __init__(self, folder: Path) -> None:
        import apsw
        import sqlite_vec

        self._connection: Any = apsw.Connection(str(folder / "vec"))
        self._connection.enable_load_extension(True)
        self._connection.load_extension(sqlite_vec.loadable_path())

    @classmethod
    def fill(cls, folder: Path, vectors: Vectors) -> None:
        store = cls(folder)
        store._connection.execute(f"create virtual table v using vec0(e float[{WIDTH}])")
        with store._connection:
            for start, part in chunks(vectors):
                for number, vector in enumerate(part, start):
                    store.add(number, vector)

    def search(self, vector: Vector, count: int) -> list[int]:
        found = self._connection.execute(
            "select rowid from v where e match ? and k = ?", (vector.tobytes(), count)
        )
        return [row[0] for row in found]

    def add(self, number: int, vector: Vector) -> None:
        self._connection.execute(
            "insert into v(rowid, e) values (?, ?)", (number, vector.tobytes())
        )


STORES: dict[str, Any] = {
    "ours": Ours,
    "lancedb": Lance,
    "lancedb_ivf_flat": LanceIndexed,
    "faiss": Faiss,
    "sqlite_vec": SqliteVec,
}
