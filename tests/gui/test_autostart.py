"""Start at login: off at first, on by the rules of each system, and read back from it."""

import ast
import configparser
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.config import ROOT, UserError
from gui import autostart
from gui.autostart import Autostart

AWKWARD = [
    "/usr/bin/python3",
    "C:\\Program Files\\Python\\pythonw.exe",
    "/srv/Jürgen Groß/mein Bot 100% $HOME `id` \"x\" 'y' \\z/launcher.py",
    "tab\tand\nline",
    "%f",
    "",
    "--minimized",
]
COMMAND = ["/opt/mein Bot äöü/python", "/opt/mein Bot äöü/launcher.py", "--minimized"]


class Registry:
    """The part of `winreg` that is used, on a dict."""

    HKEY_CURRENT_USER, KEY_SET_VALUE, REG_SZ = "HKCU", 2, 1

    def __init__(self) -> None:
        self.values: dict[str, dict[str, Any]] = {}

    def OpenKey(self, root: str, path: str, _: int = 0, access: int = 0) -> Any:
        if path not in self.values:
            raise FileNotFoundError(path)
        return self.CreateKey(root, path)

    def CreateKey(self, root: str, path: str) -> Any:
        key = SimpleNamespace(values=self.values.setdefault(path, {}))
        return _Opened(key)

    def QueryValueEx(self, key: Any, name: str) -> Any:
        if name not in key.values:
            raise FileNotFoundError(name)
        return key.values[name], 1

    def SetValueEx(self, key: Any, name: str, _: int, kind: int, value: str) -> None:
        assert kind == self.REG_SZ
        key.values[name] = value

    def DeleteValue(self, key: Any, name: str) -> None:
        if name not in key.values:
            raise FileNotFoundError(name)
        del key.values[name]


class _Opened:
    def __init__(self, key: Any) -> None:
        self._key = key

    def __enter__(self) -> Any:
        return self._key

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = Registry()
    monkeypatch.setitem(sys.modules, "winreg", made)
    return made


@pytest.fixture(params=["win32", "darwin", "linux"])
def switch(request: pytest.FixtureRequest, registry: Registry, tmp_path: Path) -> Autostart:
    return Autostart(COMMAND, tmp_path, request.param)


def test_it_is_off_until_switched_on(switch: Autostart, tmp_path: Path) -> None:
    assert not switch.is_enabled
    assert not list(tmp_path.rglob("*.*"))


def test_it_goes_on_and_off_and_on(switch: Autostart) -> None:
    for _ in range(2):
        switch.enable()
        switch.enable()
        assert switch.is_enabled
        switch.disable()
        switch.disable()
        assert not switch.is_enabled


@pytest.mark.parametrize("system", ["win32", "darwin", "linux"])
def test_another_folder_s_entry_is_not_ours(
    system: str, registry: Registry, tmp_path: Path
) -> None:
    Autostart(["python", "/elsewhere/launcher.py"], tmp_path, system).enable()
    assert not Autostart(COMMAND, tmp_path, system).is_enabled


def parsed_by_glib(value: str) -> list[str]:
    """`Exec` as GLib reads it: the string's escapes, the shell's quotes, then field codes."""
    escapes = {"s": " ", "n": "\n", "t": "\t", "r": "\r", "\\": "\\"}
    line = re.sub(r"\\(.)", lambda match: escapes[match[1]], value)
    # inside double quotes a shell unescapes the same four characters as GLib; Python's too few
    arguments = [re.sub(r"\\([$`])", r"\1", argument) for argument in shlex.split(line)]
    assert not any(re.search(r"(?<!%)(%%)*%(?!%)", argument) for argument in arguments)
    return [argument.replace("%%", "%") for argument in arguments]


def test_every_path_survives_the_desktop_entry() -> None:
    assert parsed_by_glib(autostart.exec_line(AWKWARD)) == AWKWARD


@pytest.mark.skipif(not shutil.which("gio"), reason="GLib's own launcher is not here")
def test_glib_itself_starts_what_was_meant(tmp_path: Path) -> None:
    script = tmp_path / "mein Bot 100% $HOME `äöü`" / 'say "it".py'
    script.parent.mkdir()
    heard = tmp_path / "heard"
    script.write_text(f"import sys; open({str(heard)!r}, 'w').write(repr(sys.argv[1:]))", "utf-8")
    words = AWKWARD[1:]
    Autostart([sys.executable, str(script), *words], tmp_path, "linux").enable()
    subprocess.run(["gio", "launch", str(desktop_entry(tmp_path))], check=True, timeout=20)
    give_up_at = time.monotonic() + 20
    while not (heard.exists() and heard.read_text("utf-8")):
        assert time.monotonic() < give_up_at
        time.sleep(0.02)
    assert ast.literal_eval(heard.read_text("utf-8")) == words


