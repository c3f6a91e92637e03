"""Raw pages: whole files, replaced by what covers them, without what was deleted."""

import stat
import zlib
from pathlib import Path

import pytest

from bot.config import UserError
from data import pages
from data.pages import Raw


def raw(*ids: int) -> list[Raw]:
    return [{"id": str(number), "content": f"text {number} 🦊"} for number in ids]


def kept(folder: Path) -> dict[str, list[int]]:
    files = sorted(path.name for path in folder.rglob("*") if path.is_file())
    found = [[int(m["id"]) for m in page] for _, page in pages.read(folder)]
    return dict(zip(files, found, strict=True))


def test_a_page_reads_back_as_it_was_written(tmp_path: Path) -> None:
    pages.write(tmp_path, 7, 0, raw(1, 2), through=2)
    pages.write(tmp_path, 7, 2, raw(3), through=None)
    assert list(pages.read(tmp_path)) == [(7, raw(1, 2)), (7, raw(3))]
    for path in (tmp_path / "7").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_the_same_page_is_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        pages.write(tmp_path / name, 7, 0, raw(1, 2), through=None)
    first, second = (next((tmp_path / n / "7").iterdir()).read_bytes() for n in ("a", "b"))
    assert first == second


def test_a_page_replaces_those_it_covers(tmp_path: Path) -> None:
    for after, ids in ((0, (1, 2)), (2, (3, 4)), (4, (5, 6)), (6, (7,))):
        pages.write(tmp_path, 7, after, raw(*ids), through=ids[-1])
    pages.write(tmp_path, 7, 0, raw(1, 3, 4), through=4)
    assert kept(tmp_path) == {"0.json.gz": [1, 3, 4], "4.json.gz": [5, 6], "6.json.gz": [7]}
    pages.write(tmp_path, 7, 4, raw(5), through=None)
    assert kept(tmp_path) == {"0.json.gz": [1, 3, 4], "4.json.gz": [5]}


def test_a_page_covers_what_was_left_out_of_it(tmp_path: Path) -> None:
    for after, ids in ((0, (1, 2)), (2, (3, 4)), (4, (5, 6))):
        pages.write(tmp_path, 7, after, raw(*ids), through=ids[-1])
    pages.write(tmp_path, 7, 0, raw(1), through=4)
    assert kept(tmp_path) == {"0.json.gz": [1], "4.json.gz": [5, 6]}
    pages.write(tmp_path, 7, 0, [], through=4)
    assert kept(tmp_path) == {"4.json.gz": [5, 6]}
    pages.write(tmp_path, 7, 2, [], through=None)
    assert kept(tmp_path) == {}


def test_what_was_deleted_leaves_the_pages_and_nothing_else_does(tmp_path: Path) -> None:
    pages.write(tmp_path, 7, 0, raw(1, 2), through=2)
    pages.write(tmp_path, 7, 2, raw(3, 4), through=None)
    pages.write(tmp_path, 8, 0, raw(1), through=None)
    untouched = (tmp_path / "7" / "2.json.gz").read_bytes()
    assert pages.purge(tmp_path, {7: {1}, 9: {5}}) == 1
    assert list(pages.read(tmp_path)) == [(7, raw(2)), (7, raw(3, 4)), (8, raw(1))]
    assert (tmp_path / "7" / "2.json.gz").read_bytes() == untouched


@pytest.mark.parametrize("damage", [b"", b"no gzip", b"\x1f\x8b\x08\x00", b'{"a": 1}'])
def test_a_damaged_page_is_a_sentence_and_is_purged(tmp_path: Path, damage: bytes) -> None:
    pages.write(tmp_path, 7, 0, raw(1), through=None)
    path = tmp_path / "7" / "0.json.gz"
    path.write_bytes(damage)
    with pytest.raises(UserError, match="is damaged"):
        list(pages.read(tmp_path))
    assert pages.purge(tmp_path, {7: {1}}) == 1
    assert not path.exists()


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    for name in ("notes.txt", "x.json.gz", "1.json"):
        (tmp_path / "7" / name).write_text("mine")
    pages.write(tmp_path, 7, 0, raw(1), through=None)
    assert pages.purge(tmp_path, {7: {1}}) == 1
    assert (tmp_path / "7" / "notes.txt").read_text() == "mine"
    assert list(pages.read(tmp_path)) == [(7, [])]


def test_garbage_inside_a_page_is_not_trusted(tmp_path: Path) -> None:
    import gzip

    (tmp_path / "7").mkdir()
    for body in (b"[1]", b"[{}]", b"[" * 100_000, b'{"id": 1}'):
        (tmp_path / "7" / "0.json.gz").write_bytes(gzip.compress(body))
        with pytest.raises(UserError, match="is damaged"):
            list(pages.read(tmp_path))
    (tmp_path / "7" / "0.json.gz").write_bytes(b"\x1f\x8b" + zlib.compress(b"[]"))
    with pytest.raises(UserError, match="is damaged"):
        list(pages.read(tmp_path))
