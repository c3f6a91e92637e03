"""The SQLite file: opening it, and its small tables (settings, heartbeats, models, ...).

Messages have a file of their own, `storage/messages.py`.
"""

import contextlib
import dataclasses
import json
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot.config import UserError
from storage import schema


@dataclasses.dataclass(frozen=True)
class Settings:
    """What may be changed while the bot runs: by the window, the admin commands, or a new model."""

    response_rate: float = 0.05
    temperature: float = 0.75
    max_tokens: int = 150
    top_p: float = 0.9
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    share_cap: float = 0.25  # of the talk; what nobody asked for stays below it
    quiet_from: float = 0.0  # hours of the day; two equal ones are no quiet hours
    quiet_until: float = 0.0


LIMITS = {
    "response_rate": (0.0, 1.0),
    "temperature": (0.0, 1.5),
    "max_tokens": (10, 500),
    "top_p": (0.05, 1.0),
    "min_p": (0.0, 0.5),
    "repeat_penalty": (0.8, 2.0),
    "share_cap": (0.0, 1.0),
    "quiet_from": (0.0, 24.0),
    "quiet_until": (0.0, 24.0),
}


@dataclasses.dataclass(frozen=True)
class Heartbeat:
    """A sign of life; times are seconds since 1970."""

    pid: int
    started_at: float
    beat_at: float
    memory_mb: float
    model: str


@dataclasses.dataclass(frozen=True)
class Model:
    """A fine-tuned model; `metrics` is what script 4 measured, `data_hash` its training data's.

    `erased_people` counts those it learned from who were erased since: train it anew without them.
    """

    name: str
    path: Path
    base: str
    data_hash: str
    metrics: dict[str, Any]
    created_at: float
    erased_people: int = 0


