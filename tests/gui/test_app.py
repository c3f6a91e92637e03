"""The window's process as a whole."""

import dataclasses
import signal
import sys
import time
from pathlib import Path

import customtkinter as ctk
import pytest

import single_instance
from bot.config import ROOT
from bot.logs import LogLine
from child_process import Child, Output
from gui import preferences, theme
from gui.session import Session
from tests.gui.conftest import BOT, Desk, texts

WINDOW = f"""
import gc, sys
from pathlib import Path
from bot.config import UserError
from bot.logs import LogLine
from bot_controller import BotController, heartbeats
from gui import app, preferences
from gui.preferences import Preferences
from gui.session import Session, Way

folder = Path(sys.argv[1])
path = folder / "bot.sqlite3"

def prepare(report):
    controller = BotController(
        [sys.executable, "-c", {BOT!r}, str(path)],
        read_heartbeat=heartbeats(path),
        spawns_path=folder / "spawns.json",
    )
    return Session(None, path, folder, sys.executable, controller, starts_at_once=True,
                   close=lambda: print("closed", gc.isenabled(), flush=True))

try:
    preferences.write(folder, Preferences(appearance="dark"))
    sys.exit(app.run(app.Start(Way(prepare), folder)))
except UserError as error:
    sys.exit(str(error))
"""


def open_window(folder: Path) -> Child:
    return Child([sys.executable, "-c", WINDOW, str(folder)], Output(), ROOT)


def wait(child: Child) -> list[str]:
    while child.exit_code() is None:
        time.sleep(0.02)
    child.clear_up()
    return [event.text for event in child.output.take() if isinstance(event, LogLine)]


def test_a_window_that_is_ended_takes_its_bot_with_it(tk_root: object, tmp_path: Path) -> None:
    window = open_window(tmp_path)
    while len(family := window.family()) < 2 or not (tmp_path / "bot.sqlite3-wal").exists():
        assert window.exit_code() is None, wait(window)
        time.sleep(0.02)
    family[0].send_signal(signal.SIGTERM)
    assert "closed False" in wait(window)
    assert window.exit_code() == 0
    assert not [one for one in family[1:] if one.is_running()]


@pytest.mark.skipif(sys.platform != "linux", reason="only X11 can be missing")
def test_without_a_display_there_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    assert "--headless" in wait(open_window(tmp_path))[-1]


def test_the_window_imports_nothing_heavy() -> None:
    heavy = ("discord", "llama_cpp", "torch", "lancedb", "transformers", "numpy")
    program = f"import sys, gui.app; print([name for name in {heavy} if name in sys.modules])"
    child = Child([sys.executable, "-c", program], Output(), ROOT)
    assert wait(child) == ["[]"]


def test_everything_grows_and_shrinks_by_key_and_stays_so(desk: Desk, session: Session) -> None:
    def height() -> int:
        desk.root.update()
        return int(desk.window.status.start.winfo_height())

    usual = height()
    desk.press(desk.root, "<Control-plus>")
    assert height() > usual
    assert preferences.read(session.data_dir).scale == 125
    desk.press(desk.root, "<Control-minus>")
    assert height() == usual
    desk.press(desk.root, "<Control-minus>")
    desk.press(desk.root, "<Control-0>")
    assert height() == usual
    assert preferences.read(session.data_dir).scale == 0


def test_another_appearance_is_kept(desk: Desk, session: Session) -> None:
    desk.app.prefer(dataclasses.replace(desk.app.preferences, appearance="dark"))
    assert ctk.get_appearance_mode() == "Dark"
    assert desk.window.overview.log.text.cget("bg") == theme.INSET[1]
    assert preferences.read(session.data_dir).appearance == "dark"
    desk.app.prefer(dataclasses.replace(desk.app.preferences, appearance="light"))


def test_preferences_that_cannot_be_kept_are_said_and_followed(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preferences, "write", fail)
    desk.app.prefer(dataclasses.replace(desk.app.preferences, scale=100, sounds=True))
    desk.until(lambda: "No space left" in texts(desk.window.overview.log.text))
    assert desk.app.preferences.sounds


class _Tray:
    """A tray that a test can take away, and choose in."""

    def __init__(self) -> None:
        self.has_tray = True
        self.asked: list[str] = []

    def tick(self, *_: object) -> list[str]:
        asked, self.asked = self.asked, []
        return asked

    def follow(self, _: object) -> None: ...

    def close(self) -> None: ...


@pytest.fixture
def tray(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> _Tray:
    made = _Tray()
    monkeypatch.setattr(desk.app, "_around", made)
    return made


def close_by_its_cross(desk: Desk) -> None:
    desk.root.tk.eval(desk.root.protocol("WM_DELETE_WINDOW"))
    desk.root.update()


def test_a_closed_window_waits_in_the_tray(desk: Desk, tray: _Tray) -> None:
    close_by_its_cross(desk)
    assert desk.root.state() == "withdrawn" and not desk.presenter.is_closing
    tray.asked = ["toggle"]
    desk.app.step(time.time())
    assert desk.root.state() == "normal"


def test_without_a_tray_the_window_never_hides(desk: Desk, tray: _Tray) -> None:
    close_by_its_cross(desk)
    tray.has_tray = False  # its process died, or the panel did
    desk.app.step(time.time())
    assert desk.root.state() == "normal"
    close_by_its_cross(desk)
    assert desk.presenter.is_closing


def test_whoever_wants_no_tray_closes_for_good(desk: Desk, tray: _Tray) -> None:
    desk.app.prefer(dataclasses.replace(desk.app.preferences, keeps_in_tray=False))
    close_by_its_cross(desk)
    assert desk.presenter.is_closing


def test_the_tray_starts_and_stops_the_bot(desk: Desk, tray: _Tray) -> None:
    for choice, word in (("start", "Running"), ("stop", "Stopped")):
        tray.asked = [choice]
        desk.app.step(time.time())
        desk.until_word(word)


def test_a_minimised_start_goes_to_the_tray_once_there_is_one(desk: Desk, tray: _Tray) -> None:
    tray.has_tray = False
    desk.app.minimise()
    desk.app.step(time.time())
    assert desk.root.state() != "withdrawn"
    tray.has_tray = True
    desk.app.step(time.time())
    assert desk.root.state() == "withdrawn"
    tray.asked = ["show"]
    desk.app.step(time.time())
    assert desk.root.state() == "normal"


def test_a_second_start_brings_the_window_back(
    desk: Desk, tray: _Tray, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instance = single_instance.acquire(tmp_path / "one", "the window")
    start = dataclasses.replace(desk.app._start, instance=instance)
    monkeypatch.setattr(desk.app, "_start", start)
    close_by_its_cross(desk)
    with pytest.raises(single_instance.AlreadyRunning):
        single_instance.acquire(tmp_path / "one", "the window")
    desk.app.step(time.time())
    assert desk.root.state() == "normal"
    instance.close()
