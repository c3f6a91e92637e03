"""Whole copies of the database file: made while others write, and looked over."""

import contextlib
import os
import sqlite3
from pathlib import Path

from storage import schema


def copy(connection: sqlite3.Connection, target: Path) -> None:
    """Write a consistent copy to `target`, for its owner alone. Raises `OSError` when it cannot."""
    target.unlink(missing_ok=True)
    os.close(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        with contextlib.closing(sqlite3.connect(target)) as written:
            connection.backup(written, pages=1000)
            written.execute("PRAGMA journal_mode = DELETE")  # one file, whole by itself
    except sqlite3.Error as error:
        raise OSError(f"{target.name} could not be written: {error}") from None


def put_back(path: Path, connection: sqlite3.Connection) -> None:
    """Have the open database hold what a copy holds: all of it or, when this fails, nothing.

    Others may have it open, too. Raises `OSError` while one of them writes, or on a full disk.
    """
    try:
        with contextlib.closing(sqlite3.connect(path)) as source:
            source.backup(connection)
    except sqlite3.Error as error:
        raise OSError(f"the database could not be replaced: {error}") from None


def rows(path: Path) -> dict[str, int]:
    """How many rows each table has. Raises `ValueError`, what is wrong, for a damaged file."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as opened:
            found = opened.execute("PRAGMA integrity_check").fetchone()[0]
            identity = opened.execute("PRAGMA application_id").fetchone()[0]
            if found != "ok" or identity != schema.APPLICATION_ID:
                raise ValueError(f"its database is damaged ({str(found)[:80]})")
            if opened.execute("PRAGMA user_version").fetchone()[0] > len(schema.MIGRATIONS):
                raise ValueError("it was made by a newer release")
            tables = opened.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            count = "SELECT count(*) FROM {}"
            return {
                name: int(opened.execute(count.format(_quoted(name))).fetchone()[0])
                for (name,) in sorted(tables)
                if not name.startswith("sqlite_")
            }
    except sqlite3.Error as error:
        raise ValueError(f"its database cannot be read ({error})") from None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
