"""The recall index: found by meaning, rebuilt from SQLite whatever happens to its files."""

import datetime
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from storage import database, embeddings, messages, vectordb
from storage.embeddings import Embedder, Vector
from storage.messages import Message
from storage.vectordb import VectorStore

TEST = Embedder("test", "0" * 64, 8)
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
    return VectorStore(tmp_path / "lance", TEST)


def test_the_nearest_come_first(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store, known = open_store(tmp_path), vectors(200)
    store.add(connection, IDS, known)
    for number in (0, 77, 199):
        (best, cosine), *others = store.search(connection, known[number], 5)
        assert best == IDS[number]
        assert cosine == pytest.approx(1, abs=1e-4)
        assert all(other <= cosine for _, other in others)


def test_what_was_added_is_there_after_a_restart(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    open_store(tmp_path).add(connection, IDS, vectors(200))
    store = open_store(tmp_path)
    assert store.sync(connection) == 200
    assert store.search(connection, vectors(200)[5], 1)[0][0] == IDS[5]


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
    assert store.search(connection, vectors(200)[9], 1)[0][0] == IDS[9]


def test_a_deleted_message_leaves_the_index(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.add(connection, IDS, vectors(200))
    messages.mark_deleted(connection, [IDS[3]])
    assert store.sync(connection) == 199
    assert all(found != IDS[3] for found, _ in store.search(connection, vectors(200)[3], 20))


def test_pending_are_the_newest_without_a_vector(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    open_store(tmp_path).add(connection, IDS[-2:], vectors(2))
    pending = embeddings.pending(connection, TEST, 3)
    assert [message.id for message in pending] == [IDS[-3], IDS[-4], IDS[-5]]


def test_only_the_channels_asked_for_are_searched(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store, known = open_store(tmp_path), vectors(200)
    far = Message(IDS[-1] + 1, 9, 2, "a", "a text elsewhere")
    messages.save(connection, [far])
    store.add(connection, [*IDS, far.id], [*known, -known[0]])
    assert [found for found, _ in store.search(connection, known[0], 5, {9})] == [far.id]
    assert far.id not in [found for found, _ in store.search(connection, -known[0], 201, {1})]
    for nowhere in ({12345}, set[int]()):
        assert store.search(connection, known[0], 5, nowhere) == []


def test_an_author_who_is_allowed_is_found_behind_any_number_of_others(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store, (known, *_) = open_store(tmp_path), vectors(1)
    first = IDS[-1] + 1
    crowd = [first + number for number in range(3 * vectordb.CANDIDATES)]
    messages.save(connection, [Message(i, 1, 2, "a", "a text of some length") for i in crowd])
    mine = Message(crowd[-1] + 1, 1, 5, "b", "a text by another")
    messages.save(connection, [mine])
    store.add(connection, [*crowd, mine.id], [*[known] * len(crowd), -known])
    for opened in (store, open_store(tmp_path)):
        found = opened.search(connection, known, 5, allows={5}.__contains__)
        assert [number for number, _ in found] == [mine.id]
        assert opened.search(connection, known, 5, {9}, {5}.__contains__) == []
        assert opened.search(connection, known, 5, allows=set[int]().__contains__) == []


def test_an_index_of_an_earlier_release_is_made_anew(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    store.add(connection, IDS, vectors(200))
    store._table.drop_columns(["author"])
    opened = open_store(tmp_path)
    assert opened.sync(connection) == 200
    assert opened.search(connection, vectors(200)[9], 1, allows={2}.__contains__)[0][0] == IDS[9]


def test_a_message_that_was_edited_is_found_by_its_new_vector_alone(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store, known = open_store(tmp_path), vectors(200)
    store.add(connection, IDS, known)
    messages.edit(connection, IDS[3], "another text", 1.0)
    store.add(connection, [IDS[3]], [-known[3]])
    for opened in (store, open_store(tmp_path)):
        (best, cosine), *_ = opened.search(connection, -known[3], 300)
        assert best == IDS[3] and cosine == pytest.approx(1, abs=1e-4)
        assert len(opened.search(connection, known[3], 300)) == 200


@pytest.mark.parametrize(
    "other", [Embedder("other", "0" * 64, 8), Embedder("test", "1" * 64, 8), Embedder("b", "", 16)]
)
def test_vectors_of_another_embedder_are_not_mixed_in(
    connection: sqlite3.Connection, tmp_path: Path, other: Embedder
) -> None:
    open_store(tmp_path).add(connection, IDS, vectors(200))
    store = VectorStore(tmp_path / "lance", other)
    assert store.sync(connection) == 0
    query = np.ones(other.dimension, np.float32)
    assert store.search(connection, query, 5) == []
    assert len(embeddings.pending(connection, other, 500)) == 200
    store.add(connection, IDS[:2], [query, query])
    assert {found for found, _ in store.search(connection, query, 5)} == set(IDS[:2])
    assert open_store(tmp_path).sync(connection) == 198


def test_what_the_table_lacks_or_has_twice_is_mended(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    store = open_store(tmp_path)
    store.add(connection, IDS, vectors(200))
    store._table.add(store._table.search().limit(5).to_arrow())
    store._table.delete(f"id IN ({IDS[50]}, {IDS[60]})")
    messages.mark_deleted(connection, [IDS[70]])
    assert store.sync(connection) == 199
    assert sorted(found for found, _ in store.search(connection, vectors(1)[0], 300)) == [
        number for number in IDS if number != IDS[70]
    ]


def test_many_small_additions_leave_few_fragments_versions_and_bytes(
    connection: sqlite3.Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectordb, "OLD", datetime.timedelta(milliseconds=1))
    monkeypatch.setattr(vectordb, "TIDY_SHARE", 1.0)
    store = open_store(tmp_path)
    for number, vector in zip(IDS, vectors(200), strict=True):
        store.add(connection, [number], [vector])
        assert store.search(connection, vector, 1)[0][0] == number  # at once, tidied or not
    assert store._table.stats()["fragment_stats"]["num_fragments"] <= 2 * vectordb.FRAGMENTS
    assert len(store._table.list_versions()) <= 3 * vectordb.FRAGMENTS
    assert store.failures == 0


def test_a_table_that_cannot_be_tidied_is_said_and_made_anew(
    connection: sqlite3.Connection,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(vectordb, "FRAGMENTS", 1)
    monkeypatch.setattr(vectordb, "TIDY_SHARE", 1e9)
    store = open_store(tmp_path)
    store.add(connection, IDS[:100], vectors(100))
    table = store._table

    def fails(*_: object, **how: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(type(table), "optimize", fails)
    for number in range(100, 103):
        store.add(connection, [IDS[number]], [vectors(200)[number]])
    assert store.failures >= vectordb.FAILURES
    assert f"recall index not tidied (OSError), {store.failures} times by now" in caplog.text
    assert store._table is not table
    assert store.search(connection, vectors(200)[102], 1)[0][0] == IDS[102]
    assert len(store.search(connection, vectors(1)[0], 300)) == 103
