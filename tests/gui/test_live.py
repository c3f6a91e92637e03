"""The Live page without a window: samples, replies, a training's curve, reports, judgements."""

import dataclasses
import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot_controller import BotController
from child_process import Child, Output
from gui.live import HOUR, SAMPLE_SECONDS, Live, loss_chart, percentile
from gui.session import Session
from model import report
from model.inference import Sampling
from model.sides import CANDIDATE
from storage import database, messages
from storage.judgements import rejected_replies
from storage.messages import Message, Reply

NOW = 1_800_000_000.0
BUSY = "import sys\nwhile True: pass"


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "bot.sqlite3"
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={tmp_path}\nMODELS_DIR={tmp_path / 'models'}\n")
    controller = BotController(
        [sys.executable], read_heartbeat=lambda: None, spawns_path=tmp_path / "spawns.json"
    )
    return Session(env, path, tmp_path, sys.executable, controller)


@pytest.fixture
def live(session: Session) -> Iterator[Live]:
    made = Live(session)
    yield made
    made.close()


def answer(session: Session, number: int, sent_at: float, seconds: float) -> int:
    """Store a message and the bot's reply to it; the reply's id."""
    connection = database.connect(session.database_path)
    asked = messages.snowflake_at(sent_at - seconds) + number
    own = messages.snowflake_at(sent_at) + number
    messages.save(connection, [Message(asked, 1, 5, "amber-fox", f"what is {number}?")])
    messages.save(connection, [Message(own, 1, 9, "bot", f"it is {number}", author_kind="self")])
    messages.record_reply(connection, Reply(own, asked, 1, "m", seconds))
    connection.close()
    return own


def test_without_a_bot_there_is_nothing_and_no_error(live: Live) -> None:
    live.tick(NOW)
    assert all(not chart.lines and chart.empty for chart in live.charts())
    assert not live.loss().lines and live.reports() == [] and live.exchanges() == []
    assert live.newest_page() is None


def test_replies_are_counted_by_the_minute(live: Live, session: Session) -> None:
    for number, age in enumerate((1.0, 2.0, 61.0, HOUR - 1, HOUR + 60)):
        answer(session, number, NOW - age, 2.0 + number)
    live.tick(NOW)
    pace, speed, *_ = live.charts()
    counts = [count for _, count in pace.lines["replies"]]
    assert (counts[59], counts[58], counts[0], sum(counts)) == (2, 1, 1, 4)
    assert pace.now == "4 in an hour"
    assert speed.lines["p50"][-1] == (NOW - 1.0, 3.5) and speed.lines["p95"][-1][1] == 5.0


def test_a_bots_weight_is_sampled(live: Live, session: Session) -> None:
    child = Child([sys.executable, "-c", BUSY], Output())
    session.controller.child = child
    try:
        for step in range(3):
            live.tick(NOW + step * SAMPLE_SECONDS)
            time.sleep(0.05)
    finally:
        child.kill_tree()
    *_, memory, processor = live.charts()
    assert [at for at, _ in memory.lines["bot"]] == [NOW, NOW + 5, NOW + 10]
    assert memory.lines["bot"][0][1] > 1 and processor.lines["bot"][0][1] == 0
    assert processor.lines["bot"][-1][1] > 0 and memory.lines["model"][-1][1] == 0


def test_samples_are_taken_no_oftener_than_asked(live: Live) -> None:
    for beat in range(100):
        live.tick(NOW + beat * 0.1)
    assert live.version == 2


