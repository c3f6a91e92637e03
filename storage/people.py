"""What is kept about people as such: who agreed to be learned from, who is excluded, who is erased.

`storage/database.py` puts people on the exclusion list, which every fetch asks.
"""

import dataclasses
import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Exclusion:
    """Somebody who is excluded, since when (seconds since 1970), by whom and why."""

    user_id: int
    excluded_at: float
    excluded_by: int | None
    reason: str


@dataclasses.dataclass(frozen=True)
class Written:
    """What is stored of a person's writing."""

    texts: dict[int, str]  # by message id
    files: tuple[str, ...]  # names of attachments
    name: str


@dataclasses.dataclass(frozen=True)
class Other:
    """What somebody else wrote, and whom it mentions."""

    message_id: int
    content: str
    mentions: tuple[int, ...]


def decide(connection: sqlite3.Connection, user_id: int, is_given: bool) -> None:
    """Keep a person's yes or no, which replaces what they said before."""
    connection.execute(
        "INSERT OR REPLACE INTO consents VALUES (?, ?, ?)", (user_id, is_given, time.time())
    )


def consents(connection: sqlite3.Connection) -> dict[int, bool]:
    """Everybody's decision, by id; whoever was never asked is missing."""
    rows = connection.execute("SELECT user_id, is_given FROM consents")
    return {user_id: bool(is_given) for user_id, is_given in rows}


def exclusions(connection: sqlite3.Connection) -> list[Exclusion]:
    """Everybody who is excluded, the latest first."""
    rows = connection.execute(
        "SELECT user_id, excluded_at, excluded_by, reason FROM excluded_users"
        " ORDER BY excluded_at DESC"
    )
    return [Exclusion(*row) for row in rows]


def include(connection: sqlite3.Connection, user_id: int) -> bool:
    """Take a person off the exclusion list; False if they were not on it."""
    done = connection.execute("DELETE FROM excluded_users WHERE user_id = ?", (user_id,))
    return done.rowcount > 0


def is_this_bot(connection: sqlite3.Connection, user_id: int) -> bool:
    """Whether messages of this author are the bot's own."""
    row = connection.execute(
        "SELECT 1 FROM messages WHERE author_id = ? AND author_kind = 'self'", (user_id,)
    ).fetchone()
    return row is not None


def authors(connection: sqlite3.Connection) -> list[int]:
    """Everybody of whom something is stored."""
    return [row[0] for row in connection.execute("SELECT DISTINCT author_id FROM messages")]


def written(connection: sqlite3.Connection, user_id: int) -> Written:
    """Everything stored that this person wrote."""
    rows = connection.execute(
        "SELECT message_id, content, attachments FROM messages WHERE author_id = ?", (user_id,)
    ).fetchall()
    name = connection.execute("SELECT name FROM users WHERE user_id = ?", (user_id,)).fetchone()
    return Written(
        texts={message_id: content for message_id, content, _ in rows},
        files=tuple(file for _, _, files in rows for file, _ in json.loads(files)),
        name=name[0] if name else "",
    )


def by_others(connection: sqlite3.Connection, user_id: int) -> Iterator[Other]:
    """Every message that has a text and is not this person's, the bot's own included."""
    rows = connection.execute(
        "SELECT message_id, content, mentions FROM messages WHERE author_id != ? AND content != ''",
        (user_id,),
    )
    for message_id, content, mentions in rows:
        yield Other(message_id, content, tuple(json.loads(mentions)))


def rewrite(connection: sqlite3.Connection, others: Iterable[Other]) -> None:
    """Replace text and mentions of messages; they count as the same edition of the message."""
    for other in others:
        connection.execute(
            "UPDATE messages SET content = ?, mentions = ? WHERE message_id = ?",
            (other.content, json.dumps(other.mentions), other.message_id),
        )
        connection.execute("DELETE FROM embeddings WHERE message_id = ?", (other.message_id,))
        connection.execute("INSERT OR IGNORE INTO trimmed VALUES (?)", (other.message_id,))


def trimmed(connection: sqlite3.Connection, ids: Iterable[int]) -> dict[int, str]:
    """The text that is left of those of these messages that were rewritten."""
    rows = connection.execute(
        "SELECT message_id, content FROM messages JOIN trimmed USING (message_id)"
        " WHERE message_id IN (SELECT value FROM json_each(?))",
        (json.dumps(list(ids)),),
    )
    return dict(rows)


