"""Whatever way a text is written down, the scan finds it; what nobody can read counts as found."""

import gzip
import json
import os
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path

import lancedb
import pyarrow
import pytest

from data import residue
from data.residue import CHUNK, Needles, scan
from storage import database
from tests.storage.test_database import as_another_process

CANARY = 'the "heron" stands\nin the cöld river 🐦 again'
NEEDLE = CANARY.encode()


def write_sqlite(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE notes (content TEXT)")
    # longer than a page, so that no part of the file holds it in one piece
    connection.execute("INSERT INTO notes VALUES (?)", ("x" * 4070 + CANARY + "x" * 9000,))
    connection.commit()
    connection.close()


def nested(path: Path) -> None:
    path.write_text(json.dumps({"outer": json.dumps({"content": CANARY})}))


WRITERS: dict[str, Callable[[Path], object]] = {
    "plain": lambda path: path.write_bytes(b"x" * 1000 + NEEDLE + b"y"),
    "at the very end": lambda path: path.write_bytes(b"x" * 7 + NEEDLE),
    "alone": lambda path: path.write_bytes(NEEDLE),
    "utf-16": lambda path: path.write_text(f"abc {CANARY}", "utf-16"),
    "utf-16, big end first": lambda path: path.write_text(f"abc {CANARY}", "utf-16-be"),
    "json": lambda path: path.write_text(json.dumps([CANARY], ensure_ascii=False), "utf-8"),
    "json, escaped": lambda path: path.write_text(json.dumps([CANARY])),
    "json in json": nested,
    "packed": lambda path: path.write_bytes(gzip.compress(b"x" * CHUNK + NEEDLE)),
    "across two chunks": lambda path: path.write_bytes(b"x" * (CHUNK - 10) + NEEDLE + b"y" * CHUNK),
    "sqlite": write_sqlite,
}


@pytest.mark.parametrize("way", WRITERS)
def test_a_text_is_found_however_it_is_written(tmp_path: Path, way: str) -> None:
    folder = tmp_path / "some" / "where"
    folder.mkdir(parents=True)
    (folder / "innocent.txt").write_text("the heron flies over the warm river")
    WRITERS[way](folder / "file")
    assert scan(tmp_path, [b"something else entirely", NEEDLE]) == [folder / "file"]
    assert scan(tmp_path, [b"something else entirely", b"and another one, not there"]) == []


def test_short_needles_and_numbers_are_found(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("replied to 123 in 2 s")
    assert scan(tmp_path, [b"123"]) == [tmp_path / "log"]
    assert scan(tmp_path, [b"124"]) == scan(tmp_path, []) == []


def test_rows_of_a_vector_table_are_read(tmp_path: Path) -> None:
    number = 1_100_000_000_000_000_123
    table = lancedb.connect(tmp_path).create_table(
        "messages",
        [{"id": number, "vector": [0.5, 0.5]}],
        schema=pyarrow.schema(
            [
                pyarrow.field("id", pyarrow.int64()),
                pyarrow.field("vector", pyarrow.list_(pyarrow.float32(), 2)),
            ]
        ),
    )
    assert tmp_path / "messages.lance" in scan(tmp_path, [b"%d" % number])
    table.delete("true")
    assert tmp_path / "messages.lance" not in scan(tmp_path, [b"%d" % number])


def test_what_nobody_can_read_counts_as_found(tmp_path: Path) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(os.urandom(5000))[:3000])
    (tmp_path / "bad.sqlite3").write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    (tmp_path / "empty").touch()
    (tmp_path / "just a name.lance").mkdir()
    found = {path.name for path in scan(tmp_path, [NEEDLE])}
    assert found == {"cut.gz", "bad.sqlite3", "just a name.lance"}


def test_a_search_takes_no_locks_from_an_open_database(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    first = database.connect(path)
    database.remember(first, "x", "a needle in the log")
    assert path in scan(tmp_path, [b"a needle in the log"])
    for value in ("theirs", "theirs again"):
        as_another_process(path, value)
        assert database.recall(first, "x") == value


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(NEEDLE)
    inside = tmp_path / "inside"
    inside.mkdir()
    try:
        (inside / "link").symlink_to(outside)
    except OSError:
        pytest.skip("links need a right on Windows")
    assert scan(inside, [NEEDLE]) == []


def test_many_needles_agree_with_searching_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(residue, "CHUNK", 512)
    dice = random.Random(5)
    texts = [bytes(dice.choices(b"abc ", k=dice.randint(3, 40))) for _ in range(400)]
    for text in texts:
        hay = bytes(dice.choices(b"abc ", k=3000))
        planted = hay[:1400] + text + hay[1400:]
        needles = Needles([text])
        pieces = [planted[start : start + 100] for start in range(0, len(planted), 100)]
        assert needles.are_in(pieces)
        assert needles.are_in([hay]) == (text in hay)
    everything = Needles(texts)
    assert everything.are_in([b"x" * 5000 + texts[77]])
    assert not everything.are_in([b"x" * 5000])
