"""A lock file: one holder at a time, and none after its end, however it ends."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import ROOT, UserError
from storage import lock_file

BUSY = "Somebody else is at it."
HOLDER = """
import sys
from pathlib import Path
from storage import lock_file
with lock_file.held(Path(sys.argv[1]), "busy"):
    print("held", flush=True)
    sys.stdin.read()
"""


def is_free(path: Path) -> bool:
    try:
        with lock_file.held(path, BUSY):
            return True
    except UserError:
        return False


def hold_elsewhere(path: Path) -> "subprocess.Popen[bytes]":
    """Another process that holds the file until its stdin is closed."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    assert process.stdout.readline().strip() == b"held"
    return process


def test_held_twice_is_refused_in_the_words_given(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with (
        lock_file.held(path, "unused"),
        pytest.raises(UserError, match=BUSY),
        lock_file.held(path, BUSY),
    ):
        pytest.fail("held twice")


def test_it_is_free_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    for _ in range(2):
        with lock_file.held(path, BUSY):
            assert not is_free(path)
    assert is_free(path)


def test_a_refusal_takes_nothing_from_the_holder(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with lock_file.held(path, BUSY):
        assert not is_free(path)
        assert not is_free(path)


def test_an_error_inside_passes_and_lets_go(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with pytest.raises(OSError, match="disk full"), lock_file.held(path, BUSY):
        raise OSError("disk full")
    assert is_free(path)


def test_files_are_held_apart(tmp_path: Path) -> None:
    with lock_file.held(tmp_path / "one", BUSY):
        assert is_free(tmp_path / "two")


def test_it_makes_the_folder_it_needs(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    assert is_free(folder / "lock")
    if sys.platform != "win32":
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("end", ["leaves", "is killed"])
def test_another_process_holds_it_until_it(tmp_path: Path, end: str) -> None:
    path = tmp_path / "lock"
    with hold_elsewhere(path) as process:
        try:
            assert not is_free(path)
        finally:
            if end == "is killed":
                process.kill()
            process.communicate()
    assert is_free(path)
