"""The main window over a real bot process, with real clicks and keys."""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from bot.logs import LogLine, Progress
from gui import desktop
from gui.pipeline import ACTIONS, FETCH
from gui.session import Report, Session
from storage import database
from storage.database import Settings
from tests.gui.conftest import Desk, is_on, texts


def buttons_on(desk: Desk) -> list[str]:
    status = desk.window.status
    all_of_them = (status.start, status.stop, status.restart, status.force, status.logs)
    return [button.cget("text") for button in all_of_them if is_on(button)]


def test_the_buttons_follow_the_state(desk: Desk) -> None:
    assert buttons_on(desk) == ["Start", "View logs"]
    desk.click(desk.window.status.start)
    desk.until_word("Running")
    assert buttons_on(desk) == ["Stop", "Restart", "Force stop", "View logs"]
    desk.click(desk.window.status.stop)
    desk.until_word("Stopped")
    assert buttons_on(desk) == ["Start", "View logs"]


def test_running_shows_the_model_the_memory_and_the_log(desk: Desk) -> None:
    desk.presenter.start()
    desk.until_word("Running")
    facts = desk.window.status._fact_labels
    desk.until(lambda: facts["Memory"].cget("text").endswith("MB"))
    assert facts["Model"].cget("text") == "tiny-model"
    desk.until(lambda: "hello from the bot" in texts(desk.window.overview.log.text))


def test_a_failure_shows_its_sentence_and_leaves_start_on(desk: Desk, session: Session) -> None:
    program = "import sys; print('error: No model at /x. Set MODEL_PATH.'); sys.exit(78)"
    session.controller._command = [sys.executable, "-c", program]
    desk.click(desk.window.status.start)
    desk.until_word("Failed")
    assert desk.window.status.reason.cget("text") == "No model at /x. Set MODEL_PATH."
    assert "Start" in buttons_on(desk)


def test_a_slider_writes_its_setting(desk: Desk, settings: Callable[[], Settings]) -> None:
    slider = desk.window.overview.tuning.sliders["response_rate"]
    canvas = slider._canvas
    canvas.event_generate("<Button-1>", x=canvas.winfo_width() + 9, y=8)
    desk.until(lambda: settings().response_rate == 1.0)
    assert desk.window.overview.tuning.values["response_rate"].cget("text") == "100 %"


def test_a_slider_is_moved_by_the_arrows(desk: Desk, settings: Callable[[], Settings]) -> None:
    desk.press(desk.window.overview.tuning.sliders["response_rate"], "<Right>")
    desk.press(desk.window.overview.tuning.sliders["temperature"], "<Left>")
    desk.press(desk.window.overview.tuning.sliders["max_tokens"], "<End>")
    desk.until(lambda: settings() == Settings(0.06, 0.74, 500))


def test_a_slider_is_deaf_to_the_mouse_wheel(desk: Desk, settings: Callable[[], Settings]) -> None:
    for slider in desk.window.overview.tuning.sliders.values():
        for event in ("<Button-4>", "<Button-5>"):
            slider._canvas.event_generate(event)
        slider._canvas.event_generate("<MouseWheel>", delta=120)
    desk.turn()
    assert desk.presenter._here and not desk.presenter._here._pending
    assert settings() == Settings()


def test_a_slider_follows_a_change_made_elsewhere(desk: Desk, session: Session) -> None:
    database.change_setting(database.connect(session.database_path), "temperature", 0.9)
    value = desk.window.overview.tuning.values["temperature"]
    desk.until(lambda: value.cget("text") == "0.90")
    assert desk.window.overview.tuning.sliders["temperature"].get() == pytest.approx(0.9)


def test_every_control_is_reached_by_tab(desk: Desk) -> None:
    window = desk.window
    wanted = [window.status.start, window.status.logs, *window.overview.tuning.sliders.values()]
    wanted += [*window.overview.actions.buttons.values(), window.overview.actions.folder]
    reached, widget = set(), window.status.start._canvas
    for _ in range(40):
        reached.add(str(widget))
        widget = widget.tk_focusNext()
    assert not {str(control._canvas) for control in wanted} - reached
    assert str(window.status.stop._canvas) not in reached


@pytest.mark.parametrize("key", ["<space>", "<Return>"])
def test_a_button_is_pressed_by_a_key(desk: Desk, key: str) -> None:
    desk.press(desk.window.status.start, key)
    desk.until_word("Running")


