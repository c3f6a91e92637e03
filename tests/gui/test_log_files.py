"""The log on disk: complete, private, bounded, and never in the way."""

import stat
import time
from datetime import date
from pathlib import Path

import pytest

from bot.logs import LogLine
from gui import log_files
from gui.log_files import LogFiles


def line(text: str, level: str = "INFO") -> LogLine:
    return LogLine("2026-11-23T14:32:15.000Z", level, "bot.main", text)


def only(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_what_was_said_is_on_disk_for_its_owner_alone(tmp_path: Path) -> None:
    files = LogFiles(tmp_path / "logs", 30)
    files.put([line("connected"), line("broken \ud800 text", "ERROR")])
    files.close()
    path = only(tmp_path / "logs")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    first, second = path.read_text("utf-8").splitlines()
    assert first.endswith("[INFO] bot.main: connected") and "[ERROR]" in second
    assert path.name == f"{date.today().isoformat()}.log"


def test_nothing_said_leaves_no_file(tmp_path: Path) -> None:
    LogFiles(tmp_path / "logs", 30).close()
    assert not (tmp_path / "logs").exists()


def test_old_days_go_and_strangers_stay(tmp_path: Path) -> None:
    for name in ("2020-01-01.log", "2020-01-01.log.1", "notes.log", "2999-01-01.log"):
        (tmp_path / name).write_text("x")
    files = LogFiles(tmp_path, 30)
    files.put([line("hello")])
    files.close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"notes.log", "2999-01-01.log", f"{date.today().isoformat()}.log"}


def test_a_full_file_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_files, "LARGEST", 100)
    today = tmp_path / f"{date.today().isoformat()}.log"
    today.write_text("x" * 200)
    files = LogFiles(tmp_path, 30)
    files.put([line("new")])
    files.close()
    assert today.with_suffix(".log.1").stat().st_size == 200
    assert "new" in today.read_text()


def test_a_flood_never_waits_and_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_files, "WAITING", 50)
    files = LogFiles(tmp_path, 30)
    files.put(line(str(number)) for number in range(1000))
    files.close()
    said = only(tmp_path).read_text().splitlines()
    assert said[-1] == "(950 lines are missing here)" and len(said) == 51


def test_a_full_disk_is_survived_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(log_files, "WRITE_SECONDS", 0.01)
    real = LogFiles._file
    monkeypatch.setattr(LogFiles, "_file", fail)
    files = LogFiles(tmp_path, 30)
    files.put([line("lost")])
    give_up_at = time.monotonic() + 20
    while not files.dropped:
        assert time.monotonic() < give_up_at
        time.sleep(0.01)
    monkeypatch.setattr(LogFiles, "_file", real)
    files.put([line("back")])
    files.close()
    assert "(1 lines are missing here)" in only(tmp_path).read_text()
