"""The proof of an erasure: whether any file below a folder still holds given texts.

Every file is read byte by byte, and once more as what it is: unzipped, row by row of SQLite, row
by row of LanceDB. Texts count in UTF-8, in UTF-16, and as JSON escapes them.
"""

import gzip
import json
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from storage import people, vectordb

CHUNK = 1 << 22
_CAT = "import shutil, sys; shutil.copyfileobj(open(sys.argv[1], 'rb'), sys.stdout.buffer)"
_WORD = 8  # bytes compared at once
_HASHED = 2 * _WORD  # bytes at the beginning of a needle that decide whether to look closer
_TABLE_BITS = 22
_FACTORS = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xC2B2AE3D27D4EB4F)

Words = npt.NDArray[np.uint64]


def scan(root: Path, needles: Collection[bytes]) -> list[Path]:
    """The files below `root` that hold any of the needles (UTF-8), and those nobody can read."""
    if not needles:
        return []
    haystack = Needles(needles)
    paths = (path for path in root.rglob("*") if not path.is_symlink())
    return sorted(path for path in paths if holds(path, haystack))


class Needles:
    """Any number of texts, looked for at once.

    A hash of the first 16 bytes says where to look closer; it is taken at every byte by numpy.
    Shorter texts are searched for one by one.
    """

    def __init__(self, needles: Iterable[bytes]) -> None:
        forms = {form for needle in needles for form in _forms(needle) if form}
        self._short = [form for form in forms if len(form) < _HASHED]
        self._long: dict[bytes, list[bytes]] = {}
        for form in forms.difference(self._short):
            self._long.setdefault(form[:_HASHED], []).append(form)
        self._overlap = max(map(len, forms), default=1) - 1
        self._table = np.zeros(1 << _TABLE_BITS, np.bool_)
        for beginning in self._long:
            self._table[_hashes(np.frombuffer(beginning, "<u8"))] = True

    def are_in(self, pieces: Iterable[bytes]) -> bool:
        """Whether any of them is in the pieces laid end to end."""
        data = bytearray()
        for piece in pieces:
            data += piece
            if len(data) >= CHUNK:
                if self._is_in(bytes(data)):
                    return True
                del data[: max(0, len(data) - self._overlap)]
        return self._is_in(bytes(data))

    def _is_in(self, data: bytes) -> bool:
        return any(form in data for form in self._short) or any(
            data.startswith(form, place)
            for place in self._candidates(data)
            for form in self._long.get(data[place : place + _HASHED], ())
        )

    def _candidates(self, data: bytes) -> Iterator[int]:
        for shift in range(_WORD if self._long else 0):
            count = (len(data) - shift) // _WORD
            if count > 1:
                words = np.frombuffer(data, "<u8", count, shift)
                for place in np.flatnonzero(self._table[_hashes(words)]).tolist():
                    yield place * _WORD + shift


def _hashes(words: Words) -> Words:
    """One number for each two neighbouring words."""
    mixed: Words = words[:-1] * _FACTORS[0] ^ words[1:] * _FACTORS[1]
    shortened: Words = mixed >> np.uint64(64 - _TABLE_BITS)
    return shortened


def _forms(needle: bytes) -> set[bytes]:
    """How a text is written in files: plain, in UTF-16, and within JSON, which JSON may hold."""
    text = needle.decode("utf-8", "surrogatepass")
    written = {text}
    for _ in range(2):
        written |= {json.dumps(one)[1:-1] for one in written}
        written |= {json.dumps(one, ensure_ascii=False)[1:-1] for one in written}
    forms = {one.encode("utf-8", "surrogatepass") for one in written}
    return forms | {text.encode(code, "surrogatepass") for code in ("utf-16-le", "utf-16-be")}


def holds(path: Path, needles: Needles) -> bool:
    """Whether a file, or a LanceDB table's folder, holds any of them or is unreadable."""
    try:
        if path.is_dir():
            return path.suffix == ".lance" and needles.are_in(vectordb.rows(path))
        return needles.are_in(_raw(path)) or needles.are_in(_unpacked(path))
    except FileNotFoundError:
        return False  # gone while we looked, such as SQLite's log
    except (OSError, EOFError, zlib.error, sqlite3.Error, *vectordb.DAMAGE):
        return True  # nobody can tell


def _raw(path: Path) -> Iterator[bytes]:
    if ".sqlite3" in path.name:
        yield from _apart(path)
        return
    with path.open("rb") as file:
        while piece := file.read(CHUNK):
            yield piece


def _apart(path: Path) -> Iterator[bytes]:
    """A file as another process reads it.

    To close it here would drop the locks on it of all connections that this process has.
    """
    command = [sys.executable, "-c", _CAT, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as cat:
        assert cat.stdout
        while piece := cat.stdout.read(CHUNK):
            yield piece
    if cat.returncode:
        raise OSError(f"{path} cannot be read") if path.exists() else FileNotFoundError(str(path))


def _unpacked(path: Path) -> Iterator[bytes]:
    """The content of a file that is packed; nothing for any other."""
    magic = next(_raw(path), b"")[:16]
    if magic.startswith(b"\x1f\x8b"):
        with gzip.open(path) as unpacked:
            while piece := unpacked.read(CHUNK):
                yield piece
    elif magic == b"SQLite format 3\0":
        for row in people.values(path):
            yield row.encode("utf-8", "surrogatepass") + b"\n"