def test_the_focus_is_shown_to_those_who_use_the_keyboard(desk: Desk) -> None:
    start, logs = desk.window.status.start, desk.window.status.logs
    desk.press(start, "<Tab>")
    assert desk.root.focus_get() is logs._canvas
    assert logs.cget("border_color") != logs.cget("fg_color")
    desk.press(logs, "<Tab>")
    assert logs.cget("border_color") == logs.cget("fg_color")
    logs._canvas.event_generate("<ButtonPress-1>")
    desk.turn()
    assert logs.cget("border_color") == logs.cget("fg_color")


def test_a_step_runs_with_progress_and_only_one_at_a_time(desk: Desk, session: Session) -> None:
    program = (
        "import sys\nfrom bot.logs import Progress, report\n"
        "report(Progress('prepare', 3, 4, 5.0, '3 of 4 files'))\nsys.stdin.read()"
    )
    write_script(session, ACTIONS[1].program, program)
    actions = desk.window.overview.actions
    desk.click(actions.buttons["Prepare data"])
    desk.until(lambda: actions.progress.bar.get() == 0.75)
    assert actions.progress.left.cget("text") == "5 s left"
    assert actions.progress.note.cget("text") == "3 of 4 files"
    assert not any(is_on(button) for button in actions.buttons.values())
    desk.click(actions.cancel)
    desk.until(lambda: actions.progress.title.cget("text") == "Prepare data: cancelled")
    assert all(is_on(button) for button in actions.buttons.values())


def test_the_first_fetch_asks_before_it_runs(desk: Desk, session: Session) -> None:
    write_script(session, FETCH.program, "import sys; print(*sys.argv[1:])")
    desk.click(desk.window.overview.actions.buttons[FETCH.text])
    assert desk.window.confirm
    desk.click(desk.window.confirm.no)
    assert desk.presenter.pipeline
    assert not desk.presenter.pipeline.is_running
    desk.click(desk.window.overview.actions.buttons[FETCH.text])
    desk.click(desk.window.confirm.yes)
    desk.until(lambda: "--i-have-permission" in texts(desk.window.overview.log.text))


def test_a_later_fetch_does_not_ask_again(desk: Desk, session: Session) -> None:
    database.confirm_permission(database.connect(session.database_path), "yes")
    write_script(session, FETCH.program, "import sys; print('arguments:', *sys.argv[1:])")
    desk.click(desk.window.overview.actions.buttons[FETCH.text])
    assert desk.window.confirm is None
    desk.until(lambda: "arguments:" in texts(desk.window.overview.log.text))
    assert "--i-have-permission" not in texts(desk.window.overview.log.text)


