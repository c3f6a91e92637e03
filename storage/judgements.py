"""What is thought of the bot's replies: the last exchanges, a thumbs-down for any, and what of them
was deleted on Discord.
"""

import dataclasses
import itertools
import sqlite3
import time
from collections.abc import Iterable, Sequence

BAD, DELETED = "bad", "deleted"
BURST_SECONDS = 15
_BURST = BURST_SECONDS * 1000 << 22  # in ids


@dataclasses.dataclass(frozen=True)
class Exchange:
    """A reply of the bot's and what it answered.

    `said_by` and `said` are None where that message is not stored any more. `sent_at` and
    `seconds`, how long the reply took, are in seconds.
    """

    reply_id: int
    sent_at: float
    seconds: float
    model: str
    channel: str
    said_by: str | None
    said: str | None
    reply: str
    is_rejected: bool


@dataclasses.dataclass(frozen=True)
class Received:
    """A reply of the bot's that somebody judged or reacted to, and what it answered.

    `texts` are its messages by id, with what was kept of those deleted on Discord. `verdict` is
    `BAD` where the owner found it bad, `DELETED` where somebody deleted it soon, else None.
    """

    reply_id: int
    trigger_id: int
    channel_id: int
    own_id: int
    texts: dict[int, str]
    verdict: str | None

    @property
    def reply(self) -> str:
        """Its text, a line for each message."""
        return "\n".join(self.texts.values())


def exchanges(connection: sqlite3.Connection, limit: int = 20) -> list[Exchange]:
    """The newest replies that were not deleted, the newest first."""
    rows = connection.execute(
        "SELECT r.message_id, r.sent_at, r.seconds, r.model, coalesce(c.name, ''),"
        " CASE WHEN said.message_id IS NULL THEN NULL ELSE coalesce(u.name, '') END, said.content,"
        " own.content, j.verdict IS NOT NULL"
        " FROM replies r JOIN messages own ON own.message_id = r.message_id"
        " AND own.deleted_at IS NULL"
        " LEFT JOIN messages said ON said.message_id = r.trigger_id AND said.deleted_at IS NULL"
        " LEFT JOIN users u ON u.user_id = said.author_id"
        " LEFT JOIN channels c ON c.channel_id = r.channel_id"
        " LEFT JOIN judgements j ON j.reply_id = r.message_id AND j.verdict = ?"
        " ORDER BY r.sent_at DESC, r.message_id DESC LIMIT ?",
        (BAD, limit),
    )
    return [Exchange(*row) for row in rows]


def reject(connection: sqlite3.Connection, reply_id: int) -> None:
    """Keep that a reply is bad."""
    connection.execute(
        "INSERT OR REPLACE INTO judgements VALUES (?, ?, ?)", (reply_id, BAD, time.time())
    )


def take_back(connection: sqlite3.Connection, reply_id: int) -> None:
    """Forget what was thought of a reply."""
    connection.execute("DELETE FROM judgements WHERE reply_id = ?", (reply_id,))


def rejected_replies(connection: sqlite3.Connection) -> list[Received]:
    """Every reply that was found bad or deleted soon, once, oldest first."""
    return [one for one in received(connection) if one.verdict]


def received(connection: sqlite3.Connection) -> list[Received]:
    """Every reply that was judged or reacted to, while what it answered is stored, oldest first.

    What the bot wrote within `BURST_SECONDS` of a reply, before the next, is part of it.
    """
    rows = connection.execute(
        "WITH spans AS (SELECT message_id AS first, trigger_id, channel_id,"
        "  lead(message_id, 1, :end) OVER (PARTITION BY channel_id ORDER BY message_id) AS next"
        "  FROM replies)"
        " SELECT first, spans.trigger_id, own.channel_id, own.author_id, own.message_id,"
        " coalesce(kept.content, own.content), j.reply_id IS NOT NULL, kept.message_id IS NOT NULL,"
        " EXISTS (SELECT 1 FROM reactions r WHERE r.message_id = own.message_id)"
        " FROM spans JOIN messages said ON said.message_id = spans.trigger_id"
        " AND said.deleted_at IS NULL AND said.author_kind = 'member'"
        " JOIN messages own ON own.channel_id = spans.channel_id AND own.author_kind = 'self'"
        " AND own.message_id BETWEEN first AND min(next - 1, first + :burst)"
        " LEFT JOIN explanations e ON e.reply_id = first"
        " LEFT JOIN deleted_replies kept ON kept.message_id = own.message_id"
        " LEFT JOIN judgements j ON j.reply_id = own.message_id AND j.verdict = :bad"
        " WHERE coalesce(e.sampling, '') != '{}'"  # our own sentences are no model's
        " ORDER BY first, own.message_id",
        {"end": 2**63 - 1, "burst": _BURST, "bad": BAD},
    )
    found = []
    for (first, trigger, channel, own), burst in itertools.groupby(rows, lambda row: row[:4]):
        texts, verdict, is_reacted_to = _of_burst([row[4:] for row in burst])
        if texts and (verdict or is_reacted_to):
            found.append(Received(first, trigger, channel, own, texts, verdict))
    return found


def keep_deleted(connection: sqlite3.Connection, ids: Iterable[int], since: int) -> None:
    """Keep the text of those of these messages, about to be deleted, that are replies of ours.

    Only those with an id from `since` on, and those found bad; what answers one of the messages
    goes, as nothing can be learned from it.
    """
    doomed = [{"id": number, "since": since, "burst": _BURST, "bad": BAD} for number in ids]
    connection.executemany(
        "INSERT OR IGNORE INTO deleted_replies"
        " SELECT own.message_id, r.trigger_id, own.content FROM messages own"
        " JOIN replies r ON r.message_id = (SELECT max(message_id) FROM replies"
        "  WHERE message_id BETWEEN own.message_id - :burst AND own.message_id"
        "  AND channel_id = own.channel_id)"
        " WHERE own.message_id = :id AND own.author_kind = 'self' AND own.deleted_at IS NULL"
        " AND (own.message_id >= :since OR EXISTS (SELECT 1 FROM judgements"
        "  WHERE reply_id IN (own.message_id, r.message_id) AND verdict = :bad))",
        doomed,
    )
    connection.executemany("DELETE FROM deleted_replies WHERE trigger_id = :id", doomed)


def kept(connection: sqlite3.Connection) -> dict[int, str]:
    """What was kept of replies that were deleted, by message id."""
    return dict(connection.execute("SELECT message_id, content FROM deleted_replies"))


def drop_kept(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Keep nothing more of these deleted replies."""
    connection.executemany(
        "DELETE FROM deleted_replies WHERE message_id = ?", [(number,) for number in ids]
    )


def _of_burst(
    burst: Sequence[tuple[int, str, int, int, int]],
) -> tuple[dict[int, str], str | None, bool]:
    """What the messages of a reply say, what was thought of them, and whether anybody reacted."""
    texts = {number: text for number, text, *_ in burst if text.strip()}
    is_bad, is_deleted, is_reacted_to = (any(row[column] for row in burst) for column in (2, 3, 4))
    return texts, BAD if is_bad else DELETED if is_deleted else None, is_reacted_to
