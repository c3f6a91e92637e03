"""Whether the bot cannot recall older messages: kept where others can see it, without its words."""

import sqlite3

from storage import database

_NAME = "recall_trouble"


def note(connection: sqlite3.Connection, kind: str, since: float) -> None:
    """Keep with what kind of error it fails, since when (seconds since 1970); "": it works."""
    database.remember(connection, _NAME, f"{since:.0f} {kind}" if kind else "")


def find(connection: sqlite3.Connection) -> tuple[str, float] | None:
    """What fails and since when; None while recall works."""
    since, _, kind = (database.recall(connection, _NAME) or "").partition(" ")
    return (kind, float(since)) if kind and since.isdecimal() else None
