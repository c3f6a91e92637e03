"""What the window knows and does, without a window."""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.logs import LogLine, Progress
from child_process import Output
from gui.presenter import Presenter
from gui.server import Server
from gui.session import Report, Session, Way
from storage import database, shadow


@pytest.fixture
def presenter(session: Session) -> Iterator[Presenter]:
    made = Presenter(Way(lambda report: session))
    until(made, lambda: made.session is not None)
    yield made
    made.end()


@pytest.fixture
def server(presenter: Presenter) -> Server:
    """The server that is shown."""
    assert presenter._here
    return presenter._here


def until(presenter: Presenter, is_so: Callable[[], object]) -> list[LogLine]:
    give_up_at, lines = time.monotonic() + 20, []
    while not is_so():
        assert time.monotonic() < give_up_at
        lines += presenter.tick(time.time())
        time.sleep(0.01)
    return lines


def test_many_changes_of_a_setting_are_written_once(presenter: Presenter, server: Server) -> None:
    writes: list[str] = []
    server.connection.set_trace_callback(
        lambda sql: writes.append(sql) if sql.startswith("INSERT INTO settings") else None
    )
    for value in (0.1, 0.2, 0.3):
        presenter.change("response_rate", value)
        presenter.tick(time.time())
        settings = presenter.snapshot(time.time()).settings
        assert settings
        assert settings.response_rate == value
    until(presenter, lambda: not server._pending)
    assert len(writes) == 1
    assert database.settings(server.connection).response_rate == 0.3


def test_a_locked_database_delays_a_setting_and_loses_nothing(
    presenter: Presenter, server: Server, session: Session
) -> None:
    other = sqlite3.connect(session.database_path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    presenter.change("temperature", 0.6)
    server.hurry()
    presenter.tick(time.time())
    assert server._pending == {"temperature": 0.6}
    other.execute("COMMIT")
    until(presenter, lambda: not server._pending)
    assert database.settings(other).temperature == 0.6


def test_a_flood_says_how_many_lines_were_lost(presenter: Presenter, session: Session) -> None:
    for number in range(7000):
        session.controller.output.put(LogLine("", "INFO", "", str(number)))
    lines = until(presenter, lambda: len(presenter.log.lines) == 5000)
    lines += presenter.tick(time.time())
    assert "2,000 log lines came too fast to be shown" in [line.text for line in lines]


def test_errors_in_the_log_are_counted_for_a_day(presenter: Presenter) -> None:
    presenter.say("ERROR", "oh")
    now = time.time()
    presenter.tick(now)
    assert presenter.snapshot(now).day[3] == ("Errors", "1")
    assert presenter.snapshot(now + 86_401).day[3] == ("Errors", "0")


def test_what_the_bot_is_doing_is_shown_while_it_starts(
    presenter: Presenter, session: Session
) -> None:
    presenter.start()
    session.controller._command = [sys.executable, "-c", "import sys; sys.stdin.read()"]
    session.controller.output.put(Progress("loading the model", 0, 0))
    presenter.tick(time.time())
    shown = presenter.snapshot(time.time())
    assert (shown.word, shown.tone, shown.reason) == ("Starting", "busy", "loading the model")


def test_a_bot_that_only_listens_is_shown_as_such(presenter: Presenter, server: Server) -> None:
    shadow.switch(server.connection, True)
    assert presenter.snapshot(time.time()).reason == ""  # it does not run
    presenter.start()
    until(presenter, lambda: "shadow" in presenter.snapshot(time.time()).reason)
    assert presenter.snapshot(time.time()).word == "Running"
    shadow.switch(server.connection, False)
    until(presenter, lambda: presenter.snapshot(time.time()).reason == "")


def test_closing_ends_a_step_and_the_bot(presenter: Presenter, session: Session) -> None:
    (session.scripts / "3_train_model.py").write_text("import time; time.sleep(600)")
    from gui.pipeline import ACTIONS

    presenter.start()
    presenter.run_step(ACTIONS[2])
    presenter.tick(time.time())
    assert not presenter.is_quiet
    presenter.close()
    until(presenter, lambda: presenter.is_quiet)


def test_a_window_closed_during_the_setup_ends_it(session: Session) -> None:
    seen: list[str] = []

    def prepare(report: Report) -> Session:
        try:
            while True:
                report(Progress("one", 0, 0))
                time.sleep(0.01)
        finally:
            seen.append("cleared up")

    presenter = Presenter(Way(prepare, ("one",)))
    presenter.close()
    until(presenter, lambda: presenter.is_quiet)
    assert seen == ["cleared up"]


def test_what_the_setup_made_is_closed_even_if_nobody_looked_at_it(session: Session) -> None:
    closed: list[bool] = []
    made = replace(session, close=lambda: closed.append(True))
    presenter = Presenter(Way(lambda report: made))
    until(presenter, lambda: not presenter.setup.is_running)
    presenter.close()
    presenter.end()
    assert closed == [True]


def test_a_database_of_another_release_is_a_sentence(session: Session) -> None:
    connection = database.connect(session.database_path)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    presenter = Presenter(Way(lambda report: session))
    until(presenter, lambda: presenter.setup.error)
    shown = presenter.snapshot(time.time())
    assert (shown.word, shown.start_text) == ("Not set up", "Retry")
    assert "Cannot open the database" in shown.reason


def test_an_unexpected_error_in_the_setup_is_a_sentence_too(session: Session) -> None:
    def prepare(report: Report) -> Session:
        raise RuntimeError("boom")

    presenter = Presenter(Way(prepare))
    until(presenter, lambda: presenter.setup.error)
    assert presenter.setup.error.startswith("RuntimeError: boom.")


def test_output_is_taken_in_small_bites(tmp_path: Path) -> None:
    output = Output()
    for number in range(1000):
        output.put(LogLine("", "INFO", "", str(number)))
    assert len(output.take()) == 500
