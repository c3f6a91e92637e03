"""What SQLite keeps about people, and what is left of somebody who was erased."""

import sqlite3
from pathlib import Path

import pytest

from storage import (
    channels,
    database,
    embeddings,
    explanations,
    judgements,
    messages,
    people,
    shadow,
)
from storage.channels import Channel
from storage.embeddings import Embedder
from storage.messages import Message, Reply
from storage.people import Other
from storage.shadow import Decision

KIM, SAM, BOT = 101, 102, 103
FIRST = messages.snowflake_at(1_700_000_000)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    channels.save(connection, Channel(1, "general", "text"))
    channels.save(connection, Channel(FIRST, "kim's own thread title", "thread", 1))
    with database.transaction(connection):
        messages.save(
            connection,
            [
                Message(
                    FIRST, 1, KIM, "kim", "mine", reactions={"👍": 2}, attachments=(("a.png", "x"),)
                ),
                Message(FIRST + 1, 1, SAM, "sam", "an answer", reply_to=FIRST, mentions=(KIM,)),
                Message(FIRST + 2, 1, BOT, "bot", "beep", "self", reply_to=FIRST),
                Message(FIRST + 3, 1, SAM, "sam", "alone", reactions={"👀": 1}),
            ],
        )
        messages.record_reply(connection, Reply(FIRST + 2, FIRST, 1, "model", 1.0))
        why = explanations.Why("chance", 0.05, 3, 1, {})
        for reply_id in (FIRST + 2, FIRST + 9):
            judgements.reject(connection, reply_id)
            explanations.record(connection, reply_id, why)
        embeddings.number(connection, Embedder("e", "", 1))
        shadow.keep(connection, Decision(FIRST, 1, "chance", 0.05, ("boop",), "tiny", 1.0))
        for number in (FIRST, FIRST + 3):
            connection.execute("INSERT INTO embeddings VALUES (?, 1, x'00')", (number,))
    people.decide(connection, KIM, True)
    return connection


def test_what_is_stored_of_a_person_is_counted(connection: sqlite3.Connection) -> None:
    assert people.count_stored(connection, KIM) == {
        "messages": 1,
        "attachments' names": 1,
        "reactions to them": 2,
        "replies of the bot's to you": 1,
        "unsent replies to you": 1,
        "names": 1,
    }
    assert set(people.count_stored(connection, 999).values()) == {0}


def texts(connection: sqlite3.Connection) -> list[tuple[str]]:
    return connection.execute("SELECT content FROM messages").fetchall()


def rows(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute(f"SELECT * FROM {table}").fetchall()


def test_what_a_person_wrote_is_known_by_id(connection: sqlite3.Connection) -> None:
    written = people.written(connection, KIM)
    assert (written.texts, written.files, written.name) == ({FIRST: "mine"}, ("a.png",), "kim")
    assert people.written(connection, 999) == people.Written({}, (), "")


def test_others_are_all_the_rest_and_the_bot(connection: sqlite3.Connection) -> None:
    assert [other.content for other in people.by_others(connection, KIM)] == [
        "an answer",
        "beep",
        "alone",
    ]


def test_erasing_takes_every_row_of_the_person_and_no_other(
    connection: sqlite3.Connection,
) -> None:
    removed = people.erase(connection, KIM)
    assert removed == {
        "reactions": 1,
        "vectors": 1,
        "judgements of replies to them": 1,
        "explanations of replies to them": 1,
        "kept replies to them": 0,
        "unsent replies to them": 1,
        "replies to them": 1,
        "answers to them": 2,
        "thread names": 1,
        "messages": 1,
        "names": 1,
        "consents": 1,
    }
    assert connection.execute("SELECT reply_id FROM explanations").fetchall() == [(FIRST + 9,)]
    kept = {message.id: message for message in messages.history(connection)}
    assert set(kept) == {FIRST + 1, FIRST + 2, FIRST + 3}
    assert all(message.reply_to is None for message in kept.values())
    assert kept[FIRST + 3].reactions == {"👀": 1}
    assert {channel.name for channel in channels.known(connection)} == {"general", ""}
    assert len(rows(connection, "embeddings")) == 1
    assert rows(connection, "replies") == rows(connection, "consents") == []
    assert [row[0] for row in rows(connection, "judgements")] == [FIRST + 9]
    assert set(people.erase(connection, KIM).values()) == {0}


def test_rewriting_keeps_the_edition_and_drops_the_vector(connection: sqlite3.Connection) -> None:
    people.rewrite(connection, [Other(FIRST + 3, "another text", (7,))])
    (changed,) = messages.by_ids(connection, [FIRST + 3])
    assert (changed.content, changed.mentions, changed.edited_at) == ("another text", (7,), None)
    assert [row[0] for row in rows(connection, "embeddings")] == [FIRST]


def test_exclusions_are_listed_and_taken_back(connection: sqlite3.Connection) -> None:
    database.exclude_user(connection, KIM, "asked for it", SAM)
    (one,) = people.exclusions(connection)
    assert (one.user_id, one.excluded_by, one.reason) == (KIM, SAM, "asked for it")
    assert people.include(connection, KIM)
    assert not people.include(connection, KIM)
    assert people.exclusions(connection) == []


def test_only_the_author_of_our_own_messages_is_this_bot(connection: sqlite3.Connection) -> None:
    assert people.is_this_bot(connection, BOT)
    assert not people.is_this_bot(connection, KIM)


def test_the_log_is_empty_afterwards_unless_somebody_reads(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    path = tmp_path / "bot.sqlite3"
    reader = database.connect(path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM messages").fetchone() == (4,)
    people.erase(connection, KIM)
    connection.execute("PRAGMA busy_timeout = 10")
    assert not people.truncate_log(connection)
    reader.close()
    assert people.truncate_log(connection)
    assert (tmp_path / "bot.sqlite3-wal").stat().st_size == 0
    assert b"mine" not in path.read_bytes()


def test_every_text_and_number_of_any_database_is_read(tmp_path: Path) -> None:
    path = tmp_path / "any name with spaces & more.db"
    other = sqlite3.connect(path)
    other.execute('CREATE TABLE "a ""table""" ("a column" TEXT, number INTEGER, vector BLOB, any)')
    other.execute('INSERT INTO "a ""table""" VALUES (?, 77, x\'00\', 5)', ("long " * 3000,))
    other.execute("CREATE TABLE bare (vector BLOB)")
    other.commit()
    other.close()
    found = "\n".join(people.values(path))
    assert "long " * 3000 in found
    assert "77" in found.split()
    assert "5" in found.split()


def test_what_is_no_database_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(b"SQLite format 3\0" + b"garbage" * 1000)
    with pytest.raises(sqlite3.Error):
        list(people.values(path))
