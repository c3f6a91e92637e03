"""`launcher.py --headless`: the same supervision, as lines or with a state below the log."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import NEEDS_A_PERSON, ROOT
from tests.scripted_bot import BOT
from tests.test_supervision import family, gone_within

SUPERVISE = """
import sys
from pathlib import Path
import terminal
from bot_controller import BotController, heartbeats
from gui.session import Session
folder, program = Path(sys.argv[1]), sys.argv[2]
path = folder / "bot.sqlite3"
controller = BotController(
    [sys.executable, "-c", program, str(folder)],
    read_heartbeat=heartbeats(path),
    spawns_path=folder / "spawns.json",
)
prepared = Session(None, path, folder, sys.executable, controller)
terminal.session = lambda env_path: prepared
(folder / ".env").write_text("DATA_DIR=.")
sys.exit(terminal.supervise(folder / ".env"))
"""
SERVE = BOT + "print('hello from [bold]the bot[/bold]', flush=True); serve()"
MEND = "import sys; print('error: No model. Set MODEL_PATH.', file=sys.stderr); sys.exit(78)"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and terminals of Unix")


def command(folder: Path, program: str) -> list[str]:
    return [sys.executable, "-c", SUPERVISE, str(folder), program]


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        command(tmp_path, SERVE), cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def read_until(process: "subprocess.Popen[str]", *texts: str) -> str:
    assert process.stdout
    said = ""
    while not all(text in said for text in texts):
        line = process.stdout.readline()
        assert line, said
        said += line
    return said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_logs_its_state_and_stops_when_asked(
    supervisor: "subprocess.Popen[str]", tmp_path: Path, number: signal.Signals
) -> None:
    read_until(supervisor, "Running.", "INFO hello from [bold]the bot[/bold]")
    supervisor.send_signal(number)
    read_until(supervisor, "Stopped.")
    assert supervisor.wait(20) == 0
    assert not family(tmp_path)


def test_what_a_person_must_mend_ends_it_with_the_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, MEND), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == NEEDS_A_PERSON
    assert done.stderr.splitlines()[-1] == "error: No model. Set MODEL_PATH."


def test_a_bot_that_was_told_to_leave_is_not_called_back(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, BOT + "beat(); sys.exit(0)"), cwd=ROOT, capture_output=True, timeout=60
    )
    assert done.returncode == 0
    assert (tmp_path / "spawned").read_text() == "x"


def test_a_second_one_says_who_is_there(
    supervisor: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    read_until(supervisor, "Running.")
    second = command(tmp_path, SERVE)
    done = subprocess.run(second, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == NEEDS_A_PERSON
    assert f"already running (a terminal, process {supervisor.pid})" in done.stderr
    assert (tmp_path / "spawned").read_text() == "x"


def test_on_a_terminal_the_state_stays_below_the_log(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(tmp_path, SERVE), cwd=ROOT, stdin=theirs, stdout=theirs, stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "30"},
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    screen = ""
    give_up_at = time.monotonic() + 60
    try:
        while not ("Running" in screen and "hello from" in screen):
            assert time.monotonic() < give_up_at, screen
            screen += os.read(ours, 4096).decode(errors="replace")
        process.send_signal(signal.SIGINT)
        while process.poll() is None:
            screen += _read(ours)
    finally:
        process.kill()
        os.close(ours)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", screen)
    assert process.returncode == 0
    assert "INFO    hello from [bold]the bot[/bold]" in plain
    assert re.search(r"Running\s+Uptime \d+ s\s+Memory .+Model tiny\s+Last reply", plain)
    assert gone_within(2, lambda: not family(tmp_path))


def _read(terminal: int) -> str:
    try:
        return os.read(terminal, 4096).decode(errors="replace")
    except OSError:  # Linux: the other end was closed
        time.sleep(0.01)
        return ""
