"""The tests' own run in several processes: what stays together, and how a hang or Ctrl-C ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from bot.config import ROOT
from tests import shares
from tests.scripted_bot import alive

HANGS = "import time\ndef test_hangs(): time.sleep(600)\n"
STARTS = """
import subprocess, sys, time
def test_starts():
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    with subprocess.Popen(command) as child:
        try:
            print(child.pid, file=open({told!r}, "w"), flush=True)
            child.wait()
        finally:
            child.kill()
"""
PASSES = "def test_passes(): pass"


def begin(folder: Path, *options: str, **files: str) -> "subprocess.Popen[str]":
    """pytest in two processes on some files, with the settings and hooks that all tests have."""
    for name, code in files.items():
        (folder / f"test_{name}.py").write_text(code)
    given = ("-n", "2", "-p", "tests.conftest", "-c", str(ROOT / "pyproject.toml"))
    places = ("--rootdir", str(folder), "--basetemp", str(folder / "temporary"), str(folder))
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", *given, *options, *places],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_a_file_stays_together_and_all_of_the_window_does() -> None:
    assert shares.share("tests/bot/test_bot.py::test_x[a::b]") == "tests/bot/test_bot.py"
    window = {shares.share(f"tests/gui/{name}::test_x") for name in ("test_app.py", "test_tray.py")}
    assert window == {shares.WINDOW}
    assert shares.share("tests/test_gui.py::test_x") != shares.WINDOW


def test_what_takes_longest_is_begun_first_and_is_there() -> None:
    turns = [shares.turn(f"{name}::test_x") for name in (*shares.LONGEST, "tests/test_x.py")]
    assert turns == sorted(set(turns))
    assert all((ROOT / name).exists() for name in shares.LONGEST)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--timeout", "1"), "Failed: Timeout"),
        # as where Tk swallows what the timeout raises
        (("--timeout", "0", "-o", "faulthandler_timeout=1"), "crashed while running"),
    ],
)
def test_a_hang_ends_and_is_named_and_the_rest_runs(
    tmp_path: Path, options: tuple[str, ...], told: str
) -> None:
    run = begin(tmp_path, *options, hangs=HANGS + PASSES, one=PASSES)
    said, _ = run.communicate(timeout=120)
    assert run.returncode == 1, said
    assert told in said and "test_hangs.py" in said and "::test_hangs" in said
    assert "1 failed, 2 passed" in said


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
@pytest.mark.timeout(120)
def test_ctrl_c_ends_all_of_it(tmp_path: Path) -> None:
    told = tmp_path / "child"
    run = begin(tmp_path, begins=STARTS.format(told=str(told)), hangs=HANGS, one=PASSES)
    while not (told.exists() and told.read_text().endswith("\n")):
        assert run.poll() is None, run.communicate()
        time.sleep(0.05)
    own = psutil.Process(run.pid)
    family = own.children(recursive=True)
    assert int(told.read_text()) in {process.pid for process in family}
    for process in (own, *family):
        process.send_signal(signal.SIGINT)
    said, _ = run.communicate(timeout=60)
    assert run.returncode == pytest.ExitCode.INTERRUPTED, said
    assert not [process for process in family if alive(process.pid)]
