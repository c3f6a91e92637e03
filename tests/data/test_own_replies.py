"""What was thought of the bot's replies becomes preferences; what it wrote is never imitated."""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bot.config import ROOT, UserError
from data import conversations, own_replies, preprocessor, privacy
from data.preferences import Exposure
from data.preprocessor import Settings, Summary
from model import examples, prompts
from model.provenance import message_hash
from storage import database, judgements, messages, people
from storage.messages import Message, Reply
from tests.data.history import NOW, chat, message, store

ASKER, MEMBER, BOT = 50, 51, 900
LEARNED, HELD_OUT = 400, 790  # of 800 messages of the history, the last 80 are held out
BAD = "I am happy to assist you"


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    """A history in which members liked so much that three of the bot's replies may count."""
    connection = database.connect(tmp_path / "database" / "bot.sqlite3")
    said = chat(800)
    store(connection, said)
    for liked in said[105:600:55]:
        messages.add_reaction(connection, liked.id, "😂", 1)
        connection.execute("UPDATE reactions SET count = 6 WHERE message_id = ?", (liked.id,))
    return connection


def exchange(
    connection: sqlite3.Connection,
    place: int = LEARNED,
    reply: Sequence[str] = (BAD,),
    reactions: dict[str, int] | None = None,
    answers: Sequence[str] = (),
    asked: str = "what do you all think of the new heron",
) -> Message:
    """What somebody asked after a message of the history, the bot's reply, and a member's."""
    at = place * 60 + (place // 40) * 3600 + 5
    trigger = message(at, ASKER, asked, mentions=(BOT,))
    mine = [
        message(at + 4 + n, BOT, text, author_kind="self", reactions=reactions or {}, reply_to=None)
        for n, text in enumerate(reply)
    ]
    theirs = [
        message(at + 12 + n, MEMBER, text, reply_to=None if n else trigger.id)
        for n, text in enumerate(answers)
    ]
    store(connection, [trigger, *mine, *theirs])
    with database.transaction(connection):
        messages.record_reply(connection, Reply(mine[0].id, trigger.id, 1, "tiny", 1.0))
    return mine[0]


def prepared(
    connection: sqlite3.Connection, folder: Path, settings: Settings | None = None, **more: Any
) -> tuple[Summary, list[dict[str, Any]]]:
    """What a run of step 2 comes to, and the pairs that it made of the bot's replies."""
    summary = preprocessor.prepare(connection, folder, settings, **more)
    pairs = rows(folder / "preferences.jsonl")
    return summary, [row for row in pairs if row["source"] != "members"]


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def delete(connection: sqlite3.Connection, reply: Message, after: float = 60) -> None:
    """Have Discord tell of a deletion so many seconds after the reply."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: reply.sent_at + after)
        messages.mark_deleted(connection, [reply.id])


def test_a_bad_reply_is_worse_than_what_a_member_answered(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    reply = exchange(connection, answers=["its beak is way too long", "lol"])
    judgements.reject(connection, reply.id)
    summary, (row,) = prepared(connection, tmp_path)
    assert (row["source"], row["weight"]) == ("rejected", 1.0)
    assert row["chosen"] == row["reply"] == ["its beak is way too long", "lol"]
    assert row["rejected"] == [BAD]
    assert summary.pairs == {"members": 9, "rejected": 1}
    (manifest,) = rows(tmp_path / "manifest.json")
    assert manifest["pairs"] == summary.pairs
    assert manifest["preferences"] == summary.preferences == 10


def test_without_an_answer_the_models_next_try_is_the_better_one(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    judgements.reject(connection, exchange(connection).id)
    _, (row,) = prepared(connection, tmp_path)
    assert (row["chosen"], row["rejected"], row["weight"]) == (None, [BAD], own_replies.UNTRIED)
    pair = examples.read_pairs(tmp_path / "preferences.jsonl")[-1]
    assert pair.chosen is None and pair.rejected and pair.rejected.reply == BAD
    assert not pair.is_members


def test_a_reply_deleted_within_a_day_was_half_surely_bad(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    soon = exchange(connection, answers=["too pink"])
    late = exchange(connection, LEARNED + 1)
    delete(connection, soon, after=3600)
    delete(connection, late, after=2 * 86_400)
    assert messages.by_ids(connection, [soon.id, late.id]) == []
    assert judgements.kept(connection) == {soon.id: BAD}
    _, (row,) = prepared(connection, tmp_path)
    assert (row["chosen"], row["rejected"]) == (["too pink"], [BAD])
    assert row["weight"] == own_replies.SURE[judgements.DELETED] == 0.5


@pytest.mark.parametrize("after", [60, 30 * 86_400])
def test_a_thumbs_down_that_also_deletes_counts_once(
    connection: sqlite3.Connection, tmp_path: Path, after: float
) -> None:
    reply = exchange(connection, answers=["too pink"])
    judgements.reject(connection, reply.id)
    delete(connection, reply, after)
    (bad,) = judgements.rejected_replies(connection)
    assert (bad.reply, bad.verdict) == (BAD, judgements.BAD)
    _, (row,) = prepared(connection, tmp_path)
    assert (row["rejected"], row["weight"]) == ([BAD], 1.0)


def test_reactions_decide_as_surely_as_they_are_many(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    all_reactions = ({"👎": 3}, {"👎": 1, "🎉": 1}, {"🤔": 4}, {"😂": 9})
    mine = [
        exchange(connection, LEARNED + 3 * place, [f"{BAD} {place}"], reactions)
        for place, reactions in enumerate(all_reactions)
    ]
    _, (disliked, liked) = sorted_by_source(prepared(connection, tmp_path))
    assert (disliked["rejected"], disliked["chosen"]) == ([f"{BAD} 0"], None)
    assert (disliked["negative"], disliked["positive"]) == (3, 0)
    judged = Exposure.fit(connection).judge(mine[0])
    assert disliked["weight"] == judged.weight * own_replies.UNTRIED > 0.1
    assert (liked["source"], liked["chosen"], liked["rejected"]) == ("liked", [f"{BAD} 3"], None)
    assert liked["score"] > 1 and 0.8 < liked["weight"] <= 1
    pair = examples.read_pairs(tmp_path / "preferences.jsonl")[-1]
    assert not pair.is_members
    _, found = prepared(connection, tmp_path, Settings(rejected="formal"))
    assert [isinstance(row["rejected"], str) for row in found if row["source"] == "liked"] == [True]


def sorted_by_source(
    found: tuple[Summary, list[dict[str, Any]]],
) -> tuple[Summary, list[dict[str, Any]]]:
    return found[0], sorted(found[1], key=lambda row: row["source"], reverse=True)


def test_the_turns_are_those_of_the_live_prompt(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    exchange(connection, LEARNED, ["well, hello heron friends"])
    asked = f"<@{MEMBER}> and <@{BOT}>, heron friends?"
    second = exchange(connection, LEARNED + 1, ["first line", "second line"], {"👎": 5}, (), asked)
    _, (row,) = prepared(connection, tmp_path)
    assert row["rejected"] == ["first line", "second line"]
    trigger = judgements.received(connection)[-1].trigger_id
    assert second.id == row["message_id"]
    said = messages.recent(connection, 1, 40, through=trigger)
    shown = conversations.latest(said)[-9:]
    assert any(m.author_id == BOT for m in shown)
    names = messages.names(connection)
    live = prompts.turns(shown, names, BOT)
    assert [prompts.Turn(**turn) for turn in row["turns"]] == live
    assert live[-1].name == f"user{ASKER}" and any(turn.name is None for turn in live)


def test_nothing_that_the_bot_wrote_is_a_target_of_fine_tuning(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    mine = [
        exchange(connection, LEARNED + 3 * n, ["a heron said this", "and this"], counts)
        for n, counts in enumerate(({"😂": 9}, {"👎": 9}, None))
    ]
    mine.append(exchange(connection, HELD_OUT, ["a heron said that"], {"😂": 9}))
    judgements.reject(connection, mine[2].id)
    prepared(connection, tmp_path)
    own = {m.id for m in messages.own(connection)}
    assert len(own) == 7
    for name in ("train", "valid"):
        for row in rows(tmp_path / f"{name}.jsonl"):
            assert row["author_id"] != BOT and not own & set(row["reply_ids"])
            assert "heron said" not in prompts.join(row["reply"])
            assert "heron said" not in json.dumps(row["turns"])
    for pair in examples.read_pairs(tmp_path / "preferences.jsonl"):
        assert not (pair.is_members and pair.chosen and "heron said" in pair.chosen.reply)


def test_the_bots_replies_are_a_quarter_of_the_pairs_at_most(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    bad = [exchange(connection, LEARNED + 3 * n, [f"{BAD} {n}"]) for n in range(8)]
    for reply in bad[:6]:
        delete(connection, reply)
    for reply in bad[6:]:
        judgements.reject(connection, reply.id)
    summary, found = prepared(connection, tmp_path)
    assert (summary.pairs, summary.own_left_out) == ({"members": 9, "rejected": 3}, 5)
    assert {row["rejected"][0] for row in found} == {f"{BAD} {n}" for n in (5, 6, 7)}
    assert [own_replies.most(members) for members in (0, 2, 3, 300)] == [0, 0, 1, 100]
    connection.execute("DELETE FROM reactions")
    assert prepared(connection, tmp_path)[0].pairs == {}


def test_what_is_held_out_teaches_no_answer_and_judges_none(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    reply = exchange(connection, HELD_OUT, answers=["its beak is way too long"])
    without, _ = prepared(connection, tmp_path / "without")
    held_out = (tmp_path / "without" / "valid.jsonl").read_text("utf-8")
    assert "way too long" in held_out
    judgements.reject(connection, reply.id)
    after, (row,) = prepared(connection, tmp_path / "after")
    assert after.valid < without.valid
    assert (row["chosen"], row["rejected"]) == (None, [BAD])
    assert "way too long" not in json.dumps(rows(tmp_path / "after" / "preferences.jsonl"))
    assert not [
        valid
        for valid in rows(tmp_path / "after" / "valid.jsonl")
        if valid["context_ids"][-1] == row["context_ids"][-1]
    ]


@pytest.mark.parametrize("reply", [["😂😂"], ["<:heron:123456789012345678> !"], [" \n "]])
def test_a_reply_without_words_teaches_nothing(
    connection: sqlite3.Connection, tmp_path: Path, reply: list[str]
) -> None:
    judgements.reject(connection, exchange(connection, reply=reply).id)
    assert prepared(connection, tmp_path)[1] == []


def test_garbage_is_passed_over(connection: sqlite3.Connection, tmp_path: Path) -> None:
    gone, mute, elsewhere = (exchange(connection, LEARNED + 3 * n) for n in range(3))
    wordless = exchange(connection, LEARNED + 9, asked=" ")
    for reply in (gone, mute, elsewhere, wordless):
        judgements.reject(connection, reply.id)
    judgements.reject(connection, 77)  # of a message that nobody knows
    connection.execute("UPDATE messages SET content = '' WHERE message_id = ?", (mute.id,))
    connection.execute("UPDATE replies SET channel_id = 7 WHERE message_id = ?", (elsewhere.id,))
    trigger = connection.execute(
        "SELECT trigger_id FROM replies WHERE message_id = ?", (gone.id,)
    ).fetchone()[0]
    messages.mark_deleted(connection, [trigger])
    assert prepared(connection, tmp_path)[1] == []


def test_a_reply_beyond_the_limit_is_passed_over(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    encoder = prompts.Encoder(prompts.CHATML, lambda text, _: [1] * len(text.split()))
    for n, text in enumerate(("heron " * 100, "short enough")):
        judgements.reject(connection, exchange(connection, LEARNED + 3 * n, [text]).id)
    limited = Settings(max_seq_length=64)
    _, (row,) = prepared(connection, tmp_path, limited, encoder=encoder)
    assert row["rejected"] == ["short enough"]


def test_what_answers_the_bot_is_no_answer_in_its_place(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    reply = exchange(connection)
    talk = [
        message(reply.sent_at - NOW + 3, MEMBER, "bad bot lol", reply_to=reply.id),
        message(reply.sent_at - NOW + 5, ASKER, "the heron thing was for everybody"),
    ]
    store(connection, talk)
    delete(connection, reply)
    _, (row,) = prepared(connection, tmp_path)
    assert row["chosen"] is None


def test_whoever_is_excluded_or_said_no_is_in_no_pair(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    reply = exchange(connection, answers=["its beak is way too long"])
    judgements.reject(connection, reply.id)
    privacy.set_consent_mode(connection, privacy.OPT_OUT)
    people.decide(connection, MEMBER, False)
    _, (row,) = prepared(connection, tmp_path)
    assert row["chosen"] is None and "beak" not in json.dumps(row)
    people.decide(connection, MEMBER, True)
    people.decide(connection, ASKER, False)
    assert prepared(connection, tmp_path)[1] == []
    people.decide(connection, ASKER, True)
    database.exclude_user(connection, ASKER)
    assert prepared(connection, tmp_path)[1] == []


def test_the_manifest_knows_whose_messages_the_pairs_show(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    reply = exchange(connection, HELD_OUT + 9)
    judgements.reject(connection, reply.id)
    _, (row,) = prepared(connection, tmp_path)
    (manifest,) = rows(tmp_path / "manifest.json")
    hashes, authors = set(manifest["message_hashes"]), set(manifest["people_hashes"])
    assert {message_hash(number) for number in row["context_ids"]} <= hashes
    assert message_hash(ASKER) in authors
    # in the mode opt-in the bot itself has not agreed, which must not spoil the data
    assert message_hash(BOT) not in authors and message_hash(reply.id) not in hashes


def test_step_two_says_where_the_pairs_come_from(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    judgements.reject(connection, exchange(connection).id)
    delete(connection, exchange(connection, LEARNED + 3))
    exchange(connection, LEARNED + 6, reactions={"😂": 9})
    exchange(connection, LEARNED + 9, reactions={"👎": 1})
    connection.close()
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={tmp_path}\nMODELS_DIR={tmp_path / 'models'}\n")
    script = str(ROOT / "scripts" / "2_prepare_training_data.py")
    done = subprocess.run(
        [sys.executable, script, "--env", str(env)], capture_output=True, encoding="utf-8"
    )
    assert done.returncode == 0, done.stderr
    assert "9 replies that people liked beyond what is usual; of the bot's own, " in done.stdout
    assert "2 rejected and 1 liked, 1 left out." in done.stdout
    sources = [row["source"] for row in rows(tmp_path / "training" / "preferences.jsonl")]
    assert sorted(sources) == ["liked", *["members"] * 9, "rejected", "rejected"]


def test_a_pair_keeps_its_sides_as_tokens_and_needs_one(tmp_path: Path) -> None:
    path = tmp_path / "preferences.jsonl"
    turns = [{"name": "ann", "text": "hi"}]
    rejected = {
        "turns": turns,
        "reply": None,
        "rejected": ["no"],
        "weight": 1,
        "source": "rejected",
    }
    liked = {"turns": turns, "reply": ["yes"], "rejected": None, "weight": 1, "source": "liked"}
    path.write_text(f"{json.dumps(rejected)}\n{json.dumps(liked)}\n")
    encoder = prompts.Encoder(prompts.CHATML, lambda text, _: [len(word) for word in text.split()])
    first, second = examples.tokenise_pairs(examples.read_pairs(path), encoder, 100)
    assert first and first.chosen is None and first.known is first.rejected
    assert second and second.rejected is None and second.known is second.chosen
    assert not (first.is_members or second.is_members)
    path.write_text(json.dumps({**rejected, "rejected": None}))
    with pytest.raises(UserError, match="a pair needs a reply"):
        examples.read_pairs(path)
