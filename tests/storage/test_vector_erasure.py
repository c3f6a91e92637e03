"""Vectors that SQLite no longer has leave LanceDB's files, while another process searches them."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from storage import database, messages
from storage.embeddings import Embedder, Vector
from storage.messages import Message
from storage.vectordb import VectorStore, forget, rows

IDS = [messages.snowflake_at(1_700_000_000) + number for number in range(300)]


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    messages.save(connection, [Message(i, 1, 2, "a", "a text of some length") for i in IDS])
    return connection


def vectors() -> list[Vector]:
    return list(np.random.default_rng(1).normal(size=(len(IDS), 8)).astype(np.float32))


def filled(connection: sqlite3.Connection, folder: Path, batch: int = 100) -> VectorStore:
    store = VectorStore(folder, Embedder("test", "0" * 64, 8))
    for start in range(0, len(IDS), batch):
        store.add(connection, IDS[start : start + batch], vectors()[start : start + batch])
    return store


def files_with(folder: Path, vector: Vector) -> list[Path]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return [path for path in files if vector.tobytes() in path.read_bytes()]


@pytest.mark.parametrize("batch", [100, 300])
def test_forgotten_vectors_are_in_no_file(
    connection: sqlite3.Connection, tmp_path: Path, batch: int
) -> None:
    store = filled(connection, tmp_path / "lance", batch)
    assert files_with(tmp_path / "lance", vectors()[7])
    connection.execute("DELETE FROM embeddings WHERE message_id IN (?, ?)", (IDS[7], IDS[250]))
    assert store.forget(connection) == 2
    assert store.forget(connection) == 0
    assert not files_with(tmp_path / "lance", vectors()[7])
    assert files_with(tmp_path / "lance", vectors()[8])
    held = b"".join(rows(tmp_path / "lance" / "messages.lance"))
    assert str(IDS[7]).encode() not in held
    assert str(IDS[8]).encode() in held


def test_what_was_only_deleted_before_is_in_no_file_either(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = filled(connection, tmp_path / "lance", len(IDS))
    connection.execute("DELETE FROM embeddings WHERE message_id = ?", (IDS[7],))
    store.sync(connection)
    assert store.forget(connection) == 0
    assert not files_with(tmp_path / "lance", vectors()[7])


def test_a_search_elsewhere_goes_on(connection: sqlite3.Connection, tmp_path: Path) -> None:
    searching = filled(connection, tmp_path / "lance")
    assert searching.search(connection, vectors()[7], 1)[0][0] == IDS[7]
    connection.execute("DELETE FROM embeddings WHERE message_id = ?", (IDS[7],))
    forget(tmp_path / "lance", connection)
    assert searching.search(connection, vectors()[7], 1)[0][0] != IDS[7]
    assert searching.search(connection, vectors()[8], 1)[0][0] == IDS[8]
    searching.add(connection, [IDS[7]], [vectors()[7]])
    assert searching.search(connection, vectors()[7], 1)[0][0] == IDS[7]


def test_a_damaged_index_is_made_anew_without_them(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = filled(connection, tmp_path / "lance")
    connection.execute("DELETE FROM embeddings WHERE message_id = ?", (IDS[7],))
    for path in (tmp_path / "lance").rglob("*.lance"):
        if path.is_file():
            path.write_bytes(b"")
    store.forget(connection)
    assert store.search(connection, vectors()[8], 1)[0][0] == IDS[8]
    assert not files_with(tmp_path / "lance", vectors()[7])
