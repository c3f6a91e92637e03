"""A window's fonts stay as they are while another window starts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import ROOT
from gui import fonts


@pytest.mark.skipif(sys.platform != "linux", reason="only there CustomTkinter copies fonts")
def test_a_second_window_leaves_the_fonts_of_the_first_alone(tmp_path: Path) -> None:
    environment = {**os.environ, "HOME": str(tmp_path)}
    seen = []
    for _ in range(2):
        command = [sys.executable, "-c", "import gui.app"]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        files = sorted((tmp_path / ".fonts").iterdir())
        seen.append([(file.name, file.stat().st_ino, file.stat().st_mtime_ns) for file in files])
    assert seen[0] and seen[0] == seen[1]


def test_a_file_of_another_release_is_replaced_whole(tmp_path: Path) -> None:
    new, old = tmp_path / "font.otf", tmp_path / "fonts" / "font.otf"
    old.parent.mkdir()
    new.write_bytes(b"new" * 1000)
    old.write_bytes(b"old")
    with old.open("rb") as mapped:
        assert fonts.copy(new, old.parent) == old
        assert mapped.read() == b"old"
    assert old.read_bytes() == new.read_bytes() and list(old.parent.iterdir()) == [old]
