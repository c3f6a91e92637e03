"""The tray icon: a process of its own, beside a launcher that never waits for it.

pystray itself is replaced by a stand-in that notes what it is told and clicks what a tooltip says,
as there is no desktop with a tray here; all else (processes, pipes, lines) is real.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bot.config import ROOT
from gui import tray_process
from gui.components import system_tray
from gui.components.system_tray import SystemTray, TrayView
from gui.snapshot import Snapshot

PYSTRAY = """
import json, os, threading

class Menu(list):
    SEPARATOR = None
    def __init__(self, *items):
        super().__init__(item for item in items if item)

class MenuItem:
    def __init__(self, text, action, enabled, default):
        self.text, self.action, self.enabled, self.default = text, action, enabled, default

class Icon:
    HAS_MENU = True
    def __init__(self, name, icon, title, menu):
        self.icon, self.title, self.menu, self.visible = icon, title, menu, False
        self._over = threading.Event()
    def run(self, setup):
        threading.Thread(target=setup, args=(self,), daemon=True).start()
        self._over.wait()
    def stop(self):
        self._over.set()
    def update_menu(self):
        items = [[item.text(item), item.enabled(item)] for item in self.menu]
        seen = {"title": self.title, "menu": items, "icon": self.icon.getpixel((50, 52))}
        with open(os.environ["SEEN"], "a") as file:
            print(json.dumps(seen), file=file)
        for number, item in enumerate(self.menu):
            if self.title == f"click {number}":
                item.action()
        if self.title == "die":
            os._exit(3)
        if self.title == "hang":
            threading.Event().wait()
"""
NO_MENU = PYSTRAY.replace("HAS_MENU = True", "HAS_MENU = False")
STUBBORN = PYSTRAY.replace("self._over.set()", "threading.Event().wait()")
VALUE_ERROR = "raise ValueError('Namespace AppIndicator3 not available')"


class Desktop:
    """A stand-in for pystray on the helper's path, and what it saw."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder
        self._seen = folder / "seen"
        monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{ROOT}")
        monkeypatch.setenv("PYSTRAY_BACKEND", "dummy")
        monkeypatch.setenv("SEEN", str(self._seen))
        self.has(PYSTRAY)

    def has(self, pystray: str) -> None:
        (self._folder / "pystray.py").write_text(pystray, "utf-8")

    def seen(self) -> list[dict[str, object]]:
        if not self._seen.exists():
            return []
        return [json.loads(line) for line in self._seen.read_text("utf-8").splitlines()]

    def titles(self) -> list[object]:
        return [each["title"] for each in self.seen()]


@pytest.fixture
def desktop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    return Desktop(tmp_path, monkeypatch)


@pytest.fixture
def make_tray(desktop: Desktop) -> Iterator[Callable[..., SystemTray]]:
    trays: list[SystemTray] = []

    def make(*command: str) -> SystemTray:
        trays.append(SystemTray(command or system_tray.COMMAND))
        return trays[-1]

    yield make
    for tray in trays:
        tray.close()
        process = tray._process
        if process:
            assert process.wait(5) is not None


def until(tray: SystemTray, is_so: Callable[[], object]) -> list[str]:
    """Tick until something is so; what was chosen meanwhile."""
    chosen, give_up_at = tray.tick(), time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at, tray.reason
        time.sleep(0.01)
        chosen += tray.tick()
    return chosen + tray.tick()


def test_it_is_there_once_the_icon_is(make_tray: Callable[..., SystemTray]) -> None:
    tray = make_tray()
    assert not tray.is_there  # a window that hides now could not be had back
    until(tray, lambda: tray.is_there)
    assert tray.reason == ""


def test_it_shows_the_state_the_figures_and_the_menu(
    make_tray: Callable[..., SystemTray], desktop: Desktop
) -> None:
    tray = make_tray()
    view = TrayView(
        "error",
        "Größe\n63 replies",
        (("toggle", "Fenster zeigen"), ("start", "S"), ("stop", "T"), ("quit", "Q")),
        ("toggle", "start", "quit"),
    )
    tray.show(view)
    until(tray, lambda: "Größe\n63 replies" in desktop.titles())
    seen = desktop.seen()[-1]
    assert seen["menu"] == [["Fenster zeigen", True], ["S", True], ["T", False], ["Q", True]]
    tray.show(TrayView("running", "well"))
    until(tray, lambda: "well" in desktop.titles())
    assert desktop.seen()[-1]["icon"] != seen["icon"]


@pytest.mark.parametrize(("number", "choice"), list(enumerate(system_tray.CHOICES)))
def test_each_choice_reaches_the_launcher(
    make_tray: Callable[..., SystemTray], desktop: Desktop, number: int, choice: str
) -> None:
    tray = make_tray()
    tray.show(TrayView(tooltip=f"click {number}"))
    assert until(tray, lambda: desktop.seen() and tray._is_listening) == [choice]


def test_of_many_changes_the_last_one_is_shown(
    make_tray: Callable[..., SystemTray], desktop: Desktop
) -> None:
    tray = make_tray()
    until(tray, lambda: tray.is_there)
    for number in range(500):
        tray.show(TrayView(tooltip=f"number {number}"))
    until(tray, lambda: "number 499" in desktop.titles())
    assert len(desktop.seen()) < 10


