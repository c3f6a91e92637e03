"""From stored messages to training files: what is left out, who answers whom, what is held out."""

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from data import conversations, preprocessor
from data.preprocessor import reason_to_leave_out
from storage import database, messages
from storage.messages import Message

NOW = 1_700_000_000


def message(seconds: float, author: int, text: str, **more: Any) -> Message:
    snowflake = messages.snowflake_at(NOW + seconds)
    fields = {"channel_id": 1, "author_name": f"user{author}", **more}
    return Message(id=snowflake, author_id=author, content=text, **fields)


def fill(connection: sqlite3.Connection, count: int = 400) -> None:
    chat = [message(i * 60 + (i // 40) * 4000, i % 7, f"line {i}") for i in range(count)]
    messages.save(connection, chat)


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


@pytest.mark.parametrize(
    "text", ["k", "lol", "GGGGGG", "😂", "WAT!!!", "teh", "see https://a.b ok"]
)
def test_everything_a_member_wrote_is_kept(text: str) -> None:
    assert reason_to_leave_out(message(0, 1, text), frozenset()) is None


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (message(0, 1, "hi", author_kind="bot"), "bot"),
        (message(0, 1, "hi", author_kind="webhook"), "webhook"),
        (message(0, 1, "hi", author_kind="self"), "self"),
        (message(0, 1, "joined", kind=7), "notice"),
        (message(0, 5, "hi"), "excluded person"),
        (message(0, 1, " https://a.b/c  <https://d.e> "), "only links"),
        (message(0, 1, " \n"), "no text"),
    ],
)
def test_what_is_left_out_and_why(left_out: Message, reason: str) -> None:
    assert reason_to_leave_out(left_out, frozenset({5})) == reason


def test_silence_and_another_channel_end_a_conversation() -> None:
    first, second = message(0, 1, "a"), message(60, 2, "b")
    late, elsewhere = message(9000, 1, "c"), message(9001, 1, "d", channel_id=2)
    talks = list(conversations.split([first, second, late, elsewhere]))
    assert talks == [[first, second], [late], [elsewhere]]


def test_a_reply_after_a_silence_goes_on() -> None:
    first = message(0, 1, "a")
    answer = message(9000, 2, "b", reply_to=first.id)
    assert list(conversations.split([first, answer])) == [[first, answer]]


def test_the_message_replied_to_is_always_in_the_context() -> None:
    talk = [message(i, i % 3, str(i)) for i in range(12)]
    talk.append(message(13, 9, "answer", reply_to=talk[0].id))
    assert [m.content for m in conversations.context(talk, 12, 3)] == ["0", "10", "11"]


def test_the_files_are_complete_and_agree(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    summary = preprocessor.prepare(connection, tmp_path / "training")
    train, valid = (rows(tmp_path / "training" / f"{n}.jsonl") for n in ("train", "valid"))
    (manifest,) = rows(tmp_path / "training" / "manifest.json")
    assert (len(train), len(valid)) == (summary.train, summary.valid)
    assert (manifest["train"], manifest["valid"]) == (summary.train, summary.valid)
    used = {i for row in train + valid for i in (row["message_id"], *row["context_ids"])}
    assert len(manifest["message_hashes"]) == len(used)


def test_held_out_is_the_future(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    preprocessor.prepare(connection, tmp_path)
    train, valid = rows(tmp_path / "train.jsonl"), rows(tmp_path / "valid.jsonl")
    learned = {i for row in train for i in (row["message_id"], *row["context_ids"])}
    held_out = {i for row in valid for i in (row["message_id"], *row["context_ids"])}
    assert max(learned) < min(held_out)


def test_every_reply_answers_somebody_else(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    preprocessor.prepare(connection, tmp_path)
    for row in rows(tmp_path / "train.jsonl"):
        assert 1 <= len(row["turns"]) <= 9
        assert row["turns"][-1]["name"] is not None


def test_nobody_dominates(connection: sqlite3.Connection, tmp_path: Path) -> None:
    chat = [message(i * 10, 1 if i % 2 else 10 + i % 50, f"line {i}") for i in range(2000)]
    messages.save(connection, chat)
    preprocessor.prepare(connection, tmp_path)
    authors = [row["author_id"] for row in rows(tmp_path / "train.jsonl")]
    assert authors.count(1) <= 0.15 * 1800 + 1
    assert len(set(authors)) > 20


def test_two_runs_write_the_same_bytes(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    for name in ("a", "b"):
        preprocessor.prepare(connection, tmp_path / name)
    for file in ("train.jsonl", "valid.jsonl", "preferences.jsonl"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_reactions_make_preferences(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    loved = messages.recent(connection, 1, 300)[0]
    messages.add_reaction(connection, loved.id, "😂", 1)
    preprocessor.prepare(connection, tmp_path)
    (row,) = rows(tmp_path / "preferences.jsonl")
    assert (row["chosen"], row["rejected"]) == (loved.content, None)


def test_an_excluded_person_is_in_no_file(connection: sqlite3.Connection, tmp_path: Path) -> None:
    fill(connection)
    messages.save(connection, [message(65, 77, "canary-5521")])
    database.exclude_user(connection, 77)
    preprocessor.prepare(connection, tmp_path / "t")
    assert all(b"canary-5521" not in p.read_bytes() for p in (tmp_path / "t").iterdir())


@pytest.mark.parametrize("count", [0, 1, 20])
def test_too_little_history_is_a_sentence_and_keeps_the_old_files(
    connection: sqlite3.Connection, tmp_path: Path, count: int
) -> None:
    (tmp_path / "train.jsonl").write_text("kept")
    fill(connection, count)
    with pytest.raises(UserError, match="Fetch more history"):
        preprocessor.prepare(connection, tmp_path)
    assert (tmp_path / "train.jsonl").read_text() == "kept"
