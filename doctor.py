"""Looks this computer and the settings over, and says what to do where something is wrong.

    python doctor.py [--env PATH] [--offline] [--json]
    python doctor.py --diagnostics FILE.zip [--env PATH] [--offline]

Exit code 0 when nothing is bad, or the zip is written, else 1. `--diagnostics` writes what may be
shown to somebody who helps: no token, no message, no name and no id.
"""

import argparse
import contextlib
import dataclasses
import email.utils
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import bootstrap
from bot import config
from bot.config import ROOT, Config, UserError
from data import backup, discord_setup
from model import base_models, catalog
from storage import database

OK, WARN, BAD = "ok", "warn", "bad"
ASK_SECONDS = 30.0
SKEW_SECONDS = 30.0
BACKUP_DAYS = 14
LEAST_MEMORY, LEAST_DISK, LITTLE_DISK = 1.5e9, 3e8, 3e9  # bytes

_TK = """
import tkinter
root = tkinter.Tk()
root.withdraw()
print(root.tk.call("info", "patchlevel"))
with __import__("contextlib").suppress(tkinter.TclError):
    print(root.tk.call("tk::pkgconfig", "get", "fontsystem"))
"""
_ENGINE = """
import llama_cpp
print(llama_cpp.__version__)
print(llama_cpp.llama_print_system_info().decode().strip())
"""
_GRAPHICS = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a check found: how it is (`ok`, `warn` or `bad`), and a sentence with the way out."""

    name: str
    state: str
    text: str


Found = tuple[str, str]  # state and sentence


def examine(env_path: Path | None, is_offline: bool = False) -> Iterator[Finding]:
    """Everything there is to look at, one after the other."""
    for name, check in ON_THE_COMPUTER.items():
        yield _finding(name, check)
    try:
        settings = config.load(env_path)
    except UserError as error:
        yield Finding("Settings", BAD, str(error))
        try:
            settings = config.load(env_path, needs_discord=False)
        except UserError:
            return
    else:
        yield Finding("Settings", OK, f"{settings.env_path} is complete.")
    for name, look in IN_THE_SETTINGS.items():
        if name not in ONLINE or (settings.token and not is_offline):
            yield _finding(name, partial(look, settings))


def _finding(name: str, check: Callable[[], Found]) -> Finding:
    try:
        return Finding(name, *check())
    except UserError as error:
        return Finding(name, BAD, str(error))
    except Exception as error:
        return Finding(name, BAD, f"It could not be looked at ({type(error).__name__}: {error}).")


def _python() -> Found:
    version = ".".join(map(str, sys.version_info[:3]))
    if not bootstrap.OLDEST <= sys.version_info[:2] <= bootstrap.NEWEST:
        return BAD, f"Python {version} does not fit. Install Python 3.12 and start again."
    return OK, f"Python {version}."


def _window() -> Found:
    code, said = _ask([sys.executable, "-c", _TK])
    if code:
        reason = said.splitlines()[-1] if said else "it crashed"
        return WARN, f"No window can be opened ({reason}). Use: python3 launcher.py --headless"
    version, _, fonts = said.partition("\n")
    if fonts and "xft" not in fonts:
        return WARN, f"Tk {version} draws fonts without Xft, which looks rough. Use another Python."
    return OK, f"Tk {version}."


def _engine() -> Found:
    code, said = _ask([sys.executable, "-c", _ENGINE])
    if code:
        return BAD, (
            "llama.cpp does not load on this processor. Delete the folder .venv and start again: "
            f"it is then compiled here. ({said.splitlines()[-1] if said else f'exit code {code}'})"
        )
    version, _, features = said.partition("\n")
    return OK, f"llama-cpp-python {version}; {features}"


def _memory() -> Found:
    machine = base_models.this_machine(ROOT)
    text = f"{machine.free_memory / 1e9:.1f} of {machine.memory / 1e9:.1f} GB are free."
    if machine.free_memory < LEAST_MEMORY:
        return WARN, f"{text} Close other programs, or choose a smaller model."
    return OK, text


def _graphics() -> Found:
    if shutil.which(_GRAPHICS[0]):
        code, said = _ask(_GRAPHICS)
        if not code and said:
            return OK, f"{said.splitlines()[0]}. Set GPU_LAYERS=-1 to use it."
    return OK, "No NVIDIA card was found; none is needed."


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
    deployed = None
    if settings.database_path.exists():
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            deployed = database.deployed_model(connection)
    path = settings.model_path or (deployed and deployed.path) or settings.base_model
    if path is None:
        path = settings.models_dir / "base" / Path(catalog.SMALL_MODEL.member).name
        if not path.exists():
            return OK, "The small model is fetched at the first start."
    catalog.check_gguf(path)
    return OK, f"{path.name}, {path.stat().st_size / 1e6:,.0f} MB."


def _backups(settings: Config) -> Found:
    made = backup.listed(settings)
    if not made:
        return WARN, "There is none. Make one: python -m data.backup --make"
    days = (time.time() - made[0].stat().st_mtime) / 86_400
    state = WARN if days > BACKUP_DAYS else OK
    return state, f"The newest is {days:.0f} days old."


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


ON_THE_COMPUTER: dict[str, Callable[[], Found]] = {
    "Python": _python,
    "Window": _window,
    "Engine": _engine,
    "Memory": _memory,
    "Graphics": _graphics,
}
IN_THE_SETTINGS: dict[str, Callable[[Config], Found]] = {
    "Data folder": _folder,
    "Database": _database,
    "Model": _model,
    "Backups": _backups,
    "Discord": _discord,
    "Clock": _clock,
}
ONLINE = ("Discord", "Clock")


def _ask(command: list[str] | tuple[str, ...]) -> tuple[int, str]:
    """The exit code of a program and what it said last; it may crash or hang."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=ASK_SECONDS,
            cwd=ROOT,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, str(error)
    return done.returncode, done.stdout.strip()


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
        print(f"Wrote {arguments.diagnostics}. Look into it before you send it to anybody.")
        return 0
    return int(any(finding.state == BAD for finding in findings))


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--offline", action="store_true", help="ask Discord nothing")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--diagnostics", type=Path, metavar="FILE", help="write a zip to send")
    return parser.parse_args(given)


if __name__ == "__main__":
    if os.environ.get("PYTHONUTF8") != "1":
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
    sys.exit(main())
