"""Looks this computer and the settings over, and says what to do where something is wrong.

    python doctor.py [--env PATH] [--offline] [--json]
    python doctor.py --diagnostics FILE.zip [--env PATH] [--offline]

Exit code 0 when nothing is bad, or the zip is written, else 1. `--diagnostics` writes what may be
shown to somebody who helps: no token, no message, no name and no id.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import email.utils
import json
import os
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from bot import addresses, config, more_servers
from bot.config import Config, UserError
from computer import BAD, OK, ON_THE_COMPUTER, WARN, Found
from data import discord_setup
from model import base_models, catalog, chat_server
from model.inference import EngineError
from storage import database, lock_file, recall_trouble

SKEW_SECONDS = 30.0
BACKUP_DAYS = 14
ALIVE_SECONDS = 15.0  # since the bot's last heartbeat
LEAST_DISK, LITTLE_DISK = 3e8, 3e9  # bytes


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found: how it is (`ok`, `warn` or `bad`), and a sentence with the way out."""

    name: str
    state: str
    text: str


def examine(env_path: Path | None, is_offline: bool = False) -> Iterator[Finding]:
    """Everything there is to look at, one after the other."""
    for name, check in ON_THE_COMPUTER.items():
        yield _finding(name, check)
    try:
        settings = config.load(env_path)
    except (UserError, OSError) as error:
        yield Finding("Settings", BAD, str(error))
        try:
            settings = config.load(env_path, needs_discord=False)
        except (UserError, OSError):
            return
    else:
        yield Finding("Settings", OK, f"{settings.env_path} is complete.")
        yield from _further(settings)
    for name, look in IN_THE_SETTINGS.items():
        if name not in ONLINE or (settings.token and not is_offline):
            yield _finding(name, partial(look, settings))


def _further(first: Config) -> Iterator[Finding]:
    """The settings of each further server."""
    known = [first]

    def look(path: Path) -> Found:
        known.append(more_servers.beside(known, path))
        return OK, f"{path} is complete."

    for path in more_servers.paths(first.env_path):
        yield _finding("Settings", partial(look, path))


def _finding(name: str, check: Callable[[], Found]) -> Finding:
    try:
        return Finding(name, *check())
    except UserError as error:
        return Finding(name, BAD, str(error))
    except Exception as error:
        return Finding(name, BAD, f"It could not be looked at ({type(error).__name__}: {error}).")


def _folder(settings: Config) -> Found:
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryFile(dir=settings.data_dir) as file:
        file.write(b"x")
    free = base_models.free_disk(settings.data_dir)
    text = f"{free / 1e9:.1f} GB are free in {settings.data_dir}."
    if free < LITTLE_DISK:
        return BAD if free < LEAST_DISK else WARN, f"{text} Make room."
    return OK, text


def _database(settings: Config) -> Found:
    if not settings.database_path.exists():
        return OK, "There is none yet."
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        problem = database.find_damage(connection)
    if problem:
        return BAD, (
            f"It is damaged ({problem}). Stop the bot and go back to a backup: "
            "python -m data.backup --list"
        )
    return OK, f"It is whole, {settings.database_path.stat().st_size / 1e6:,.0f} MB."


def _model(settings: Config) -> Found:
    if settings.engine_url:
        return _sent_to(settings.engine_url)
    chosen = None
    if settings.database_path.exists():
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            chosen = database.chosen_path(connection)
    path = settings.model_path or chosen or settings.base_model
    if path is None:
        path = settings.models_dir / "base" / Path(catalog.SMALL_MODEL.member).name
        if not path.exists():
            return OK, "The small model is fetched at the first start."
    catalog.check_gguf(path)
    catalog.base_of(path)  # raises where an adapter's base is gone
    text = f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB"
    known = _known_sha256(path)
    if known and catalog.sha256(path) != known:
        return BAD, (
            f"{path} was changed or damaged: its sha256 is not the one that is known. Delete it, "
            "then start again for the small model, or run scripts/5_deploy_bot.py for your own."
        )
    return OK, f"{text}, {'whole' if known else 'of which no sha256 is known'}."


def _sent_to(url: str) -> Found:
    host = urlsplit(url).hostname
    if addresses.is_here(url):
        return OK, f"None is needed: a server on this computer replies ({host})."
    return WARN, f"{host} replies: what members write is sent there (ENGINE_URL in .env)."


def _server(settings: Config) -> Found:
    if not settings.engine_url:
        return OK, "None is asked for replies."
    key, wanted = settings.engine_key, settings.engine_model
    try:
        name = asyncio.run(chat_server.find_model(settings.engine_url, key, wanted))
    except EngineError as error:
        return BAD, f"{settings.engine_url}: {error}. Start it, or correct ENGINE_URL in .env."
    return OK, f"It has the model {name}."


