"""The Live page: real widgets over real figures."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gui import desktop
from gui.components.live_page import LivePage
from gui.live import Live
from gui.session import Session
from model import report
from storage import database
from storage.judgements import rejected_replies
from tests.gui.conftest import Desk, is_on
from tests.gui.test_live import NOW, answer, curve, facts, write_loss


@pytest.fixture
def page(desk: Desk, session: Session, tmp_path: Path) -> LivePage:
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={tmp_path}\nMODELS_DIR={tmp_path / 'models'}\n")
    desk.app.live = Live(Session(**{**vars(session), "env_path": env}))
    desk.window.turn_to("Live")
    desk.turn()
    shown = desk.window.pages["Live"]
    assert isinstance(shown, LivePage)
    return shown


def look(desk: Desk, now: float = NOW) -> None:
    assert desk.app.live
    desk.app.live.tick(now)
    desk.turn()


def drawn(card: Any) -> list[str]:
    canvas = card.canvas
    found = canvas.find_all()
    return [canvas.itemcget(one, "text") for one in found if canvas.type(one) == "text"]


def lines(card: Any) -> int:
    return sum(card.canvas.type(one) == "oval" for one in card.canvas.find_all())


def test_an_empty_page_says_what_will_come(desk: Desk, page: LivePage) -> None:
    look(desk)
    assert [drawn(card) for card in page.charts] == [
        ["No replies in the last hour"],
        ["No replies in the last hour"],
        ["The bot does not run"],
        ["The bot does not run"],
    ]
    assert "Evaluate a trained model" in page.report.verdict.cget("text")
    assert not is_on(page.report.button)


def test_what_happens_is_drawn(desk: Desk, page: LivePage, session: Session) -> None:
    for number in range(3):
        answer(session, number, NOW - 60 * number, 2.0)
    look(desk)
    assert lines(page.charts[0]) == 1 and lines(page.charts[1]) == 2
    assert page.charts[1].now.cget("text") == "p50 2.0 s, p95 2.0 s"
    assert {"p50", "p95", "1 hour ago", "now", "0", "2"} <= set(drawn(page.charts[1]))


def test_nothing_is_drawn_twice(desk: Desk, page: LivePage) -> None:
    look(desk)
    before = [card.canvas.find_all() for card in page.charts]
    look(desk, NOW + 1)
    assert [card.canvas.find_all() for card in page.charts] == before


def test_a_training_draws_its_curve(desk: Desk, page: LivePage, tmp_path: Path) -> None:
    write_loss(tmp_path / "models" / "training" / "mine", curve("sft", 9))
    look(desk)
    assert page.loss.title.cget("text") == "Loss of mine, SFT" and lines(page.loss) == 2


def test_the_last_verdict_is_shown_and_its_page_opened(
    desk: Desk, page: LivePage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    (tmp_path / "models" / "finetuned" / "mine").mkdir(parents=True)
    report.keep(tmp_path / "models" / "finetuned" / "mine", facts("mine", 1.0), "Q8_0")
    path = tmp_path / "reports" / "mine.Q8_0.html"
    path.parent.mkdir()
    path.touch()
    look(desk)
    assert page.report.verdict.cget("text") == "mine is told apart."
    assert page.report.history.cget("text") == "mine: match 50%, AUC 0.80 (0.70 to 0.90)"
    desk.click(page.report.button)
    assert opened == [path.as_uri()]


def test_a_marked_exchange_is_a_thumbs_down(
    desk: Desk, page: LivePage, session: Session, settings: Callable[[], object]
) -> None:
    number = answer(session, 7, NOW, 2.0)
    look(desk)
    tree = page.table.tree
    assert tree.item(str(number), "values")[0] == "amber-fox: what is 7?"
    connection = database.connect(session.database_path)
    for is_bad in (True, False):
        page.table._turn(str(number))
        desk.turn()
        assert bool(rejected_replies(connection)) is is_bad
    look(desk, NOW + 10)
    assert not page.table.chosen


def test_another_scale_and_colour_draw_anew(desk: Desk, page: LivePage) -> None:
    look(desk)
    from dataclasses import replace

    before = page.charts[0].canvas.cget("bg")
    desk.app.prefer(replace(desk.app.preferences, appearance="dark", scale=150))
    desk.turn()
    assert page.charts[0].canvas.cget("bg") != before
    desk.app.prefer(replace(desk.app.preferences, appearance="light", scale=100))
