"""Start the launcher, minimised, when its owner logs in. Off unless switched on.

    python -m gui.autostart --status
    python -m gui.autostart --on
    python -m gui.autostart --off

Whether it is on is read from the system each time, as it can be changed there, too.
"""

import argparse
import configparser
import importlib
import os
import plistlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bot import config
from bot.config import ROOT, UserError

NAME = "Discord Personality Bot"
KEY = "DiscordPersonalityBot"
LABEL = "local.discord-personality-bot"  # the same as the file's name, as launchd has it

_RUN = r"Software\Microsoft\Windows\CurrentVersion\Run"
_APPROVED = r"Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"


def command() -> list[str]:
    """What is started at login: the Python that `.venv` was made from, which finds its way."""
    python = Path(getattr(sys, "_base_executable", "") or sys.executable)
    if sys.platform == "win32" and python.with_name("pythonw.exe").exists():
        python = python.with_name("pythonw.exe")  # without a console window
    return [str(python), str(ROOT / "launcher.py"), "--minimized"]


class Autostart:
    """The switch. `home` and `system` (as in `sys.platform`) are this computer's by default."""

    def __init__(
        self, command: Sequence[str], home: Path | None = None, system: str = sys.platform
    ) -> None:
        self._entry: RunKey | LaunchAgent | DesktopEntry
        if system == "win32":
            self._entry = RunKey(command)
        elif system == "darwin":
            self._entry = LaunchAgent(command, home or Path.home())
        else:
            self._entry = DesktopEntry(command, home)

    @property
    def is_enabled(self) -> bool:
        """Whether the system starts exactly this command at login."""
        try:
            return self._entry.is_enabled()
        except OSError:
            return False

    def enable(self) -> None:
        """Start at login. Raises `UserError` where the system does not let us."""
        try:
            self._entry.enable()
        except OSError as error:
            raise UserError(
                f"Start at login could not be switched on: {error.strerror}. "
                "Add launcher.py to your system's own list of start-up programs."
            ) from None

    def disable(self) -> None:
        """Do not. Raises `UserError` where the system does not let us."""
        try:
            self._entry.disable()
        except OSError as error:
            raise UserError(
                f"Start at login could not be switched off: {error.strerror}. "
                "Remove it from your system's own list of start-up programs."
            ) from None


class RunKey:
    """Windows: a value of the registry's Run key, which the Task Manager may veto in another."""

    def __init__(self, command: Sequence[str]) -> None:
        self._line = " ".join(f'"{argument}"' for argument in command)  # no path holds a quote
        self._registry: Any = importlib.import_module("winreg")

    def is_enabled(self) -> bool:
        return self._read(_RUN) == self._line and not self._is_vetoed()

    def enable(self) -> None:
        registry = self._registry
        with registry.CreateKey(registry.HKEY_CURRENT_USER, _RUN) as key:
            registry.SetValueEx(key, KEY, 0, registry.REG_SZ, self._line)
        self._delete(_APPROVED)

    def disable(self) -> None:
        self._delete(_RUN)
        self._delete(_APPROVED)

    def _is_vetoed(self) -> bool:
        veto = self._read(_APPROVED)
        return isinstance(veto, bytes) and veto[:1] != b"" and bool(veto[0] & 1)

    def _read(self, path: str) -> object:
        user = self._registry.HKEY_CURRENT_USER
        try:
            with self._registry.OpenKey(user, path) as key:
                return self._registry.QueryValueEx(key, KEY)[0]
        except FileNotFoundError:
            return None

    def _delete(self, path: str) -> None:
        user, access = self._registry.HKEY_CURRENT_USER, self._registry.KEY_SET_VALUE
        try:
            with self._registry.OpenKey(user, path, 0, access) as key:
                self._registry.DeleteValue(key, KEY)
        except FileNotFoundError:
            return  # it was not there


class LaunchAgent:
    """macOS: a property list that launchd reads at login."""

    def __init__(self, command: Sequence[str], home: Path) -> None:
        self._command = list(command)
        self._path = home / "Library" / "LaunchAgents" / f"{LABEL}.plist"

    def is_enabled(self) -> bool:
        try:
            fields = plistlib.loads(self._path.read_bytes())
        except (
            Exception
        ):  # it is not there, or plistlib raises whatever it stumbles over, expat's own kinds too
            return False
        return (
            isinstance(fields, dict)
            and fields.get("ProgramArguments") == self._command
            and fields.get("RunAtLoad") is True
            and fields.get("Disabled") is not True
        )

    def enable(self) -> None:
        fields = {
            "Label": LABEL,
            "ProgramArguments": self._command,
            "RunAtLoad": True,
            "ProcessType": "Interactive",
        }
        _write(self._path, plistlib.dumps(fields))

    def disable(self) -> None:
        self._path.unlink(missing_ok=True)


class DesktopEntry:
    """Linux: a desktop entry in the XDG folder of those started at login."""

    def __init__(self, command: Sequence[str], home: Path | None) -> None:
        self._exec = exec_line(command)
        self._path = _config_home(home) / "autostart" / "discord-personality-bot.desktop"

    def is_enabled(self) -> bool:
        parser = configparser.RawConfigParser(strict=False, delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment, method-assign]
        try:
            parser.read_string(self._path.read_text("utf-8"))
            entry = dict(parser["Desktop Entry"])
        except (configparser.Error, ValueError, KeyError):
            return False
        is_off = entry.get("Hidden") == "true" or entry.get("X-GNOME-Autostart-enabled") == "false"
        return entry.get("Exec") == self._exec and not is_off

    def enable(self) -> None:
        lines = ("[Desktop Entry]", "Type=Application", f"Name={NAME}", f"Exec={self._exec}")
        _write(self._path, "\n".join((*lines, "Terminal=false", "")).encode())

    def disable(self) -> None:
        self._path.unlink(missing_ok=True)


def exec_line(command: Sequence[str]) -> str:
    """A command as the value of `Exec`, by the Desktop Entry Specification."""
    return " ".join(_exec_argument(argument) for argument in command)


def _exec_argument(argument: str) -> str:
    # in this order: as the shell has it, field codes, then as any string of the file
    for character in ("\\", '"', "`", "$"):
        argument = argument.replace(character, f"\\{character}")
    quoted = f'"{argument}"'.replace("%", "%%").replace("\\", "\\\\")
    return quoted.replace("\n", "\\n").replace("\t", "\\t").replace("\r", "\\r")


def _config_home(home: Path | None) -> Path:
    if home:
        return home / ".config"
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".config"


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.partial")
    partial.write_bytes(content)
    os.replace(partial, path)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--on", action="store_true", help="start at login")
    what.add_argument("--off", action="store_true", help="do not")
    what.add_argument("--status", action="store_true", help="only say which it is")
    arguments = parser.parse_args()
    switch = Autostart(command())
    try:
        if arguments.on:
            switch.enable()
        elif arguments.off:
            switch.disable()
    except UserError as error:
        return config.exit_with(error)
    print(f"Start at login is {'on' if switch.is_enabled else 'off'}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
