"""What is worth a notification, how often, and that none of it ever holds the window up."""

import itertools
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot_controller import State
from gui import notifications
from gui.notifications import Facts, Notice, Notifier, Watcher
from gui.pipeline import StepView
from gui.preferences import Preferences
from storage import database, milestones

OFF, UP, ON = State.STOPPED, State.STARTING, State.RUNNING
DOWN, WAIT, BROKEN = State.STOPPING, State.BACKOFF, State.FAILED


class Life:
    """A watcher that lives through states, and the titles it told."""

    def __init__(self, preferences: Preferences | None = None) -> None:
        self.notices: list[Notice] = []
        self.notifier = Notifier(preferences or Preferences(), self.notices.append)
        self.watcher = Watcher(self.notifier)
        self.now = 1000.0

    @property
    def titles(self) -> list[str]:
        return [notice.title for notice in self.notices]

    def live(self, *states: State, seconds: float = 5.0, reason: str = "") -> None:
        """Be in each state for so long, with ten beats a second or fifty in all."""
        beat = max(0.1, seconds / 50)
        for state in states:
            for _ in range(round(seconds / beat)):
                self.watcher.tick(Facts(state, reason), self.now)
                self.now += beat


def test_starting_and_stopping_are_told_once() -> None:
    life = Life()
    life.live(OFF, UP, ON, ON, DOWN, OFF, OFF)
    assert life.titles == ["Bot started", "Bot stopped"]


def test_a_launcher_that_has_just_opened_tells_nothing() -> None:
    life = Life()
    life.live(OFF, UP)
    assert not life.notices


def test_a_restart_is_silent() -> None:
    life = Life()
    life.live(UP, ON)
    life.live(DOWN, seconds=3)
    life.live(OFF, seconds=0.1)
    life.live(UP, ON)
    assert life.titles == ["Bot started"]


def test_what_flickers_is_not_news() -> None:
    life = Life()
    for _ in range(50):
        life.live(UP, ON, WAIT, seconds=0.5, reason="ended")
    assert not life.notices


def test_a_crash_loop_is_told_once_in_ten_minutes() -> None:
    life = Life()
    for _ in range(20):
        life.live(UP, ON, WAIT, reason="The bot ended unexpectedly.")
    assert life.titles == ["Bot started", "The bot needs you", "Bot started"]
    life.now += notifications.QUIET_SECONDS
    life.live(WAIT, reason="The bot ended unexpectedly.")
    assert life.titles[3:] == ["The bot needs you"]


def test_a_failure_says_why_and_only_then_again_when_it_is_another() -> None:
    life = Life()
    life.live(UP, BROKEN, BROKEN, reason="The token is wrong.")
    life.live(UP, BROKEN, reason="The token is wrong.")
    life.live(BROKEN, reason="The model is missing.")
    assert [notice.text for notice in life.notices] == [
        "The token is wrong.",
        "The model is missing.",
    ]
    assert all(notice.is_error for notice in life.notices)


def test_every_order_of_states_tells_what_is_true_in_the_end() -> None:
    told = {ON: "Bot started", OFF: "Bot stopped", WAIT: "The bot needs you"}
    for order in itertools.product((OFF, ON, WAIT), repeat=4):
        life = Life()
        life.live(*order, seconds=notifications.QUIET_SECONDS)
        words = [told[state] for state in order]
        expected = [word for word, _ in itertools.groupby(words)]
        assert life.titles == expected[expected[0] == "Bot stopped" :]


@pytest.mark.parametrize(
    ("level", "titles"),
    [
        ("all", ["Bot started", "The bot needs you"]),
        ("errors", ["The bot needs you"]),
        ("none", []),
    ],
)
def test_the_level_chooses(level: str, titles: list[str]) -> None:
    life = Life(Preferences(notices=level))
    life.live(UP, ON, BROKEN, reason="The token is wrong.")
    assert life.titles == titles


def test_preferences_count_from_the_next_notice_on() -> None:
    life = Life(Preferences(notices="none"))
    life.live(UP, ON)
    life.notifier.preferences = Preferences(sounds=True)
    life.live(DOWN, OFF)
    assert life.notices == [
        Notice("Bot stopped", "It answers nobody until it is started again.", False, True)
    ]


@pytest.mark.parametrize(
    ("end", "title"),
    [
        (StepView("Retrain model: done", fraction=1.0), ["Training finished"]),
        (StepView("Retrain model: failed", is_failed=True), ["The bot needs you"]),
        (StepView("Retrain model: cancelled"), []),
    ],
)
def test_the_end_of_a_training_is_told_once(end: StepView, title: list[str]) -> None:
    life = Life()
    runs = StepView("Training", is_running=True, fraction=0.5)
    for step in (StepView(), runs, runs, end, end, end):
        life.watcher.tick(Facts(OFF, step=step), life.now)
    assert life.titles == title


