"""What admins ask the launcher to run, and how far it is: the bot asks, the launcher answers.

The bot alone writes `requests`, the launcher alone writes `request_progress`.
"""

import dataclasses
import sqlite3
import time

FETCH, TRAIN, DEPLOY = "fetch", "train", "deploy"
RUNNING, DONE, FAILED = "running", "done", "failed"


@dataclasses.dataclass(frozen=True)
class Request:
    """Something to run, and the bot's message that tells how it goes.

    `argument` is the name of the model to deploy.
    """

    id: int
    step: str
    argument: str
    channel_id: int
    answer_id: int
    asked_at: float


@dataclasses.dataclass(frozen=True)
class Answer:
    """How a request goes: its state, a sentence, and when that was written (seconds)."""

    state: str
    text: str
    changed_at: float


def ask(
    connection: sqlite3.Connection, step: str, channel_id: int, answer_id: int, argument: str = ""
) -> Request | None:
    """Ask the launcher to run something; None while an earlier request is open."""
    asked_at = time.time()
    done = connection.execute(
        "INSERT INTO requests (step, argument, channel_id, answer_id, asked_at)"
        f" SELECT ?, ?, ?, ?, ? WHERE NOT EXISTS ({_OPEN})",
        (step, argument, channel_id, answer_id, asked_at),
    )
    if not done.rowcount or done.lastrowid is None:
        return None
    return Request(done.lastrowid, step, argument, channel_id, answer_id, asked_at)


def withdraw(connection: sqlite3.Connection, request_id: int) -> None:
    """Take a request back to which nobody answers."""
    connection.execute("DELETE FROM requests WHERE request_id = ?", (request_id,))


def mark_told(connection: sqlite3.Connection, request_id: int) -> None:
    """Note that who asked was told how it ended."""
    connection.execute("UPDATE requests SET is_told = 1 WHERE request_id = ?", (request_id,))


def untold(connection: sqlite3.Connection) -> list[Request]:
    """The requests of which nobody was told how they ended."""
    return [Request(*row) for row in connection.execute(f"{_ALL} WHERE NOT is_told")]


def open_request(connection: sqlite3.Connection) -> Request | None:
    """The request that is neither done nor failed; there is one at most."""
    row = connection.execute(_OPEN).fetchone()
    return row and Request(*row)


def tell(connection: sqlite3.Connection, request_id: int, state: str, text: str) -> None:
    """Say how a request goes."""
    connection.execute(
        "INSERT OR REPLACE INTO request_progress VALUES (?, ?, ?, ?)",
        (request_id, state, text, time.time()),
    )


def answer(connection: sqlite3.Connection, request_id: int) -> Answer | None:
    """How a request goes; None while the launcher has not seen it."""
    row = connection.execute(
        "SELECT state, text, changed_at FROM request_progress WHERE request_id = ?", (request_id,)
    ).fetchone()
    return row and Answer(*row)


_ALL = "SELECT request_id, step, argument, channel_id, answer_id, asked_at FROM requests r"
_OPEN = (
    f"{_ALL} WHERE NOT EXISTS (SELECT 1 FROM request_progress p"
    " WHERE p.request_id = r.request_id AND p.state != 'running') ORDER BY request_id LIMIT 1"
)
