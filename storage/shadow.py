"""Shadow mode: whether the bot only listens, and what it would have said while it did."""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable, Sequence

from storage import database
from storage.messages import snowflake_at

SETTING = "shadow"
ON, OFF = "yes", "no"
KEPT_SECONDS = 30 * 86_400.0
NOT_ADDRESSED = ("", "chance")  # reasons of decisions for which the dice were thrown


@dataclasses.dataclass(frozen=True)
class Decision:
    """What the bot decided on a message, and would have said to it: `texts`, or nothing.

    `reason` is "" where it would have been silent, `model` where no model was asked. `probability`
    is of the moment when the message came; `seconds` is how long the texts took.
    """

    trigger_id: int
    channel_id: int
    reason: str
    probability: float
    texts: tuple[str, ...] = ()
    model: str = ""
    seconds: float = 0.0

    @property
    def is_addressed(self) -> bool:
        """Whether it had to answer, whatever the chance."""
        return self.reason not in NOT_ADDRESSED


def is_on(connection: sqlite3.Connection) -> bool:
    """Whether the bot only listens; with a stored value that makes no sense it does."""
    return (database.recall(connection, SETTING) or OFF) != OFF


def switch(connection: sqlite3.Connection, is_on: bool) -> None:
    """Have the bot only listen from the next message on, or speak again."""
    database.remember(connection, SETTING, ON if is_on else OFF)


def holds(connection: sqlite3.Connection, message_id: int) -> bool:
    """Whether nothing may be said to a message: the bot only listens, or did when it came."""
    heard = "SELECT 1 FROM shadow WHERE trigger_id = ?"
    return is_on(connection) or connection.execute(heard, (message_id,)).fetchone() is not None


def hear(connection: sqlite3.Connection, decision: Decision) -> None:
    """Keep what was decided on a message, and drop what is older than `KEPT_SECONDS`."""
    forget_before(connection, time.time() - KEPT_SECONDS)
    keep(connection, decision)


def keep(connection: sqlite3.Connection, decision: Decision) -> None:
    """Keep what would have been said; the probability stays that of when the message came.

    Nothing is kept of a message that was deleted meanwhile, or whose author was erased.
    """
    *facts, texts, model, seconds = dataclasses.astuple(decision)
    connection.execute(
        "INSERT INTO shadow SELECT message_id, ?, ?, ?, ?, ?, ?, ? FROM messages"
        " WHERE message_id = ? AND deleted_at IS NULL"
        " ON CONFLICT DO UPDATE SET reason = excluded.reason, texts = excluded.texts,"
        " model = excluded.model, seconds = excluded.seconds, written_at = excluded.written_at",
        (*facts[1:], json.dumps(texts), model, seconds, time.time(), facts[0]),
    )


def decisions(connection: sqlite3.Connection) -> list[Decision]:
    """Every decision that is kept, oldest first; texts that cannot be read are none."""
    rows = connection.execute(
        "SELECT trigger_id, channel_id, reason, probability, texts, model, seconds FROM shadow"
        " ORDER BY trigger_id"
    )
    return [
        Decision(trigger_id, channel_id, reason, probability, _texts(texts), model, seconds)
        for trigger_id, channel_id, reason, probability, texts, model, seconds in rows
    ]


def spoke_at(connection: sqlite3.Connection, channel_id: int, since: float) -> list[float]:
    """When the bot would have spoken in a channel after a moment, in its model's words."""
    rows = connection.execute(
        "SELECT written_at FROM shadow WHERE channel_id = ? AND trigger_id >= ?"
        " AND model != '' AND texts != '[]' ORDER BY written_at",
        (channel_id, snowflake_at(since)),
    )
    return [row[0] for row in rows]


def count(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many messages were heard, and to how many the bot would have said something."""
    row = connection.execute("SELECT count(*), coalesce(sum(texts != '[]'), 0) FROM shadow")
    heard, spoken = row.fetchone()
    return heard, spoken


def forget(connection: sqlite3.Connection, trigger_ids: Iterable[int]) -> None:
    """Forget what was decided on these messages."""
    ids = [(trigger_id,) for trigger_id in trigger_ids]
    connection.executemany("DELETE FROM shadow WHERE trigger_id = ?", ids)


def forget_before(connection: sqlite3.Connection, moment: float) -> None:
    """Forget what was decided on messages older than a moment (seconds since 1970)."""
    connection.execute("DELETE FROM shadow WHERE trigger_id < ?", (snowflake_at(moment),))


def _texts(raw: str) -> tuple[str, ...]:
    try:
        texts: Sequence[object] = json.loads(raw)
        is_burst = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    except (ValueError, RecursionError):
        return ()
    return tuple(map(str, texts)) if is_burst else ()
