"""What is kept about people as such: who agreed to be learned from."""

import sqlite3
import time


def decide(connection: sqlite3.Connection, user_id: int, is_given: bool) -> None:
    """Keep a person's yes or no, which replaces what they said before."""
    connection.execute(
        "INSERT OR REPLACE INTO consents VALUES (?, ?, ?)", (user_id, is_given, time.time())
    )


def consents(connection: sqlite3.Connection) -> dict[int, bool]:
    """Everybody's decision, by id; whoever was never asked is missing."""
    rows = connection.execute("SELECT user_id, is_given FROM consents")
    return {user_id: bool(is_given) for user_id, is_given in rows}