def _known_sha256(path: Path) -> str | None:
    """What the release, or the manifest beside a model, says of a file; None where neither does.

    The manifest is read here, as `model/registry.py` loads llama.cpp, of which we may have to say
    that it crashes.
    """
    if path.name == Path(catalog.SMALL_MODEL.member).name:
        return catalog.SMALL_MODEL.sha256
    try:
        facts = json.loads((path.parent / "manifest.json").read_text("utf-8"))
        return str(facts["files"][path.name.split(".")[-2]]["sha256"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None


def _recall(settings: Config) -> Found:
    trouble = None
    if settings.database_path.exists():
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            trouble = recall_trouble.find(connection)
    if trouble is None:
        return OK, "Nothing is known to be wrong with it."
    since = time.strftime("%Y-%m-%d %H:%M", time.localtime(trouble[1]))
    return WARN, (
        f"The bot fails to look up older messages since {since} ({trouble[0]}). See its log; with "
        f"the bot stopped, {settings.embeddings_dir} may be deleted: it is made anew."
    )


def _running(settings: Config) -> Found:
    is_open = _is_held(settings.data_dir / "instance" / "lock")
    beat = None
    if settings.database_path.exists():
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            beat = database.heartbeat(connection, "bot")
    if beat and abs(time.time() - beat.beat_at) < ALIVE_SECONDS:
        if is_open:
            return OK, f"The launcher is open, and the bot runs (process {beat.pid})."
        return WARN, (
            f"The bot runs without a launcher (process {beat.pid}). End it before you start "
            "another: two bots would both reply."
        )
    return OK, "The launcher is open; the bot rests." if is_open else "Nothing runs at present."


def _is_held(lock: Path) -> bool:
    if not lock.exists():
        return False
    try:
        with lock_file.held(lock, "the launcher is open"):
            return False
    except UserError:
        return True


def _backups(settings: Config) -> Found:
    folder = settings.data_dir / "backups"
    made = [path.stat().st_mtime for path in folder.glob("backup-*.zip")]
    if not made:
        return WARN, "There is none. Make one: python -m data.backup --make"
    days = (time.time() - max(made)) / 86_400
    if days > BACKUP_DAYS:
        return WARN, f"The newest is {days:.0f} days old. Make one: python -m data.backup --make"
    return OK, f"The newest is {days:.0f} days old."


def _discord(settings: Config) -> Found:
    found = discord_setup.application(settings.api_base, settings.token)
    if not found.may_read_messages:
        return BAD, (
            f"The Message Content Intent is off: the bot would see empty messages. Switch it on "
            f"at {found.intents_page}"
        )
    return OK, "Discord accepts the token, and the bot may read messages."


def _clock(settings: Config) -> Found:
    try:
        with urllib.request.urlopen(f"{settings.api_base}/gateway", timeout=10) as answer:
            stamp = answer.headers["Date"]
    except urllib.error.HTTPError as error:
        stamp = error.headers["Date"]
    skew = time.time() - email.utils.parsedate_to_datetime(stamp).timestamp()
    if abs(skew) > SKEW_SECONDS:
        return WARN, f"The clock is {abs(skew):,.0f} s off. Switch on setting it by the network."
    return OK, "The clock is right."


IN_THE_SETTINGS: dict[str, Callable[[Config], Found]] = {
    "Data folder": _folder,
    "Database": _database,
    "Model": _model,
    "Server": _server,
    "Recall": _recall,
    "Running": _running,
    "Backups": _backups,
    "Discord": _discord,
    "Clock": _clock,
}
ONLINE = ("Server", "Discord", "Clock")


def main(given: Sequence[str] | None = None) -> int:
    """Print what there is to say; `given` are the command line's arguments."""
    arguments = _arguments(given)
    findings = []
    for finding in examine(arguments.env, arguments.offline):
        findings.append(finding)
        if not arguments.json:
            print(f"{finding.state.upper():5} {finding.name:12} {finding.text}", flush=True)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=1))
    if arguments.diagnostics:
        import diagnostics

        try:
            diagnostics.write(arguments.diagnostics, arguments.env, findings)
        except OSError as error:
            reason = error.strerror or error
            return config.exit_with(UserError(f"Cannot write {arguments.diagnostics}: {reason}."))
        if not arguments.json:
            print(f"Wrote {arguments.diagnostics}. Look into it before you send it to anybody.")
        return 0
    return int(any(finding.state == BAD for finding in findings))


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--offline", action="store_true", help="ask neither Discord nor a server")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--diagnostics", type=Path, metavar="FILE", help="write a zip to send")
    return parser.parse_args(given)


if __name__ == "__main__":
    if os.environ.get("PYTHONUTF8") != "1":
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main())
