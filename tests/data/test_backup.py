"""Backups: whole while others write, verified by restoring, and no way back for the erased."""

import contextlib
import json
import os
import sqlite3
import stat
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import config
from bot.config import Config, UserError
from data import backup
from storage import copies, database, messages
from tests.data.history import message

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.abcdefghijklmnopqrstuvwxyz0"
KIM, SAM = 111_111, 222_222
SAID = [message(n, KIM if n % 2 else SAM, f"the secret of number {n}") for n in range(1, 41)]
IDS = [said.id for said in SAID]


@pytest.fixture
def home(tmp_path: Path) -> Config:
    path = tmp_path / ".env"
    lines = {
        "DISCORD_TOKEN": TOKEN,
        "ENGINE_KEY": "sk-secret",
        "SERVER_ID": "11111",
        "ADMIN_USERS": "22222",
    }
    path.write_text("".join(f"{n}={v}\n" for n, v in lines.items()) + "DATA_DIR=data\n")
    settings = config.load(path)
    with open_database(settings) as connection:
        messages.save(connection, SAID)
    return settings


@contextlib.contextmanager
def open_database(settings: Config) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        yield connection


def count(settings: Config) -> int:
    with open_database(settings) as connection:
        return len(messages.by_ids(connection, IDS))


def delete_all(settings: Config) -> None:
    with open_database(settings) as connection:
        messages.mark_deleted(connection, IDS)


def test_what_was_lost_comes_back(home: Config) -> None:
    path = backup.make(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    delete_all(home)
    assert count(home) == 0
    assert "Restored the database" in backup.restore(path, home)
    assert count(home) == 40
    assert len(backup.listed(home)) == 2  # what was there before is one, too


def test_the_token_is_left_out_unless_asked_for(home: Config) -> None:
    for path, is_there in ((backup.make(home), False), (backup.make(home, True), True)):
        with zipfile.ZipFile(path) as archive:
            text = archive.read(".env").decode()
        assert (TOKEN in text) is is_there and "SERVER_ID=11111" in text
        assert ("sk-secret" in text) is is_there
        os.rename(path, path.with_name("backup-1.zip"))


def test_others_may_have_the_database_open(home: Config) -> None:
    path = backup.make(home)
    with open_database(home) as window:
        delete_all(home)
        backup.restore(path, home)
        assert len(messages.by_ids(window, IDS)) == 40


def test_a_running_bot_is_not_disturbed(home: Config) -> None:
    path = backup.make(home)
    with open_database(home) as connection:
        now = time.time()
        database.beat(connection, "bot", database.Heartbeat(1, now, now, 1.0, "m"))
    with pytest.raises(UserError, match="Stop it"):
        backup.restore(path, home)


def test_who_was_excluded_since_stays_out(home: Config) -> None:
    path = backup.make(home)
    with open_database(home) as connection:
        database.exclude_user(connection, KIM)
    assert "1 who were excluded" in backup.restore(path, home)
    with open_database(home) as connection:
        assert KIM in database.excluded_users(connection)
    assert count(home) == 20
    assert backup.listed(home) == []  # they hold what was taken out


def test_a_backup_is_whole_while_somebody_writes(home: Config) -> None:
    with open_database(home) as writer:
        writer.execute("BEGIN IMMEDIATE")
        messages.mark_deleted(writer, IDS)
        path = backup.make(home)
        writer.execute("COMMIT")
    backup.restore(path, home)
    assert count(home) == 40


def test_the_newest_four_are_kept(home: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    names = iter(f"2026010{n}-000000" for n in range(1, 8))
    monkeypatch.setattr(time, "strftime", lambda *_: next(names))
    for _ in range(6):
        backup.make(home)
    kept = [path.name for path in backup.listed(home)]
    assert kept == [f"backup-2026010{n}-000000.zip" for n in (6, 5, 4, 3)]


def test_a_full_disk_loses_nothing(home: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    first = backup.make(home)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copies, "copy", fail)
    with pytest.raises(UserError, match="No space left"):
        backup.make(home)
    assert [path.name for path in (home.data_dir / "backups").iterdir()] == [first.name]


def test_what_a_killed_backup_left_is_removed(home: Config) -> None:
    folder = home.data_dir / "backups"
    (folder / "unpacked-x").mkdir(parents=True)
    (folder / "unpacked-x" / "bot.sqlite3").touch()
    (folder / "backup-1.partial").touch()
    for left in folder.iterdir():
        os.utime(left, (1, 1))
    path = backup.make(home)
    assert list(folder.iterdir()) == [path]


def damaged(path: Path, kind: str) -> Path:
    """A backup that is no good, made of one that is."""
    bad = path.with_name("bad.zip")
    if kind in ("empty", "garbage"):
        bad.write_bytes(b"" if kind == "empty" else os.urandom(5000))
        return bad
    if kind == "cut":
        bad.write_bytes(path.read_bytes()[:-100])
        return bad
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(bad, "w") as target:
        parts = {name: source.read(name) for name in source.namelist()}
        facts = json.loads(parts["backup.json"])
        if kind == "no facts":
            del parts["backup.json"]
        elif kind == "other release":
            parts["backup.json"] = json.dumps({**facts, "format": 99}).encode()
        elif kind == "no database":
            del parts["bot.sqlite3"]
        elif kind == "other database":
            parts["backup.json"] = json.dumps({**facts, "rows": {"messages": 7}}).encode()
        elif kind == "flipped":
            middle = len(parts["bot.sqlite3"]) // 2
            text = parts["bot.sqlite3"]
            parts["bot.sqlite3"] = text[: middle - 3000] + os.urandom(6000) + text[middle + 3000 :]
        elif kind == "path":
            parts["../../evil"] = b"x"
            parts["bot.sqlite3"] = b"no database"
        elif kind == "huge facts":
            parts["backup.json"] = b" " * 2_000_000
        for name, text in parts.items():
            target.writestr(name, text)
    return bad


KINDS = (
    *("empty", "garbage", "cut", "no facts", "other release", "no database", "other database"),
    *("flipped", "path", "huge facts"),
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_backup_is_a_sentence_and_changes_nothing(home: Config, kind: str) -> None:
    bad = damaged(backup.make(home), kind)
    with pytest.raises(UserError, match=r"bad\.zip is no backup"):
        backup.restore(bad, home)
    assert count(home) == 40
    assert not (home.data_dir.parent / "evil").exists()


def test_the_command_says_what_it_did(
    home: Config, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["backup", "--env", str(home.env_path), *arguments])
        code = backup.main()
        return code, "".join(capsys.readouterr())

    assert run("--make")[0] == 0
    (path,) = backup.listed(home)
    assert path.name in run("--list")[1]
    assert "can be restored" in run("--verify", str(path))[1]
    assert "Restored" in run("--restore", str(path))[1]
    code, said = run("--restore", "nowhere.zip")
    assert code == 78 and "Cannot read nowhere.zip" in said
