"""The window's process as a whole."""

import signal
import sys
import time
from pathlib import Path

import pytest

from bot.config import ROOT
from bot.logs import LogLine
from child_process import Child, Output
from tests.gui.conftest import BOT

WINDOW = f"""
import gc, sys
from pathlib import Path
from bot.config import UserError
from bot.logs import LogLine
from bot_controller import BotController, heartbeats
from gui import app
from gui.session import Session

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
    sys.exit(app.run(prepare, appearance="dark"))
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
