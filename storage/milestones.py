"""Round numbers of replies, each told once in the life of a bot."""

import sqlite3

from storage import database

MILESTONES = (100, 500, 1000)
_NAME = "told_milestone"


def take(connection: sqlite3.Connection) -> int | None:
    """The highest milestone that was reached and never taken before, else None."""
    told = database.recall(connection, _NAME)
    last = next((each for each in MILESTONES if str(each) == told), 0)
    newer = [each for each in MILESTONES if each > last]
    if not newer:
        return None  # all are told: nothing needs to be counted any more
    count = connection.execute("SELECT count(*) FROM replies").fetchone()[0]
    reached = max((each for each in newer if each <= count), default=None)
    if reached is not None:
        database.remember(connection, _NAME, str(reached))
    return reached
