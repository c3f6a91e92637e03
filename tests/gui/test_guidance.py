"""The first run over the window, and back to it when something is to be mended."""

import dataclasses
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import config
from bot.config import UserError
from gui import preferences
from gui.preferences import Preferences
from gui.session import Session, Way
from tests.gui.conftest import Desk


@pytest.fixture
def app(tk_root: Any, session: Session, tmp_path: Path) -> Iterator[Any]:
    """The launcher as it begins on a computer where nothing is set up."""
    from gui.app import App, Start
    from gui.presenter import Presenter

    preferences.write(tmp_path, Preferences(appearance="light"))
    start = Start(
        Way(_no),
        tmp_path,
        tmp_path / ".env",
        is_first=True,
        way_of=lambda outcome: Way(lambda report: session) if outcome.kind == "demo" else Way(_no),
    )
    made = App(tk_root, Presenter(start.way, waits=True), start)
    made.lead()
    tk_root.deiconify()
    tk_root.update()
    yield made
    made.guidance.close()
    made.presenter.close()
    made.presenter.force_stop()
    made.presenter.end()
    for child in tk_root.winfo_children():
        child.destroy()
    tk_root.update()


def _no(report: object) -> Session:
    raise AssertionError("nobody chose that")


def until(app: Any, is_so: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        app.window.append(app.presenter.tick(time.time()))
        app.window.show(app.presenter.snapshot(time.time()))
        app.guidance.tick()
        app.root.update()
        time.sleep(0.01)


def test_looking_around_first_leads_to_the_demo(app: Any, tmp_path: Path) -> None:
    page = app.guidance.page
    assert page.frame.winfo_ismapped() and app.presenter.session is None
    page._run.answer(chosen=("demo",))
    until(app, lambda: app.guidance.page is None and app.presenter.session)
    assert preferences.read(tmp_path).is_set_up
    assert app.window.status.word.cget("text") in ("Setting up", "Stopped")


def fail(desk: Desk, session: Session, sentence: str) -> None:
    """Have the bot need somebody, and say so."""
    program = f"print({sentence!r}); raise SystemExit(78)"
    session.controller._command = [sys.executable, "-c", program]
    desk.presenter.start()
    desk.until_word("Failed")


def test_an_error_leads_to_the_step_that_mends_it(desk: Desk, session: Session) -> None:
    sentence = "error: DISCORD_TOKEN is missing in .env."
    fail(desk, session, sentence)
    assert desk.window.status.mend.winfo_ismapped()
    desk.click(desk.window.status.mend)
    page = desk.app.guidance.page
    assert page and page._run.view.step == "token"
    desk.app.guidance.close()
    desk.turn()


def test_an_error_of_a_setting_leads_to_its_field(
    desk: Desk, session: Session, tmp_path: Path
) -> None:
    env = tmp_path / "my.env"
    env.write_text("ENGINE_URL=over there\n")
    desk.app._start = dataclasses.replace(desk.app._start, env_path=env)
    with pytest.raises(UserError) as caught:
        config.load(env, needs_discord=False)
    sentence = f"error: {caught.value}"
    fail(desk, session, sentence)
    desk.click(desk.window.status.mend)
    settings = desk.app.settings
    assert settings and settings.section == "Model"
    row = settings.rows["ENGINE_URL"]
    assert row.value == "over there" and "not the address of a server" in row.problem.cget("text")
    assert desk.app.guidance.page is None


def test_what_cannot_be_mended_by_a_step_offers_none(desk: Desk, session: Session) -> None:
    session.controller._command = [sys.executable, "-c", "raise SystemExit(78)"]
    desk.presenter.start()
    desk.until_word("Failed")
    assert not desk.window.status.mend.winfo_ismapped()
