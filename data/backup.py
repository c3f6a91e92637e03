"""Backups of what cannot be made again: the database, the settings, the model in use.

    python -m data.backup --make [--with-token] [--no-model]
    python -m data.backup --list | --verify FILE | --restore FILE

A backup is a zip in data_storage/backups, for its owner's eyes; the newest four are kept. The model
lies beside it as a bundle, once for all backups. Erasing somebody deletes them all: they would
bring the person back.
"""

import argparse
import contextlib
import itertools
import json
import os
import re
import shutil
import sqlite3
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot import config as settings_file
from bot.config import Config, UserError
from data import erasure
from storage import copies, database

FORMAT = 1
KEPT = 4
DATABASE, FACTS, ENV, LAUNCHER = MEMBERS = ("bot.sqlite3", "backup.json", ".env", "launcher.json")
ALIVE_SECONDS = 15.0  # since the last heartbeat

_UNPACKED = "unpacked-"
_ABANDONED_SECONDS = 3600.0
_SMALL = 1_000_000  # bytes of anything but the database
_SPARE = 50_000_000  # of disk space
_NAME = re.compile(r"backup-[\d-]+\.zip")
_SECRET = re.compile(r"(?m)^(\s*(?:export\s+)?(?:DISCORD_TOKEN|ENGINE_KEY)\s*=).*$")
_GARBAGE = (zipfile.BadZipFile, zipfile.LargeZipFile, EOFError, ValueError, RuntimeError, KeyError)