def test_a_chat_page_has_a_button_that_opens_it(
    make_desk: Callable[..., Desk], session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(desktop, "open_page", opened.append)
    with_page = replace(session, chat_url="http://127.0.0.1:8123")
    desk = make_desk(lambda report: with_page)
    desk.until_word("Stopped")
    assert desk.window.status.chat.cget("text") == "Talk to it: http://127.0.0.1:8123"
    desk.click(desk.window.status.chat)
    assert opened == ["http://127.0.0.1:8123"]


def test_without_a_chat_page_there_is_no_button(desk: Desk) -> None:
    assert not desk.window.status.chat.winfo_ismapped()


def test_a_folder_that_cannot_be_opened_is_said_in_the_log(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise UserError(f"Cannot open {path}.")

    monkeypatch.setattr(desktop, "open_folder", refuse)
    desk.click(desk.window.overview.actions.folder)
    desk.until(lambda: "Cannot open" in texts(desk.window.overview.log.text))


def test_a_settings_file_that_is_wrong_leaves_a_window_with_a_retry(
    make_desk: Callable[..., Desk], session: Session
) -> None:
    attempts: list[int] = []

    def prepare(report: Report) -> Session:
        attempts.append(1)
        if len(attempts) == 1:
            raise UserError("DISCORD_TOKEN is missing in .env. Copy .env.example.")
        return session

    desk = make_desk(prepare)
    desk.until_word("Not set up")
    assert desk.window.status.reason.cget("text").startswith("DISCORD_TOKEN is missing")
    assert buttons_on(desk) == ["Retry", "View logs"]
    desk.click(desk.window.status.start)
    desk.until_word("Stopped")
    assert buttons_on(desk) == ["Start", "View logs"]


def test_the_way_to_a_demo_is_shown_step_by_step(
    make_desk: Callable[..., Desk], session: Session
) -> None:
    def prepare(report: Report) -> Session:
        report(Progress("one", 1, 1))
        report(LogLine("", "INFO", "", "got it"))
        report(Progress("two", 1, 2, 4.0, "half"))
        while not desk_is_done:
            time.sleep(0.01)
        return replace(session, starts_at_once=True)

    desk_is_done: list[bool] = []
    desk = make_desk(prepare, ("one", "two", "three"))
    setup = desk.window.overview.setup
    desk.until(lambda: setup._progress.note.cget("text") == "half")
    assert [one.cget("text")[0] for one in setup.labels] == ["✓", "●", "○"]
    assert setup.frame.winfo_ismapped()
    assert not desk.window.overview.statistics.frame.winfo_ismapped()
    desk_is_done.append(True)
    desk.until_word("Running")
    assert not setup.frame.winfo_ismapped()


def test_an_error_in_a_button_is_shown_and_the_window_lives_on(desk: Desk) -> None:
    desk.root.report_callback_exception = desk.app.show_error
    desk.window.status.start.configure(command=lambda: 1 / 0)
    desk.click(desk.window.status.start)
    desk.until(lambda: "ZeroDivisionError" in texts(desk.window.overview.log.text))
    desk.presenter.start()
    desk.until_word("Running")


def test_an_error_in_the_beat_is_shown_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = desk.presenter.tick

    def stumble(now: float) -> list[LogLine]:
        raise RuntimeError("stumbled")

    monkeypatch.setattr(desk.presenter, "tick", stumble)
    monkeypatch.setattr(desk.app, "is_over", True)
    for _ in range(3):
        desk.app.beat()
    monkeypatch.setattr(desk.presenter, "tick", real)
    desk.turn()
    assert texts(desk.window.overview.log.text).count("RuntimeError: stumbled") == 1


def test_closing_the_window_stops_the_bot_and_leaves(
    desk: Desk, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[bool] = []
    monkeypatch.setattr(desk.app, "_leave", lambda: left.append(True))
    desk.presenter.start()
    desk.until_word("Running")
    desk.press(desk.root, "<Control-q>")
    assert desk.presenter.is_closing
    while not left:
        desk.app.step(time.time())
    assert session.controller.child
    assert session.controller.child.exit_code() == 0


def test_everything_fits_into_the_smallest_window(desk: Desk) -> None:
    desk.root.geometry("900x640")
    desk.root.update()
    assert desk.root.winfo_reqwidth() <= 900
    assert desk.root.winfo_reqheight() <= 640


def write_script(session: Session, name: str, program: str) -> None:
    """A stand-in that may import what a script of ours may."""
    root = Path(__file__).resolve().parents[2]
    text = f"import sys; sys.path.insert(0, {str(root)!r})\n{program}"
    (session.scripts / name).write_text(text, encoding="utf-8")


def test_pages_are_turned_by_key_once_there_is_a_bot(
    make_desk: Callable[..., Desk], session: Session
) -> None:
    is_ready = threading.Event()
    desk = make_desk(lambda report: is_ready.wait(20) and session)
    desk.press(desk.root, "<Control-Key-2>")
    assert desk.window.overview.frame.winfo_ismapped() and not desk.window.pages
    is_ready.set()
    desk.until_word("Stopped")
    desk.press(desk.root, "<Control-Key-3>")
    assert desk.window.pages["Playground"].frame.winfo_ismapped()
    assert not desk.window.overview.frame.winfo_ismapped()
    desk.press(desk.root, "<Control-Key-1>")
    assert desk.window.overview.frame.winfo_ismapped()
    assert desk.app.playground
    desk.app.playground.close()


def test_a_key_lists_the_keys(desk: Desk) -> None:
    desk.press(desk.root, "<F1>")
    assert desk.window.shortcuts and desk.window.shortcuts.window.winfo_viewable()
    desk.press(desk.window.shortcuts.window, "<Escape>")
    assert not desk.window.shortcuts.window.winfo_viewable()
    desk.press(desk.root, "<Control-l>")
    assert desk.window.logs and desk.window.logs.window.winfo_viewable()


def test_what_is_hidden_stays_hidden_at_another_scale(
    make_desk: Callable[..., Desk], session: Session
) -> None:
    def prepare(report: Report) -> Session:
        while not has_been_seen:
            time.sleep(0.01)
        return session

    has_been_seen: list[bool] = []
    desk = make_desk(prepare, ("one", "two"))
    desk.until(desk.window.overview.setup.frame.winfo_manager)
    has_been_seen.append(True)
    desk.until_word("Stopped")
    before = {widget: widget.winfo_manager() for widget in everything(desk.root)}
    for scale in (150, 100):
        desk.app.prefer(replace(desk.app.preferences, scale=scale))
        desk.turn()
        assert {widget: widget.winfo_manager() for widget in everything(desk.root)} == before


def everything(widget: Any) -> list[Any]:
    return [widget, *(one for child in widget.winfo_children() for one in everything(child))]
