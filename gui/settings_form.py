"""The settings as a form without a window: read, checked, and kept where each belongs.

python -m gui.settings_form --list
python -m gui.settings_form --get NAME
python -m gui.settings_form --set NAME=VALUE [--set NAME=VALUE ...]
"""

import argparse
import contextlib
import dataclasses
import sqlite3
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bot import config
from bot.config import UserError
from data import policies, privacy
from gui import env_file, preferences
from gui.autostart import Autostart, command
from gui.first_run import finish
from gui.preferences import Preferences
from gui.settings_fields import (
    CHOICE,
    DATABASE,
    ENV,
    FIELDS,
    LAUNCHER,
    NO,
    SECRET,
    SWITCH,
    SYSTEM,
    YES,
)
from storage import database, shadow

MASK = "\u2022" * 12
_DEFAULTS = {
    "CONTEXT_LENGTH": "2048",
    "GPU_LAYERS": "0",
    "THREADS": "0",
    "LOG_LEVEL": "INFO",
    "EMBEDDER": "minilm",
}


class Refused(UserError):
    """Nothing was kept; `problems` says why, by the names of the fields."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{FIELDS[name].label}: {why}" for name, why in problems.items()))
        self.problems = dict(problems)


class Form:
    """The settings of one `.env` and of the launcher in `folder`, as texts by their names."""

    def __init__(
        self, env_path: Path | None, folder: Path, autostart: Autostart | None = None
    ) -> None:
        self._env_path, self._folder = env_path, folder
        self._here = finish.folders(env_path)
        self._autostart = autostart or Autostart(command())

    def load(self) -> dict[str, str]:
        """Every setting as it is now."""
        self._here = finish.folders(self._env_path)  # it may have been mended
        texts = env_file.read(self._here.env_path)
        own = dataclasses.asdict(preferences.read(self._folder))
        found = {"at_login": self._autostart.is_enabled, **_NO_DATABASE, **self._in_database()}
        for name, field in FIELDS.items():
            if field.home == ENV:
                found[name] = texts.get(name, "").strip() or _DEFAULTS.get(name, "")
            elif field.home == LAUNCHER:
                found[name] = own[name]
        return {name: _text(found[name]) for name in FIELDS}

    def load_live(self) -> dict[str, str]:
        """Every setting that others may change at any time; none while they cannot be read."""
        return {name: _text(value) for name, value in self._in_database().items() if name in FIELDS}

    def check(self, name: str, text: str) -> str:
        """What is wrong with a value, as a sentence; empty when it would do."""
        field = FIELDS[name]
        if not text.isprintable():
            return "It contains a character that cannot be kept. Type it again."
        if field.kind == SWITCH:
            return "" if text in (YES, NO) else f"Say {YES} or {NO}."
        if field.kind == CHOICE and field.home != ENV and text not in dict(field.choices):
            return f"Choose one of: {', '.join(value for value, _ in field.choices)}."
        if field.home != ENV:
            return ""
        try:
            config.check(name, text)
        except UserError as error:
            return str(error)
        if name in ("BASE_MODEL", "MODEL_PATH") and text and not self._file(text).is_file():
            return "There is no such file. Choose a GGUF file, or leave it empty."
        return ""

    def save(self, changes: Mapping[str, str]) -> Preferences:
        """Keep what was changed: everything, or by `Refused` and other `UserError` nothing.

        Gives back the launcher's own, which are left for the caller to keep.
        """
        if problems := {n: why for n, text in changes.items() if (why := self.check(n, text))}:
            raise Refused(problems)
        homes: dict[str, dict[str, str]] = {home: {} for home in (ENV, LAUNCHER, SYSTEM, DATABASE)}
        for name, text in changes.items():
            homes[FIELDS[name].home][name] = text
        if homes[ENV]:
            self._write_env(homes[ENV])
        if homes[DATABASE]:
            self._write_database(homes[DATABASE])
        for text in homes[SYSTEM].values():
            (self._autostart.enable if text == YES else self._autostart.disable)()
        kept = preferences.read(self._folder)
        own = {name: _value(getattr(kept, name), text) for name, text in homes[LAUNCHER].items()}
        return dataclasses.replace(kept, **own)

    def _write_env(self, values: dict[str, str]) -> None:
        path = self._here.env_path
        is_complete = config.works(path)
        try:
            env_file.write(path, values, needs_discord=is_complete)
            self._here = finish.folders(self._env_path)
            env_file.share(path, values)
        except OSError as error:
            raise UserError(
                f"Cannot write {path}: {error.strerror or error}. Make room, or make the folder "
                "one that you may write to, and save again."
            ) from None

    def _file(self, text: str) -> Path:
        return self._here.env_path.resolve().parent / Path(text).expanduser()

    def _in_database(self) -> dict[str, Any]:
        path = self._here.database_path
        with contextlib.suppress(UserError, sqlite3.OperationalError):
            if path.exists():
                with contextlib.closing(database.connect(path)) as connection:
                    return {
                        "shadow": shadow.is_on(connection),
                        "policy": policies.chosen(connection),
                        "consent_mode": privacy.consent_mode(connection),
                        "hush_words": database.recall(connection, "hush_words") or "",
                        **_numbers(database.settings(connection)),
                    }
        return {}

    def _write_database(self, values: dict[str, str]) -> None:
        with contextlib.closing(database.connect(self._here.database_path)) as connection:
            for name, text in values.items():
                if name == "consent_mode":
                    privacy.set_consent_mode(connection, text)
                elif name == "shadow":
                    shadow.switch(connection, text == YES)
                elif name == "policy":
                    policies.choose(connection, text)
                elif name in database.LIMITS:
                    database.change_setting(connection, name, text)
                else:
                    database.remember(connection, name, text)


def needs_restart(changes: Mapping[str, str]) -> bool:
    """Whether the bot must be started anew to follow."""
    return any(FIELDS[name].home == ENV for name in changes)


def _numbers(live: database.Settings) -> dict[str, str]:
    return {name: f"{value:g}" for name, value in dataclasses.asdict(live).items()}


_NO_DATABASE: dict[str, Any] = {
    "shadow": False,
    "policy": policies.LEARNED,
    "consent_mode": privacy.ADMIN,
    "hush_words": "",
    **_numbers(database.Settings()),
}


def _text(value: Any) -> str:
    return {True: YES, False: NO}[value] if isinstance(value, bool) else str(value)


def _value(before: Any, text: str) -> Any:
    """A preference of the type that it had before."""
    return text == YES if isinstance(before, bool) else type(before)(text)


def main() -> int:
    arguments = _arguments()
    folder = config.data_dir(arguments.env)
    form = Form(arguments.env, folder)
    shown = {name: _masked(name, text) for name, text in form.load().items()}
    try:
        changes = dict(_split(pair) for pair in arguments.set or ())
        for name in [*changes, *([arguments.get] if arguments.get else [])]:
            if name not in FIELDS:
                raise UserError(f"There is no setting {name!r}; --list shows them all.")
        if changes:
            preferences.write(folder, form.save(changes))
            print("Saved." + " Restart the bot to follow." * needs_restart(changes))
        elif arguments.get:
            print(shown[arguments.get])
        else:
            for name, text in shown.items():
                print(f"{name:20} {text:40} {FIELDS[name].label}")
    except OSError as error:
        return config.exit_with(UserError(f"Cannot write {folder}: {error.strerror}."))
    except UserError as error:
        return config.exit_with(error)
    return 0


def _masked(name: str, text: str) -> str:
    return MASK if FIELDS[name].kind == SECRET and text else text


def _split(pair: str) -> tuple[str, str]:
    name, equals, text = pair.partition("=")
    if not equals:
        raise UserError(f"{pair!r} is no NAME=VALUE.")
    return name.strip(), text.strip()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--list", action="store_true", help="show all settings, secrets masked")
    what.add_argument("--get", metavar="NAME", help="show one")
    what.add_argument("--set", metavar="NAME=VALUE", action="append", help="change one")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