def test_other_steps_end_quietly() -> None:
    life = Life()
    for step in (StepView("Fetching messages", is_running=True), StepView("x", fraction=1.0)):
        life.watcher.tick(Facts(OFF, step=step), life.now)
    assert not life.notices


def test_a_reason_becomes_one_short_line() -> None:
    life = Life()
    life.notifier.failed("Two\nlines\tand " + "much more " * 100)
    (notice,) = life.notices
    assert "\n" not in notice.text and len(notice.text) == notifications.LONGEST


def test_a_milestone_is_told_once_ever(tmp_path: Path) -> None:
    life, path = Life(), tmp_path / "bot.sqlite3"
    connection, taken = database.connect(path), []
    for count in range(1, 1301):
        connection.execute(
            "INSERT INTO replies VALUES (?, 1, 1, 'tiny', 1.0, 0.0)",
            (count,),
        )
        if count % 50 == 0:
            connection.close()
            connection = database.connect(path)  # a launcher that was started anew
        taken.append(milestones.take(connection))
    assert [(number, each) for number, each in enumerate(taken, 1) if each] == [
        (100, 100),
        (500, 500),
        (1000, 1000),
    ]
    life.watcher.tick(Facts(ON, milestone=1000), life.now)
    assert life.titles == ["1,000 replies"]


@pytest.mark.parametrize("kept", ["", "many", "-5", "1e9", "\u00b2", "9" * 5000])
def test_a_spoiled_memory_of_milestones_is_overwritten(tmp_path: Path, kept: str) -> None:
    connection = database.connect(tmp_path / "bot.sqlite3")
    database.remember(connection, "told_milestone", kept)
    assert milestones.take(connection) is None


def wait_for(is_so: Callable[[], object]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_without_a_desktop_nothing_happens_and_it_is_logged_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "desktop_notifier", None)  # an import of it fails
    monkeypatch.setattr(sys, "platform", "linux")
    notifier = Notifier(Preferences())
    with caplog.at_level(logging.INFO):
        for _ in range(3):
            notifier.started()
            wait_for(lambda: notifier._send.__self__._thread is None)  # type: ignore[attr-defined]
    assert len([line for line in caplog.messages if "no desktop notifications" in line]) == 1
    assert not notifier.take_click()


DESK = """
import asyncio, sys
from dbus_fast.aio import MessageBus
from dbus_fast.service import ServiceInterface, method, signal

class Notifications(ServiceInterface):
    @method()
    def GetCapabilities(self) -> "as":
        return ["body", "actions"]
    @method()
    def Notify(self, app: "s", old: "u", icon: "s", title: "s", text: "s", actions: "as",
               hints: "a{sv}", timeout: "i") -> "u":
        print(app, title, text, hints["urgency"].value, "sound-name" in hints, sep="|", flush=True)
        asyncio.get_running_loop().call_later(0.1, self.ActionInvoked)
        return 7
    @method()
    def CloseNotification(self, number: "u"):
        pass
    @method()
    def GetServerInformation(self) -> "ssss":
        return ["a", "b", "c", "1.2"]
    @signal()
    def ActionInvoked(self) -> "us":
        return [7, "default"]
    @signal()
    def NotificationClosed(self) -> "uu":
        return [7, 2]

async def main():
    bus = await MessageBus().connect()
    bus.export("/org/freedesktop/Notifications", Notifications("org.freedesktop.Notifications"))
    await bus.request_name("org.freedesktop.Notifications")
    print("ready", flush=True)
    await bus.wait_for_disconnect()

asyncio.run(main())
"""


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> "Iterator[subprocess.Popen[str]]":
    """A session bus of our own with something on it that shows notifications and clicks them."""
    pytest.importorskip("dbus_fast")
    if not shutil.which("dbus-daemon"):
        pytest.skip("there is no D-Bus here")
    bus = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert bus.stdout
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", bus.stdout.readline().strip())
    shown = subprocess.Popen(
        [sys.executable, "-c", DESK], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    assert shown.stdout and shown.stdout.readline() == "ready\n"
    yield shown
    for process in (shown, bus):
        process.kill()
        process.communicate()


def test_a_real_desktop_shows_it_and_a_click_comes_back(desk: "subprocess.Popen[str]") -> None:
    notifier = Notifier(Preferences(sounds=True))
    notifier.failed("No model at <models> & no way")
    assert desk.stdout
    line = desk.stdout.readline().rstrip("\n")
    assert line == (
        f"{notifications.APP}|The bot needs you|No model at &lt;models&gt; &amp; no way|2|True"
    )
    wait_for(notifier.take_click)
    assert not notifier.take_click()
    notifier.preferences = Preferences()
    notifier.started()
    assert desk.stdout.readline().endswith("|1|False\n")