def desktop_entry(home: Path) -> Path:
    return home / ".config" / "autostart" / "discord-personality-bot.desktop"


@pytest.mark.parametrize("line", ["Hidden=true", "X-GNOME-Autostart-enabled=false"])
def test_what_the_desktop_switched_off_is_off(tmp_path: Path, line: str) -> None:
    switch = Autostart(COMMAND, tmp_path, "linux")
    switch.enable()
    with desktop_entry(tmp_path).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
    assert not switch.is_enabled
    switch.enable()
    assert switch.is_enabled


def test_a_desktop_entry_has_what_desktops_ask_for(tmp_path: Path) -> None:
    Autostart(COMMAND, tmp_path, "linux").enable()
    parser = configparser.RawConfigParser()
    parser.read_string(desktop_entry(tmp_path).read_text("utf-8"))
    entry = parser["Desktop Entry"]
    assert entry["Type"] == "Application" and entry["Name"] and entry["Terminal"] == "false"


@pytest.mark.parametrize(
    "content", [b"", b"\x00\xff\xfe", b"no section", b"[Desktop Entry]\nExec", b"<plist", b"[]" * 9]
)
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_spoiled_entry_counts_as_off_and_is_mended(
    tmp_path: Path, content: bytes, system: str
) -> None:
    switch = Autostart(COMMAND, tmp_path, system)
    switch.enable()
    (path,) = (found for found in tmp_path.rglob("*.*") if found.is_file())
    path.write_bytes(content)
    assert not switch.is_enabled
    switch.enable()
    assert switch.is_enabled


def test_launchd_is_given_the_words_one_by_one(tmp_path: Path) -> None:
    Autostart(AWKWARD[:3], tmp_path, "darwin").enable()
    (path,) = tmp_path.rglob("*.plist")
    fields = plistlib.loads(path.read_bytes())
    assert fields["ProgramArguments"] == AWKWARD[:3]
    assert fields["RunAtLoad"] is True and "KeepAlive" not in fields
    assert fields["Label"] == path.stem


def test_the_run_key_s_value_is_quoted(registry: Registry) -> None:
    Autostart(["C:\\Py thon\\pythonw.exe", "D:\\Größe\\launcher.py"], system="win32").enable()
    assert registry.values[autostart._RUN] == {
        autostart.KEY: '"C:\\Py thon\\pythonw.exe" "D:\\Größe\\launcher.py"'
    }


@pytest.mark.parametrize(("veto", "is_on"), [(b"\x03" + b"\0" * 11, False), (b"\x02", True)])
def test_the_task_manager_s_veto_counts(registry: Registry, veto: bytes, is_on: bool) -> None:
    switch = Autostart(COMMAND, system="win32")
    switch.enable()
    registry.values[autostart._APPROVED] = {autostart.KEY: veto}
    assert switch.is_enabled is is_on
    switch.enable()
    assert switch.is_enabled


def test_a_folder_that_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".config").write_text("in the way", "utf-8")
    switch = Autostart(COMMAND, tmp_path, "linux")
    with pytest.raises(UserError, match="could not be switched on"):
        switch.enable()
    assert not switch.is_enabled


def test_what_starts_is_the_launcher_by_a_python_outside_of_venv() -> None:
    python, script, *rest = autostart.command()
    assert Path(script).is_file() and rest == ["--minimized"]
    assert Path(python).is_file() and ".venv" not in Path(python).parts


@pytest.mark.skipif(sys.platform != "linux", reason="a fake home is an XDG folder")
def test_the_command_line_is_its_twin(tmp_path: Path) -> None:
    def say(option: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "gui.autostart", option],
            cwd=ROOT,
            env={"XDG_CONFIG_HOME": str(tmp_path / "mein Bot"), "PATH": ""},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    words = [say(option) for option in ("--status", "--on", "--status", "--off")]
    assert [line.split()[-1] for line in words] == ["off.", "on.", "on.", "off."]
