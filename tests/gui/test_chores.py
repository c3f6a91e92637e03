"""What the launcher does by itself: when it is due, and that it is done."""

import os
import time
import zipfile
from pathlib import Path

import pytest

from gui.chores import AGAIN_SECONDS, BACKUP, BACKUP_SECONDS, FIRST_SECONDS, FORGET, Chores
from gui.preferences import Preferences
from gui.presenter import Presenter
from gui.session import Session, Way
from storage import database

DAY = 86_400.0


def backup_of(folder: Path, made_at: float) -> None:
    path = folder / "backups" / "backup-1.zip"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    os.utime(path, (made_at, made_at))


def test_nothing_is_due_at_a_start(tmp_path: Path) -> None:
    assert Chores(tmp_path, 0.0).due(Preferences(keep_messages_days=30), FIRST_SECONDS - 1) is None


def test_a_backup_is_due_every_week(tmp_path: Path) -> None:
    now = 100 * DAY
    chores, prefer = Chores(tmp_path, now - DAY), Preferences()
    backup_of(tmp_path, now - BACKUP_SECONDS + 60)
    assert chores.due(prefer, now) is None
    assert chores.due(prefer, now + 60) == (BACKUP, [])


def test_what_fails_is_tried_again_after_a_day(tmp_path: Path) -> None:
    now, prefer = 100 * DAY, Preferences()
    chores = Chores(tmp_path, now - DAY)
    assert chores.due(prefer, now) == (BACKUP, [])
    assert chores.due(prefer, now + AGAIN_SECONDS - 1) is None
    assert chores.due(prefer, now + AGAIN_SECONDS) == (BACKUP, [])


def test_who_wants_no_backups_gets_none(tmp_path: Path) -> None:
    assert Chores(tmp_path, 0.0).due(Preferences(backs_up_weekly=False), 100 * DAY) is None


def test_old_messages_go_only_when_asked(tmp_path: Path) -> None:
    prefer = Preferences(backs_up_weekly=False, keep_messages_days=365)
    chores = Chores(tmp_path, 0.0)
    assert chores.due(prefer, DAY) == (FORGET, ["--days", "365"])
    assert chores.due(prefer, DAY + 60) is None


@pytest.mark.timeout(120)
def test_the_beat_makes_a_backup_and_keeps_the_log(session: Session, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={tmp_path}\nMODELS_DIR={tmp_path / 'models'}\n")
    made = Session(**{**vars(session), "env_path": env, "database_path": tmp_path / "x.sqlite3"})
    made.database_path.touch()
    presenter = Presenter(Way(lambda report: made))
    presenter.say("INFO", "hello")
    while presenter.session is None:
        presenter.tick(time.time())
    presenter.tick(time.time() + FIRST_SECONDS + 1)
    assert presenter.pipeline and presenter.pipeline.view.title == "Backing up"
    while presenter.pipeline.is_running:
        presenter.tick(time.time())
        time.sleep(0.02)
    presenter.end()
    assert presenter.pipeline.view.title == "Back up: done", presenter.pipeline.view
    assert len(list((tmp_path / "backups").glob("backup-*.zip"))) == 1
    (log,) = (tmp_path / "logs").iterdir()
    assert "hello" in log.read_text()


@pytest.mark.timeout(120)
def test_every_server_is_backed_up_into_its_own_folder(
    two_servers: Session, tmp_path: Path
) -> None:
    everywhere = (two_servers, *two_servers.others)
    for one in everywhere:
        assert one.env_path
        one.env_path.write_text(f"DATA_DIR={one.data_dir}\nMODELS_DIR={one.data_dir / 'models'}\n")
        path = one.data_dir / "database" / "bot.sqlite3"
        database.remember(database.connect(path), "whose", str(one.server_id))
    presenter = Presenter(Way(lambda report: two_servers))
    give_up_at = time.monotonic() + 90
    while len(found := [*tmp_path.rglob("backup-*.zip")]) < 2 or presenter.pipeline.is_running:
        assert time.monotonic() < give_up_at, presenter.pipeline.view
        presenter.tick(time.time() + FIRST_SECONDS + 1 if presenter.session else time.time())
        time.sleep(0.02)
    presenter.end()
    assert {path.parent.parent for path in found} == {one.data_dir for one in everywhere}
    for one in everywhere:
        (path,) = (one.data_dir / "backups").glob("backup-*.zip")
        with zipfile.ZipFile(path) as archive:
            archive.extract("bot.sqlite3", tmp_path / "unpacked")
        unpacked = database.connect(tmp_path / "unpacked" / "bot.sqlite3")
        assert database.recall(unpacked, "whose") == str(one.server_id)
        unpacked.close()
