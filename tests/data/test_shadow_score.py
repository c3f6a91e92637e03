"""What shadow mode comes to, on a history in which it is known what should come out."""

import json
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

pytest.importorskip("sklearn", reason="needs requirements-train.txt")

from bot.config import ROOT, UserError
from data import privacy, shadow_score
from data.shadow_score import Moment
from storage import database, shadow
from storage.messages import Message
from storage.shadow import Decision
from tests.data.history import chat, message, store

LATER = 1_800_000_000.0
CHAT = chat(1200)  # 30 talks of 40 messages: the last of each is not answered
ENDS = {m.id for m in CHAT[39::40]}


def heard(said: Sequence[Message], decisions: Sequence[Decision]) -> list[Moment]:
    return shadow_score.moments([list(said)], decisions, LATER)


def decide(m: Message, chance: float, *texts: str, reason: str = "") -> Decision:
    return Decision(m.id, m.channel_id, reason or ("chance" if texts else ""), chance, texts, "m")


def test_only_the_next_turn_of_somebody_else_in_time_is_an_answer() -> None:
    said = [
        message(0, 1, "anyone?"),
        message(5, 1, "hello"),
        message(60, 2, "hi"),
        message(70, 2, "what's up"),
        message(80, 3, "me too"),
        message(9000, 1, "later"),
    ]
    found = heard(said, [decide(m, 0.5) for m in said])
    answers = [[m.content for m in moment.answer] for moment in found]
    turn = ["hi", "what's up"]
    assert answers == [turn, turn, ["me too"], ["me too"], [], []]


def test_what_may_still_be_answered_or_was_answered_by_the_bot_does_not_count() -> None:
    said = [message(0, 1, "a"), message(60, 9, "b", author_kind="self"), message(90, 1, "c")]
    decisions = [decide(said[0], 0.5), decide(said[2], 0.5)]
    assert [one.decision.trigger_id for one in heard(said, decisions)] == [said[2].id]
    assert shadow_score.moments([said], decisions, said[2].sent_at + 60) == []


def test_chances_are_judged_by_what_members_did() -> None:
    knowing = heard(CHAT, [decide(m, float(m.id not in ENDS)) for m in CHAT])
    facts = shadow_score.figures(knowing, 0.05)
    assert (facts["brier"], facts["ece"], facts["pr_auc"]) == (0, 0, 1)
    assert (facts["heard"], facts["answered"], facts["spoken"]) == (1200, 0.975, 0)
    wrong = heard(CHAT, [decide(m, float(m.id in ENDS)) for m in CHAT])
    facts = shadow_score.figures(wrong, 0.05)
    assert facts["brier"] == 1 and facts["ece"] > 0.9 and facts["pr_auc"] < 0.98


def test_who_is_addressed_throws_no_dice() -> None:
    decisions = [decide(m, 0.2) for m in CHAT[:200]]
    decisions += [decide(m, 1.0, "yes?", reason="mentioned") for m in CHAT[200:240]]
    facts = shadow_score.figures(heard(CHAT, decisions), 0.05)
    assert (facts["heard"], facts["spoken"], facts["spoken_unasked"]) == (240, 40, 0)
    assert facts["unaddressed"] == 200 and facts["answered_where_spoken"] is None


@pytest.mark.parametrize("count", [0, 1, 99])
def test_too_little_is_a_sentence(count: int) -> None:
    with pytest.raises(UserError, match="shadow on"):
        shadow_score.figures(heard(CHAT, [decide(m, 0.5) for m in CHAT[:count]]), 0.05)


def test_rows_that_make_no_sense_do_no_harm() -> None:
    decisions = [decide(m, chance) for m, chance in zip(CHAT, (1e308, -5.0, 0.5), strict=False)]
    decisions += [decide(m, 0.5, "\udcff\x00", " ") for m in CHAT[3:200]]
    decisions += [Decision(7, 1, "?", 0.5, ("lol",)), Decision(2**63 - 1, -1, "", 0.5)]
    found = heard(CHAT, decisions)
    facts = shadow_score.figures(found, 0.05)
    assert facts["heard"] == 200 and 0 <= facts["brier"] <= 1
    rows, drafts = shadow_score.pairs(found, {})
    assert len(rows) == len(drafts)


def test_drafts_are_told_apart_as_far_as_they_differ(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = CHAT[20:1200:10]
    known = [m.content for m in chat(200, seed=5)]

    def auc(drafts: Sequence[str]) -> float:
        decisions = [decide(m, 0.5, text) for m, text in zip(chosen, drafts, strict=True)]
        rows, said = shadow_score.pairs(heard(CHAT, decisions), {})
        return float(shadow_score.compare(rows, said, known)["detection"]["auc"])

    answers = [after.content for m, after in pairwise(CHAT) if m in chosen]
    assert auc([*answers[7:], *answers[:7]]) < 0.6  # members', to other messages
    assert auc(["Certainly! I would be delighted to assist you with that."] * len(chosen)) > 0.95
    assert "% of cases" in capsys.readouterr().out


def step_4(folder: Path) -> subprocess.CompletedProcess[str]:
    (folder / ".env").write_text(f"DATA_DIR={folder / 'data'}\n")
    script = str(ROOT / "scripts" / "4_evaluate_personality.py")
    command = [sys.executable, script, "--env", str(folder / ".env"), "--shadow"]
    return subprocess.run(command, capture_output=True, text=True)


def seeded(folder: Path) -> sqlite3.Connection:
    connection = database.connect(folder / "data" / "database" / "bot.sqlite3")
    store(connection, CHAT)
    for number, m in enumerate(CHAT):
        texts = (f"<b>draft {number}</b>", "lol") if number % 10 == 0 else ()
        shadow.keep(connection, decide(m, 0.1, *texts))
    return connection


def test_script_judges_what_was_kept_and_shows_it(tmp_path: Path) -> None:
    connection = seeded(tmp_path)
    done = step_4(tmp_path)
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout.splitlines()[-1])
    assert (facts["heard"], facts["spoken"], facts["rate"]) == (1200, 120, 0.05)
    assert facts["pairs"] == 120 and facts["detection"]["auc"] > 0.9
    assert "(10.0%; the setting is 5.0%), 120 times unasked" in done.stdout
    page = tmp_path / "data" / "reports" / "shadow.html"
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    text = page.read_text()
    assert "&lt;b&gt;draft 10&lt;/b&gt;\nlol" in text and "<b>draft" not in text
    assert CHAT[11].content in text

    privacy.set_consent_mode(connection, "opt-in")  # and nobody did
    refused = step_4(tmp_path)
    assert refused.returncode == 78 and "shadow on" in refused.stderr.splitlines()[-1]


def test_script_says_what_to_do_before_anything_was_heard(tmp_path: Path) -> None:
    done = step_4(tmp_path)
    assert done.returncode == 78 and "0 messages" in done.stderr.splitlines()[-1]