def write_loss(folder: Path, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "loss.jsonl"
    path.write_text(text, "utf-8")
    return path


def curve(stage: str, steps: int) -> str:
    rows: list[dict[str, Any]] = [{"stage": stage, "step": 0, "held_out": 4.0}]
    rows += [{"stage": stage, "step": n, "loss": 4.0 - n / 10} for n in range(1, steps + 1)]
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_the_curve_of_the_newest_training_grows(live: Live, tmp_path: Path) -> None:
    path = write_loss(tmp_path / "models" / "training" / "mine", curve("sft", 3) + '{"stage": "s')
    chart = live.loss()
    assert chart.title == "Loss of mine, SFT" and chart.span == (0.0, 3.0)
    assert chart.lines["held out"] == ((0.0, 4.0),)
    assert [step for step, _ in chart.lines["training"]] == [1.0, 2.0, 3.0]
    path.write_text(curve("sft", 3) + curve("dpo", 2), "utf-8")
    time.sleep(0.01)
    path.touch()
    assert live.loss().title == "Loss of mine, DPO"


def test_a_curve_of_garbage_is_empty() -> None:
    assert not loss_chart(None).lines
    assert not loss_chart(Path("nowhere")).lines


@pytest.mark.parametrize("seed", range(20))
def test_no_garbage_in_a_curve_is_an_error(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    text = list(curve("sft", 5))
    for _ in range(dice.randrange(1, 40)):
        text[dice.randrange(len(text))] = dice.choice('{}[]",:\n\0é9e-NaN')
    chart = loss_chart(write_loss(tmp_path, "".join(text) + "[]\n3\n" + "[" * 9000))
    assert chart.top > 0


def facts(name: str, made_at: float) -> dict[str, Any]:
    side = {"match": 0.5, "detection": {"auc": 0.8, "auc_95": [0.7, 0.9]}}
    about = report.About(name, "Q8_0", "", "", "", ("sft",), 100, 0, Sampling(), {})
    return {
        **dataclasses.asdict(about),
        "format": report.FORMAT,
        "made_at": made_at,
        "verdict": f"{name} is told apart.",
        "sides": {CANDIDATE: side},
    }


def test_reports_are_read_oldest_first_and_again_when_one_is_new(
    live: Live, tmp_path: Path
) -> None:
    finetuned = tmp_path / "models" / "finetuned"
    for name, made_at in (("second", 2.0), ("first", 1.0)):
        (finetuned / name).mkdir(parents=True)
        report.keep(finetuned / name, facts(name, made_at), "Q8_0")
    assert [one["name"] for one in live.reports()] == ["first", "second"]
    for name in ("third", "not a name!"):
        (finetuned / name).mkdir()
        (finetuned / name / f"x.Q4_0.{report.FILE}").write_text("garbage")
    report.keep(finetuned / "third", facts("third", 3.0), "Q8_0")
    assert [one["name"] for one in live.reports()] == ["first", "second", "third"]


def test_the_page_of_the_newest_report_is_found_whatever_else_lies_there(
    live: Live, tmp_path: Path
) -> None:
    pages = tmp_path / "reports"
    pages.mkdir()
    for name, made_at in (("old", 1.0), ("new", 2.0)):
        (tmp_path / "models" / "finetuned" / name).mkdir(parents=True)
        report.keep(tmp_path / "models" / "finetuned" / name, facts(name, made_at), "Q8_0")
    (pages / "shadow.html").touch()  # what shadow mode came to is no evaluation of a model
    assert live.newest_page() is None
    (pages / "old.Q8_0.html").touch()
    assert live.newest_page() == pages / "old.Q8_0.html"
    (pages / "new.Q8_0.html").touch()
    os.utime(pages / "new.Q8_0.html", (1, 1))
    assert live.newest_page() == pages / "new.Q8_0.html"


def test_a_thumbs_down_is_kept_and_taken_back(live: Live, session: Session) -> None:
    number = answer(session, 1, NOW, 2.0)
    (shown,) = live.exchanges()
    assert (shown.said, shown.reply, shown.is_rejected) == ("what is 1?", "it is 1", False)
    live.judge(number, True)
    assert live.exchanges()[0].is_rejected
    assert [one.reply_id for one in rejected_replies(database.connect(session.database_path))]
    live.judge(number, False)
    assert not live.exchanges()[0].is_rejected


def test_a_locked_database_is_no_error(live: Live, session: Session) -> None:
    number = answer(session, 1, NOW, 2.0)
    other = database.connect(session.database_path)
    other.execute("BEGIN EXCLUSIVE")
    live.judge(number, True)
    other.execute("ROLLBACK")
    assert not live.exchanges()[0].is_rejected


def test_percentiles() -> None:
    assert percentile([1.0], 0.95) == 1.0
    assert percentile([float(n) for n in range(1, 21)], 0.95) == 19.0
