"""From stored messages to training files."""

import dataclasses
import hashlib
import json
import sqlite3
import stat
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from data import preprocessor
from data.preprocessor import Settings
from model import prompts
from storage import database, messages
from tests.data.history import chat, message, store

FILES = ("train.jsonl", "valid.jsonl", "preferences.jsonl", "valid_preferences.jsonl")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def shown(row: dict[str, Any]) -> set[int]:
    return {*row["reply_ids"], *row["context_ids"]}


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


def test_the_files_and_the_manifest_agree(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    summary = preprocessor.prepare(connection, tmp_path / "training")
    train, valid = (rows(tmp_path / "training" / f"{n}.jsonl") for n in ("train", "valid"))
    (manifest,) = rows(tmp_path / "training" / "manifest.json")
    assert (len(train), len(valid)) == (summary.train, summary.valid)
    assert (manifest["train"], manifest["valid"]) == (summary.train, summary.valid)
    assert manifest["settings"]["author_share"] == 0.15
    used = {i for row in train + valid for i in shown(row)}
    hashes = {hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in used}
    assert set(manifest["message_hashes"]) == hashes
    authors = {hashlib.sha256(str(row["author_id"]).encode()).hexdigest()[:16] for row in train}
    assert authors <= set(manifest["people_hashes"])


def test_files_are_the_owners_alone(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    preprocessor.prepare(connection, tmp_path / "training")
    found = sorted(path.name for path in (tmp_path / "training").iterdir())
    assert found == sorted((*FILES, "manifest.json"))
    for path in (tmp_path / "training").iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_held_out_is_the_future(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    preprocessor.prepare(connection, tmp_path)
    learned = {i for row in rows(tmp_path / "train.jsonl") for i in shown(row)}
    held_out = {i for row in rows(tmp_path / "valid.jsonl") for i in shown(row)}
    assert learned and held_out and max(learned) < min(held_out)


def test_every_reply_answers_somebody_else(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    preprocessor.prepare(connection, tmp_path)
    for row in rows(tmp_path / "train.jsonl"):
        assert 1 <= len(row["context_ids"]) <= 9
        assert row["turns"][-1]["name"] is not None
        assert row["message_id"] == row["reply_ids"][0]
        assert len(row["reply"]) == len(row["reply_ids"])


def test_what_is_replied_to_is_shown(connection: sqlite3.Connection, tmp_path: Path) -> None:
    said = chat(600)
    said = [
        dataclasses.replace(m, reply_to=said[i - 12].id) if i % 40 == 20 else m
        for i, m in enumerate(said)
    ]
    store(connection, said)
    preprocessor.prepare(connection, tmp_path)
    replies = {m.id: m.reply_to for m in said if m.reply_to}
    marked = [row for row in rows(tmp_path / "train.jsonl") if row["message_id"] in replies]
    assert len(marked) > 5
    for row in marked:
        assert replies[row["message_id"]] in row["context_ids"]


def test_a_burst_is_a_list_and_a_turn(connection: sqlite3.Connection, tmp_path: Path) -> None:
    said = []
    for i in range(200):
        author = i % 4 + 1
        said += [message(i * 90 + j, author, f"part {i} {j}") for j in range(1 + i % 3)]
    store(connection, said)
    preprocessor.prepare(connection, tmp_path)
    found = rows(tmp_path / "train.jsonl")
    assert {1, 2, 3} == {len(row["reply"]) for row in found}
    names = [[turn["name"] for turn in row["turns"]] for row in found]
    assert all(a != b for each in names for a, b in pairwise(each))
    assert any("\n" in turn["text"] for row in found for turn in row["turns"])


def test_when_it_was_said_is_kept(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    preprocessor.prepare(connection, tmp_path)
    first = min(rows(tmp_path / "train.jsonl"), key=lambda row: row["sent_at"])
    # 14 November 2023, a Tuesday, 22:13:20 UTC and a minute or so
    assert (first["weekday"], first["hour"]) == (1, 22)


def test_long_replies_are_whole_and_long_context_is_cut(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    said = chat(400)
    long = message(said[200].sent_at - 1_700_000_000 + 5, 30, "wall of text " * 150)
    answer = message(long.sent_at - 1_700_000_000 + 20, 31, "tl;dr?", reply_to=long.id)
    store(connection, [*said, long, answer])
    preprocessor.prepare(connection, tmp_path)
    by_id = {row["message_id"]: row for row in rows(tmp_path / "train.jsonl")}
    assert by_id[long.id]["reply"] == [long.content]
    assert max(len(turn["text"]) for turn in by_id[answer.id]["turns"]) < 1000


def test_what_is_too_long_loses_its_oldest_context(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    encoder = prompts.Encoder(prompts.CHATML, lambda text, _: [1] * len(text.split()))
    said = chat(800)
    wall = message(said[200].sent_at - 1_700_000_000 + 5, 30, "wall " * 100)
    store(connection, [*said, wall])
    preprocessor.prepare(connection, tmp_path / "whole")
    limited = Settings(max_seq_length=64)
    summary = preprocessor.prepare(connection, tmp_path, limited, encoder=encoder)
    whole = {row["message_id"]: row for row in rows(tmp_path / "whole" / "train.jsonl")}
    found = rows(tmp_path / "train.jsonl")
    assert summary.too_long == len(whole) - len(found) == 2  # the wall, and what answers it
    for row in found:
        full = whole[row["message_id"]]
        assert row["reply"] == full["reply"]
        assert row["context_ids"] == full["context_ids"][-len(row["context_ids"]) :]
        turns = [prompts.Turn(**turn) for turn in row["turns"]]
        ids, _ = prompts.encode_example(turns, row["reply"][0], encoder, 10_000) or ([], 0)
        assert 0 < len(ids) <= 64
    assert any(
        len(row["context_ids"]) < len(whole[row["message_id"]]["context_ids"]) for row in found
    )


def test_two_runs_write_the_same_bytes(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(800))
    for name in ("a", "b"):
        preprocessor.prepare(connection, tmp_path / name)
    for file in FILES:
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_other_data_has_another_hash(connection: sqlite3.Connection, tmp_path: Path) -> None:
    said = chat(800)
    store(connection, said)
    preprocessor.prepare(connection, tmp_path / "a")
    messages.edit(connection, said[100].id, "something new", said[100].sent_at + 5)
    preprocessor.prepare(connection, tmp_path / "b")
    hashes = [rows(tmp_path / n / "manifest.json")[0]["data_hash"] for n in ("a", "b")]
    assert hashes[0] != hashes[1]


def test_liked_replies_make_preferences(connection: sqlite3.Connection, tmp_path: Path) -> None:
    said = chat(800)
    store(connection, said)
    for emoji, count in (("😂", 6), ("🔥", 2)):
        for _ in range(count):
            messages.add_reaction(connection, said[105].id, emoji, 1)
    preprocessor.prepare(connection, tmp_path)
    (row,) = rows(tmp_path / "preferences.jsonl")
    assert (row["chosen"], row["rejected"]) == ([said[105].content], None)
    assert (row["positive"], row["negative"]) == (8, 0)
    assert row["score"] > 0
    for style in ("formal", "generic"):
        preprocessor.prepare(connection, tmp_path, Settings(rejected=style))
        (row,) = rows(tmp_path / "preferences.jsonl")
        assert isinstance(row["rejected"], str) and row["rejected"] != said[105].content


def test_a_reply_that_was_passed_over_can_be_the_rejected_one(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    said = chat(800)
    at = said[100].sent_at - 1_700_000_000
    liked = message(at + 5, 2, "the funny one", reply_to=said[100].id, reactions={"😂": 6})
    passed = message(at + 9, 3, "the dull one", reply_to=said[100].id)
    store(connection, [*said, liked, passed])
    preprocessor.prepare(connection, tmp_path, Settings(rejected="sibling"))
    (row,) = rows(tmp_path / "preferences.jsonl")
    assert (row["chosen"], row["rejected"]) == (["the funny one"], "the dull one")


def test_secrets_are_masked_unless_asked_not_to(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    said = chat(400)
    secret = "mail me: jane" + "@example.org"
    messages_ = [
        dataclasses.replace(m, content=secret) if i == 50 else m for i, m in enumerate(said)
    ]
    store(connection, messages_)
    summary = preprocessor.prepare(connection, tmp_path)
    text = (tmp_path / "train.jsonl").read_text("utf-8")
    assert "example.org" not in text and "mail me: [e-mail]" in text
    assert summary.masked == {"e-mail": 1}
    preprocessor.prepare(connection, tmp_path, Settings(masks_secrets=False))
    assert secret in (tmp_path / "train.jsonl").read_text("utf-8")


def test_a_copy_of_what_is_held_out_is_not_learned(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    copy = "I used to think the moon was made of cheese until my uncle went there last summer"
    said = [
        dataclasses.replace(m, content=f"{copy} {i}") if i in (100, 785) else m
        for i, m in enumerate(chat(800))
    ]
    store(connection, said)
    summary = preprocessor.prepare(connection, tmp_path)
    assert summary.near_duplicates == 1
    replies = [row["reply"][0] for row in rows(tmp_path / "train.jsonl")]
    assert not any(copy in reply for reply in replies)
    assert any(copy in row["reply"][0] for row in rows(tmp_path / "valid.jsonl"))


def test_an_excluded_person_is_in_no_file(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, [*chat(400), message(65, 77, "canary-5521", author_name="canary-name")])
    database.exclude_user(connection, 77)
    preprocessor.prepare(connection, tmp_path / "t")
    assert all(b"canary" not in p.read_bytes() for p in (tmp_path / "t").iterdir())


def test_deleted_messages_leave_the_next_set(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    said = chat(400)
    store(connection, said)
    messages.mark_deleted(connection, [said[60].id])
    preprocessor.prepare(connection, tmp_path)
    assert all(said[60].id not in shown(row) for row in rows(tmp_path / "train.jsonl"))


@pytest.mark.parametrize("count", [0, 1, 20])
def test_too_little_history_is_a_sentence_and_keeps_the_old_files(
    connection: sqlite3.Connection, tmp_path: Path, count: int
) -> None:
    (tmp_path / "train.jsonl").write_text("kept")
    store(connection, chat(count))
    with pytest.raises(UserError, match="Fetch more history"):
        preprocessor.prepare(connection, tmp_path)
    assert (tmp_path / "train.jsonl").read_text() == "kept"


def test_everybody_excluded_is_said(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(400))
    for person in range(1, 8):
        database.exclude_user(connection, person)
    with pytest.raises(UserError, match="person not included: 400"):
        preprocessor.prepare(connection, tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"window": (1, 4)},
        {"window": (9, 5)},
        {"pair_share": 1.5},
        {"held_out": 0.0},
        {"author_share": 0.0},
        {"rejected": "rude"},
        {"max_seq_length": 10},
    ],
)
def test_wrong_settings_are_sentences(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="--"):
        Settings(**wrong)


def test_progress_never_goes_back(connection: sqlite3.Connection, tmp_path: Path) -> None:
    store(connection, chat(3000))
    seen: list[tuple[int, int]] = []
    preprocessor.prepare(connection, tmp_path, on_progress=lambda *at: seen.append(at))
    assert seen == sorted(seen) and seen[-1][0] <= seen[-1][1] == 6000
