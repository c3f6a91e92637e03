"""The recall index: found by meaning, rebuilt from SQLite whatever happens to its files."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from storage import database, messages, vectordb
from storage.messages import Message
from storage.vectordb import Vector, VectorStore

IDS = [messages.snowflake_at(1_700_000_000) + number for number in range(200)]


def vectors(count: int) -> list[Vector]:
    drawn = np.random.default_rng(1).normal(size=(count, 8)).astype(np.float32)
    return list(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    messages.save(connection, [Message(i, 1, 2, "a", "a text of some length") for i in IDS])
    return connection


def open_store(tmp_path: Path) -> VectorStore:
    return VectorStore(tmp_path / "lance", 8, "test")


def test_the_nearest_come_first(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store, known = open_store(tmp_path), vectors(200)
    store.add(connection, IDS, known)
    for number in (0, 77, 199):
        (best, cosine), *others = store.search(known[number], 5)
        assert best == IDS[number]
        assert cosine == pytest.approx(1, abs=1e-4)
        assert all(other <= cosine for _, other in others)


def test_what_was_added_is_there_after_a_restart(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    open_store(tmp_path).add(connection, IDS, vectors(200))
    store = open_store(tmp_path)
    assert store.sync(connection) == 200
    assert store.search(vectors(200)[5], 1)[0][0] == IDS[5]


@pytest.mark.parametrize("damage", ["empty every file", "remove the manifests", "remove all"])
def test_a_damaged_index_is_rebuilt_from_sqlite(
    connection: sqlite3.Connection, tmp_path: Path, damage: str
) -> None:
    open_store(tmp_path).add(connection, IDS, vectors(200))
    for path in sorted((tmp_path / "lance").rglob("*")):
        if path.is_file() and damage == "empty every file":
            path.write_bytes(b"")
        elif path.is_file() and (damage == "remove all" or "manifest" in path.name):
            path.unlink()
    store = open_store(tmp_path)
    assert store.sync(connection) == 200
    assert store.search(vectors(200)[9], 1)[0][0] == IDS[9]


def test_a_deleted_message_leaves_the_index(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(connection, IDS, vectors(200))
    messages.mark_deleted(connection, [IDS[3]])
    assert store.sync(connection) == 199
    assert all(found != IDS[3] for found, _ in store.search(vectors(200)[3], 20))


def test_pending_are_the_newest_without_a_vector(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    open_store(tmp_path).add(connection, IDS[-2:], vectors(2))
    pending = vectordb.pending(connection, "test", 3)
    assert [message.id for message in pending] == [IDS[-3], IDS[-4], IDS[-5]]
