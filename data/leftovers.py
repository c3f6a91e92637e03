"""The files beside the database that hold text or ids of a person who is to be erased.

What was derived from the database, or copied from it, simply goes: the next step makes it again.
"""

import contextlib
import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from bot.config import Config
from data import residue
from data.quotes import Quotes
from storage.people import Written
from storage.schema import APPLICATION_ID

_SQLITE = b"SQLite format 3\0"
_COMPANIONS = ("-wal", "-shm", "-journal")
_NUMBER = re.compile(rb"\d{15,20}")


def clear(config: Config, user_id: int, known: Written, quotes: Quotes) -> dict[str, int]:
    """Remove what these files hold of a person; how many files or lines, by what they were."""
    root = config.data_dir
    unfinished = [path for path in _files(root) if path.suffix == ".partial"]
    ids = {b"%d" % number for number in (user_id, *known.texts)}
    cleared = {
        "raw pages": _delete(_pages(root / "messages", user_id, quotes)),
        "unfinished files": _delete(unfinished),
        "log lines": sum(_clear_log(path, ids) for path in _files(root) if _is_log(path)),
    }
    if known.texts:  # else all of this was made without the person
        cleared["training files"] = _delete(_files(config.training_dir))
        judged = (root / "evaluation", root / "reports")
        cleared["learned habits"] = _delete(
            path for path in (config.participation_path,) if path.exists()
        )
        cleared["evaluations"] = _delete(path for folder in judged for path in _files(folder))
        cleared["backups"] = _delete(_copies(root, config.database_path))
    return cleared


def _pages(folder: Path, user_id: int, quotes: Quotes) -> Iterator[Path]:
    """The pages, as Discord sent them, on which the person writes, is mentioned or quoted."""
    texts = [text.encode("utf-8", "surrogatepass") for text in quotes.long]
    needles = residue.Needles([b"%d" % user_id, *texts])
    return (path for path in _files(folder) if residue.holds(path, needles))


def _copies(root: Path, database_path: Path) -> set[Path]:
    """The backups, and every other file that is a database of ours."""
    ours = {database_path.with_name(database_path.name + end) for end in ("", *_COMPANIONS)}
    files = set(_files(root)) - ours  # which may not be opened here: see `residue`
    copies = {path for path in files if _is_our_database(path)}
    beside = {path.with_name(path.name + end) for path in copies for end in _COMPANIONS}
    return copies | (beside & files) | set(_files(root / "backups"))


def _is_our_database(path: Path) -> bool:
    with path.open("rb") as file:
        header = file.read(72)
    return header.startswith(_SQLITE) and header[68:] == APPLICATION_ID.to_bytes(4, "big")


def _is_log(path: Path) -> bool:
    return ".log" in path.suffixes


def _clear_log(path: Path, ids: Collection[bytes]) -> int:
    """Leave out the lines that name one of the ids; how many there were."""
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if not any(number in ids for number in _NUMBER.findall(line))]
    if len(kept) < len(lines):
        partial = path.with_name(path.name + ".partial")
        partial.touch(0o600)
        partial.write_bytes(b"".join(kept))
        os.replace(partial, path)
    return len(lines) - len(kept)


def _files(root: Path) -> Iterator[Path]:
    return (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())


def _delete(paths: Iterable[Path]) -> int:
    doomed = list(paths)
    for path in doomed:
        with contextlib.suppress(OSError):  # in use, on Windows: the scan will name it
            path.unlink(missing_ok=True)
    return sum(not path.exists() for path in doomed)