def test_a_tray_that_hangs_never_blocks_the_window(
    make_tray: Callable[..., SystemTray], desktop: Desktop
) -> None:
    tray = make_tray()
    tray.show(TrayView(tooltip="hang"))
    until(tray, lambda: "hang" in desktop.titles())
    for number in range(5000):  # far more than a pipe holds
        tray.show(TrayView(tooltip=f"{number} {'x' * 100}"))
        tray.tick()
    tray._process.kill()  # type: ignore[union-attr]


def test_what_died_comes_back_three_times_and_shows_the_same(
    make_tray: Callable[..., SystemTray], desktop: Desktop
) -> None:
    tray = make_tray()
    tray.show(TrayView(tooltip="die"))
    until(tray, lambda: tray.reason)
    assert desktop.titles() == ["die"] * 4
    assert not tray.is_there


@pytest.mark.parametrize(
    ("pystray", "reason"),
    [
        (VALUE_ERROR, "AppIndicator3"),
        ("import nothing_of_this_name", "nothing_of_this_name"),
        ("raise SystemError", "SystemError"),
        (NO_MENU, "no menu"),
    ],
)
def test_without_a_tray_it_says_so_once(
    make_tray: Callable[..., SystemTray], desktop: Desktop, pystray: str, reason: str
) -> None:
    desktop.has(pystray)
    tray = make_tray()
    until(tray, lambda: tray.reason)
    assert reason in tray.reason and not tray.is_there
    assert tray._restarts_left in (0, system_tray.RESTARTS)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have a display")
def test_the_real_pystray_without_a_display_is_no_tray(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "PYSTRAY_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    tray = SystemTray()
    until(tray, lambda: tray.reason)
    assert not tray.is_there


def test_a_program_that_is_missing_is_no_tray(make_tray: Callable[..., SystemTray]) -> None:
    tray = make_tray("/no/such/program")
    until(tray, lambda: tray.reason)
    assert not tray.is_there


GARBAGE = r"""
import sys
odd = [b"\xff\xfe", b"[]", b"{", b"null", b'{"event": []}', b'{"event": {"a": 1}}', b"x" * 99999]
for line in odd:
    sys.stdout.buffer.write(line + b"\n")
print('{"event": "hello", "menu": 1}\n{"event": "stop"}', flush=True)
sys.stdin.read()
"""


def test_garbage_from_the_helper_changes_nothing(make_tray: Callable[..., SystemTray]) -> None:
    tray = make_tray(sys.executable, "-c", GARBAGE)
    assert until(tray, lambda: tray.is_there) == ["stop"]


def test_garbage_to_the_helper_changes_nothing(desktop: Desktop) -> None:
    lines = [
        b"\xff",
        b"[]",
        b"{",
        b'{"labels": 1, "can": {"a": 1}}',
        b'{"state": [1], "can": [[]]}',
    ]
    process = helper()
    assert json.loads(process.stdout.readline())["event"] == "hello"  # type: ignore[union-attr]
    out, _ = process.communicate(b"\n".join(lines) + b"\n", timeout=20)
    assert out.count(b"shown") == len(lines) and process.returncode == 0


def helper() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        system_tray.COMMAND,
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONUTF8": "1"},
    )


@pytest.mark.skipif(os.name == "nt", reason="kills as POSIX does")
@pytest.mark.parametrize("pystray", [PYSTRAY, STUBBORN])
def test_it_ends_when_the_launcher_is_killed(desktop: Desktop, pystray: str) -> None:
    desktop.has(pystray)
    code = (
        "import time; from gui.components.system_tray import SystemTray; tray = SystemTray()\n"
        "while not tray.is_there: tray.tick(); time.sleep(0.01)\n"
        "print(tray._process.pid, flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert launcher.stdout
    tray = psutil.Process(int(launcher.stdout.readline()))
    launcher.kill()
    launcher.communicate()
    psutil.wait_procs([tray], timeout=5)
    assert not tray.is_running() or tray.status() == psutil.STATUS_ZOMBIE


def test_the_icon_s_view_follows_the_window() -> None:
    snapshot = Snapshot(
        word="Running",
        tone="good",
        can_stop=True,
        day=(("Messages seen", "1,247"), ("Responses sent", "63 (5.1%)"), ("Errors", "0")),
    )
    view = system_tray.view(snapshot, is_window_shown=True)
    assert view.state == "running" and view.can == ("toggle", "stop", "quit")
    assert view.tooltip == "Personality bot: Running\nResponses sent: 63 (5.1%)\nErrors: 0"
    assert dict(view.labels)["toggle"] == "Hide window"
    hidden = system_tray.view(Snapshot("Failed", "bad", can_start=True), is_window_shown=False)
    assert hidden.state == "error" and dict(hidden.labels)["toggle"] == "Show window"


def test_on_macos_only_the_main_thread_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    later: list[object] = []
    helper = SimpleNamespace(callAfter=later.append)
    monkeypatch.setitem(sys.modules, "PyObjCTools.AppHelper", helper)
    monkeypatch.setattr(sys, "platform", "darwin")
    tray_process.on_main_thread(lambda: pytest.fail("drawn at once"))
    assert len(later) == 1


@pytest.mark.parametrize("size", [16, 22, 64, 256])
def test_every_state_looks_different_at_every_size(size: int) -> None:
    images = {tray_process.draw(state, size).tobytes() for state in (*tray_process.COLORS, "odd")}
    assert len(images) == len(tray_process.COLORS)  # an odd state looks stopped
