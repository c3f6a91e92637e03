"""Which of the ways to decide when to speak unasked is in force: a row among the settings.

The learned one lies in `data/speaking_policy.py`, which takes longer to import than a window can
wait.
"""

import sqlite3

from bot.config import UserError
from storage import database

LEARNED, RATE = POLICIES = ("learned", "rate")
_SETTING = "participation_policy"


def chosen(connection: sqlite3.Connection) -> str:
    """`learned`: as members do, once that was learned; `rate`: at an even rate."""
    return RATE if database.recall(connection, _SETTING) == RATE else LEARNED


def choose(connection: sqlite3.Connection, name: str) -> None:
    """Keep which policy decides. Raises `UserError` for one that does not exist."""
    if name not in POLICIES:
        raise UserError(f"There is no policy {name!r}; choose one of: {', '.join(POLICIES)}.")
    database.remember(connection, _SETTING, name)