def connect(path: Path) -> sqlite3.Connection:
    """Open (or make) the database at `path`, readable by its owner only.

    Deleted rows are overwritten with zeros. Raises `UserError` for a file that is no database of
    ours, damaged, or made by a newer release.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _make_sure_it_exists(path)
        connection = sqlite3.connect(path, timeout=10, isolation_level=None)
        connection.execute("PRAGMA secure_delete = ON")
        connection.execute("PRAGMA foreign_keys = ON")
        schema.migrate(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
    except (OSError, sqlite3.Error, ValueError) as error:
        raise UserError(
            f"Cannot open the database {path}: {error}. Check that the folder is writable; "
            "if the file is damaged, move it away and restore a backup."
        ) from None
    return connection


def _make_sure_it_exists(path: Path) -> None:
    """Make a file for its owner alone; one that is there is not opened.

    To close any descriptor of a file drops all POSIX locks that the process has on it, SQLite's
    included: the next process to leave would take itself for the last, and delete the log that
    our connections still write to (https://www.sqlite.org/howtocorrupt.html, section 2.2).
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All or nothing: commits at the end, rolls back on any exception."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def find_damage(connection: sqlite3.Connection) -> str:
    """What is wrong with the file, in SQLite's words; empty when it is whole."""
    try:
        found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found[:200]


def settings(connection: sqlite3.Connection) -> Settings:
    """The settings in force; a value that is missing or nonsense counts as its default."""
    rows = dict(connection.execute("SELECT name, value FROM settings"))
    known = {}
    for field in dataclasses.fields(Settings):
        with contextlib.suppress(KeyError, ValueError):
            known[field.name] = check_setting(field.name, rows[field.name])
    return Settings(**known)  # type: ignore[arg-type]


def check_setting(name: str, text: str) -> float | int:
    """The value of one setting. Raises `ValueError`, a sentence, unless it is within `LIMITS`."""
    low, high = LIMITS[name]
    kind = int if name == "max_tokens" else float
    try:
        value = kind(text)
    except (ValueError, OverflowError):
        value = None
    if value is None or not low <= value <= high:
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, not {text!r}")
    return value


def change_setting(connection: sqlite3.Connection, name: str, value: float | str) -> None:
    """Keep one setting. Raises `ValueError` as `check_setting` does."""
    remember(connection, name, str(check_setting(name, str(value))))


def remember(connection: sqlite3.Connection, name: str, value: str) -> None:
    """Keep a small fact (such as the hash of the synced commands) among the settings."""
    connection.execute(
        "INSERT INTO settings VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
        (name, value),
    )


def recall(connection: sqlite3.Connection, name: str) -> str | None:
    """A fact kept by `remember`."""
    row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
    return row and str(row[0])


def beat(connection: sqlite3.Connection, process: str, heartbeat: Heartbeat) -> None:
    """Write a process's sign of life."""
    connection.execute(
        "INSERT OR REPLACE INTO heartbeats VALUES (?, ?, ?, ?, ?, ?)",
        (process, *dataclasses.astuple(heartbeat)),
    )


def heartbeat(connection: sqlite3.Connection, process: str) -> Heartbeat | None:
    """The last sign of life of a process."""
    row = connection.execute(
        "SELECT pid, started_at, beat_at, memory_mb, model FROM heartbeats WHERE process = ?",
        (process,),
    ).fetchone()
    return row and Heartbeat(*row)


def confirm_permission(connection: sqlite3.Connection, statement: str) -> None:
    """Store, with the date, that the operator may use this server's messages."""
    connection.execute("INSERT INTO confirmations VALUES (?, ?)", (time.time(), statement))


def has_permission(connection: sqlite3.Connection) -> bool:
    """Whether the operator has confirmed that they may use this server's messages."""
    return connection.execute("SELECT 1 FROM confirmations").fetchone() is not None


def exclude_user(
    connection: sqlite3.Connection,
    user_id: int,
    reason: str = "",
    excluded_by: int | None = None,
) -> None:
    """Put a person on the list whose messages are never stored or learned from."""
    connection.execute(
        "INSERT OR REPLACE INTO excluded_users VALUES (?, ?, ?, ?)",
        (user_id, time.time(), excluded_by, reason),
    )


def excluded_users(connection: sqlite3.Connection) -> frozenset[int]:
    """The ids of everybody who is excluded."""
    return frozenset(row[0] for row in connection.execute("SELECT user_id FROM excluded_users"))


def add_model(connection: sqlite3.Connection, model: Model) -> None:
    """Register a model, or replace what is known of one by the same name."""
    connection.execute(
        "INSERT INTO models VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " path = excluded.path, base = excluded.base, data_hash = excluded.data_hash,"
        " metrics = excluded.metrics, created_at = excluded.created_at,"
        " erased_people = excluded.erased_people",
        (
            model.name,
            str(model.path),
            model.base,
            model.data_hash,
            json.dumps(model.metrics),
            model.created_at,
            model.erased_people,
        ),
    )


def models(connection: sqlite3.Connection) -> list[Model]:
    """Every registered model, newest first."""
    rows = connection.execute(
        "SELECT name, path, base, data_hash, metrics, created_at, erased_people FROM models"
        " ORDER BY created_at DESC"
    )
    return [Model(n, Path(p), b, h, json.loads(m), *rest) for n, p, b, h, m, *rest in rows]


def deploy(connection: sqlite3.Connection, name: str) -> None:
    """Make a registered model the bot's, from its next start."""
    use_base(connection, None)
    connection.execute(
        "INSERT INTO deployments (model, deployed_at) VALUES (?, ?)",
        (name, time.time()),
    )


def rollback(connection: sqlite3.Connection) -> str | None:
    """Take the newest deployment back; the name in force then, None for the base model."""
    use_base(connection, None)
    connection.execute(
        "DELETE FROM deployments WHERE deployment_id = (SELECT max(deployment_id) FROM deployments)"
    )
    model = deployed_model(connection)
    return model.name if model else None


def deployed_model(connection: sqlite3.Connection) -> Model | None:
    """The fine-tuned model in force, None while the bot runs a base model."""
    if recall(connection, _BASE):
        return None
    row = connection.execute(
        "SELECT model FROM deployments ORDER BY deployment_id DESC LIMIT 1"
    ).fetchone()
    return next((model for model in models(connection) if row and model.name == row[0]), None)


def use_base(connection: sqlite3.Connection, path: Path | None) -> None:
    """Have the bot run a base model from its next start, until one is deployed again."""
    remember(connection, _BASE, str(path or ""))


def chosen_path(connection: sqlite3.Connection) -> Path | None:
    """The file of the base model that was chosen, or of the deployed one; None for neither."""
    if base := recall(connection, _BASE):
        return Path(base)
    deployed = deployed_model(connection)
    return deployed.path if deployed else None


_BASE = "base_in_use"