def erase(connection: sqlite3.Connection, user_id: int) -> dict[str, int]:
    """Delete all rows of a person but the exclusion; how many, by what they were.

    A thread has the id of the message that it began with, and its name from that message.
    """
    own = "IN (SELECT message_id FROM messages WHERE author_id = ?)"
    steps = {
        "reactions": f"DELETE FROM reactions WHERE message_id {own}",
        "vectors": f"DELETE FROM embeddings WHERE message_id {own}",
        "judgements of replies to them": "DELETE FROM judgements WHERE reply_id IN"
        f" (SELECT message_id FROM replies WHERE trigger_id {own})",
        "explanations of replies to them": "DELETE FROM explanations WHERE reply_id IN"
        f" (SELECT message_id FROM replies WHERE trigger_id {own})",
        "kept replies to them": f"DELETE FROM deleted_replies WHERE trigger_id {own}",
        "unsent replies to them": f"DELETE FROM shadow WHERE trigger_id {own}",
        "replies to them": f"DELETE FROM replies WHERE trigger_id {own}",
        "answers to them": f"UPDATE messages SET reply_to = NULL WHERE reply_to {own}",
        "thread names": f"UPDATE channels SET name = '' WHERE channel_id {own}",
        "messages": "DELETE FROM messages WHERE author_id = ?",
        "names": "DELETE FROM users WHERE user_id = ?",
        "consents": "DELETE FROM consents WHERE user_id = ?",
    }
    return {what: connection.execute(sql, (user_id,)).rowcount for what, sql in steps.items()}


def count_stored(connection: sqlite3.Connection, user_id: int) -> dict[str, int]:
    """How much of a person is stored, by what it is."""
    own = "IN (SELECT message_id FROM messages WHERE author_id = ?)"
    kinds = {
        "messages": "SELECT count(*) FROM messages WHERE author_id = ?",
        "attachments' names": "SELECT coalesce(sum(json_array_length(attachments)), 0)"
        " FROM messages WHERE author_id = ?",
        "reactions to them": "SELECT coalesce(sum(count), 0) FROM reactions"
        f" WHERE message_id {own}",
        "replies of the bot's to you": f"SELECT count(*) FROM replies WHERE trigger_id {own}",
        "unsent replies to you": f"SELECT count(*) FROM shadow WHERE trigger_id {own}"
        " AND texts != '[]'",
        "names": "SELECT count(*) FROM users WHERE user_id = ?",
    }
    return {what: connection.execute(sql, (user_id,)).fetchone()[0] for what, sql in kinds.items()}


def count_naming(connection: sqlite3.Connection, name: str) -> int:
    """In how many messages a name is said."""
    row = connection.execute("SELECT count(*) FROM messages WHERE instr(content, ?)", (name,))
    return int(row.fetchone()[0])


def file_names(connection: sqlite3.Connection) -> set[str]:
    """The names of all attachments."""
    rows = connection.execute("SELECT attachments FROM messages WHERE attachments != '[]'")
    return {name for (files,) in rows for name, _ in json.loads(files)}


def mark_models(connection: sqlite3.Connection, erased: Mapping[str, int]) -> None:
    """Note of how many people, erased since, these models learned."""
    connection.executemany(
        "UPDATE models SET erased_people = ? WHERE name = ?",
        [(count, name) for name, count in erased.items()],
    )


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and empty it; False while somebody still reads it.

    Waits as long as the connection waits for locks.
    """
    return not connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]


def rebuild_file(connection: sqlite3.Connection) -> None:
    """Write the whole file anew, with nothing in it but the rows."""
    connection.execute("VACUUM")


def values(path: Path) -> Iterator[str]:
    """Every text and number in any SQLite file, row by row. Raises `sqlite3.Error`."""
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    try:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        for (table,) in tables.fetchall():
            columns = connection.execute(
                "SELECT name FROM pragma_table_info(?) WHERE type NOT IN ('BLOB', 'REAL')",
                (table,),
            )
            names = ", ".join(_quoted(name) for (name,) in columns) or "1"
            for row in connection.execute(f"SELECT {names} FROM {_quoted(table)}"):
                yield "\n".join(map(str, row))
    finally:
        connection.close()


def _quoted(name: str) -> str:
    return '"{}"'.format(name.replace('"', '""'))