def make(settings: Config, with_token: bool = False, with_model: bool = True) -> Path:
    """Write a backup, see that it can be restored, and forget the oldest; its path.

    Raises `UserError` when the disk is full or the copy is no good; nothing is lost then.
    """
    folder = _folder(settings)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = _unused(folder / f"backup-{time.strftime('%Y%m%d-%H%M%S')}.zip")
    partial = path.with_suffix(".partial")
    _clear_up(folder)
    try:
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            if with_model:
                _keep_model(connection, settings, folder)
            with tempfile.TemporaryDirectory(prefix=_UNPACKED, dir=folder) as name:
                _pack(connection, settings, Path(name) / DATABASE, partial, with_token)
        verify(partial)
        os.replace(partial, path)
    except OSError as error:
        raise UserError(
            f"The backup could not be written: {error.strerror or error}. Make room in {folder}."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    for old in listed(settings)[KEPT:]:
        old.unlink(missing_ok=True)
    return path


def listed(settings: Config) -> list[Path]:
    """The backups, newest first."""
    folder = _folder(settings)
    found = (path for path in folder.glob("*.zip") if _NAME.fullmatch(path.name))
    return sorted(found, key=lambda path: path.stem, reverse=True)


def verify(path: Path) -> dict[str, Any]:
    """Restore a backup to a temporary file and look it over; what it says of itself.

    Raises `UserError` where it could not be restored.
    """
    with _unpacked(path) as (_, facts):
        return facts


def restore(path: Path, settings: Config) -> str:
    """Put a backup in the place of what is there, which is backed up first; what was done.

    Whoever has been excluded since stays out. Raises `UserError` while the bot runs, and for a
    backup that is no good; everything is as it was then.
    """
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        beat = database.heartbeat(connection, "bot")
        if beat and abs(time.time() - beat.beat_at) < ALIVE_SECONDS:
            raise UserError("The bot is running. Stop it, wait a moment, and restore again.")
        excluded = database.excluded_users(connection)
    with (
        _unpacked(path) as (copy, facts),
        contextlib.closing(database.connect(settings.database_path)) as connection,
    ):
        before = make(settings, with_model=False)  # may forget the oldest, which was read already
        copies.put_back(copy, connection)
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        back = sorted(excluded - database.excluded_users(connection))
        for person in back:
            erasure.erase(settings, connection, person)
    made_at = time.strftime("%Y-%m-%d %H:%M", time.localtime(facts["made_at"]))
    said = f"Restored the database of {made_at}. What was there before is in {before.name}."
    if back:
        said += f" {len(back)} who were excluded since were taken out again; run step 2 anew."
    return said


def _pack(
    connection: sqlite3.Connection, settings: Config, copy: Path, partial: Path, with_token: bool
) -> None:
    need = settings.database_path.stat().st_size
    if shutil.disk_usage(partial.parent).free < 2 * need + _SPARE:
        raise OSError(28, f"{2 * need / 1e6:,.0f} MB are needed")
    copies.copy(connection, copy)
    facts = {"format": FORMAT, "made_at": round(time.time(), 1), "rows": copies.rows(copy)}
    partial.unlink(missing_ok=True)
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with (
        os.fdopen(descriptor, "wb") as file,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
    ):
        archive.write(copy, DATABASE)
        archive.writestr(FACTS, json.dumps(facts))
        if settings.env_path.exists():
            text = settings.env_path.read_text("utf-8-sig", "replace")
            archive.writestr(ENV, text if with_token else _SECRET.sub(r"\1", text))
        launcher = settings.data_dir / LAUNCHER
        if launcher.exists():
            archive.write(launcher, LAUNCHER)


def _keep_model(connection: sqlite3.Connection, settings: Config, folder: Path) -> None:
    """Bundle the model in use, where there is one and it was not bundled before."""
    from model import bundle, export  # llama.cpp: a backup must come back where it does not load

    model = database.deployed_model(connection)
    if model is None or not model.path.exists():
        return
    quant = model.path.stem.rpartition(".")[2]
    target = folder / f"{model.name}-{quant}.zip"
    if not target.exists():
        with contextlib.suppress(UserError):  # an adapter, or one of unknown origin: no bundle
            bundle.write(export.find(settings.models_dir, model.name, quant), target)


@contextlib.contextmanager
def _unpacked(path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """A backup's database in a temporary folder, looked over, and its facts."""
    try:
        with (
            tempfile.TemporaryDirectory(prefix=_UNPACKED, dir=path.parent) as name,
            zipfile.ZipFile(path) as archive,
        ):
            facts = json.loads(_read(archive, FACTS))
            if facts["format"] != FORMAT:
                raise ValueError("it was made by another release")
            info = archive.getinfo(DATABASE)
            if shutil.disk_usage(name).free < 2 * info.file_size + _SPARE:
                raise OSError(28, f"{2 * info.file_size / 1e6:,.0f} MB are needed")
            copy = Path(name) / DATABASE
            with archive.open(info) as source, copy.open("wb") as target:
                copy.chmod(0o600)
                shutil.copyfileobj(source, target, 1 << 20)
            if copies.rows(copy) != facts["rows"]:
                raise ValueError("its database is not the one that was packed")
            yield copy, facts
    except _GARBAGE as error:
        raise UserError(
            f"{path.name} is no backup that can be restored: {str(error) or 'it is damaged'}. "
            "--list shows the others."
        ) from None
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror or error}.") from None


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    if archive.getinfo(name).file_size > _SMALL:
        raise ValueError(f"its {name} is too large")
    return archive.read(name)


def _clear_up(folder: Path) -> None:
    """Remove what a backup that was killed left behind."""
    for left in (*folder.glob("*.partial"), *folder.glob(f"{_UNPACKED}*")):
        if time.time() - left.stat().st_mtime > _ABANDONED_SECONDS:
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def _unused(path: Path) -> Path:
    numbers = itertools.count(2)
    free = path
    while free.exists():
        free = path.with_stem(f"{path.stem}-{next(numbers)}")
    return free


def _folder(settings: Config) -> Path:
    return settings.data_dir / "backups"


def main() -> int:
    arguments = _arguments()
    try:
        settings = settings_file.load(arguments.env, needs_discord=False)
        if arguments.make:
            path = make(settings, arguments.with_token, not arguments.no_model)
            print(f"Wrote {path}, {path.stat().st_size / 1e6:,.1f} MB, and restored it to be sure.")
        elif arguments.verify:
            facts = verify(arguments.verify)
            print(f"It can be restored: {sum(facts['rows'].values()):,} rows.")
        elif arguments.restore:
            print(restore(arguments.restore, settings))
        else:
            for path in listed(settings):
                print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB")
    except UserError as error:
        return settings_file.exit_with(error)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--make", action="store_true", help="write a backup")
    what.add_argument("--list", action="store_true", help="show the backups")
    what.add_argument("--verify", type=Path, metavar="FILE", help="see that one can be restored")
    what.add_argument("--restore", type=Path, metavar="FILE", help="go back to one")
    parser.add_argument("--with-token", action="store_true", help="keep the bot's token, too")
    parser.add_argument("--no-model", action="store_true", help="without the model in use")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
