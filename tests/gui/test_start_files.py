"""The files for a double click find a Python, the folder they lie in, and the launcher."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

import bootstrap
from bot.config import ROOT

FILES = ("start.bat", "start.command", "start.sh")
NEEDED = ("start.sh", "start.command", "bootstrap.py", "prerequisites.py", "setup_phase.py")
STUB = "import os, sys\nprint(os.getcwd(), *sys.argv[1:], sep='|')\nsys.exit(len(sys.argv) - 1)\n"

is_posix = pytest.mark.skipif(os.name == "nt", reason="a shell script")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the application in an awkward folder, with a launcher that says where it is."""
    made = tmp_path / "mein Bot äöü $HOME 'x' & (2)"
    made.mkdir()
    for name in NEEDED:
        shutil.copy(ROOT / name, made / name)
    (made / "launcher.py").write_text(STUB, "utf-8")
    return made


def tools(tmp_path: Path, pythons: dict[str, str]) -> str:
    """A PATH with what a shell script needs, and only these Pythons (name: what it runs)."""
    path = tmp_path / "tools"
    path.mkdir()
    for name in ("sh", "dirname", "readlink"):
        found = shutil.which(name)
        assert found
        (path / name).symlink_to(found)
    for name, line in pythons.items():
        (path / name).write_text(f"#!/bin/sh\n{line}\n")
        (path / name).chmod(0o755)
    return str(path)


def start(file: Path, path: str, words: Sequence[str] = ()) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [str(file), *words],
        cwd="/",
        env={"PATH": path, "LANG": "C.UTF-8", "CDPATH": "/tmp"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


GOOD = f'exec "{sys.executable}" "$@"'


@is_posix
@pytest.mark.parametrize("name", ["start.sh", "start.command"])
def test_it_starts_the_launcher_in_its_own_folder(folder: Path, tmp_path: Path, name: str) -> None:
    done = start(folder / name, tools(tmp_path, {"python3": GOOD}), ["--demo", "two words"])
    assert done.stdout == f"{folder}|--demo|two words\n", done.stderr
    assert done.returncode == 2


@is_posix
def test_a_link_on_the_desktop_finds_the_folder(folder: Path, tmp_path: Path) -> None:
    link = tmp_path / "Bot"
    link.symlink_to(folder / "start.sh")
    done = start(link, tools(tmp_path, {"python3": GOOD}))
    assert done.stdout == f"{folder}\n", done.stderr


@is_posix
def test_a_python_that_does_not_fit_is_passed_over(folder: Path, tmp_path: Path) -> None:
    too_old = f"echo 'Python 3.10 is needed' >&2; exit {bootstrap.NEEDS_A_PERSON}"
    path = tools(tmp_path, {"python3": too_old, "python3.11": GOOD, "python3.13": "exit 127"})
    done = start(folder / "start.sh", path)
    assert done.stdout == f"{folder}\n", done.stderr
    assert done.returncode == 0


@is_posix
def test_without_a_python_it_says_what_to_do(folder: Path, tmp_path: Path) -> None:
    done = start(folder / "start.sh", tools(tmp_path, {}))
    assert done.returncode == bootstrap.NEEDS_A_PERSON
    assert "Install one" in done.stderr and not done.stdout


@pytest.mark.parametrize("name", FILES)
def test_the_pythons_named_are_those_that_fit(name: str) -> None:
    text = (ROOT / name).read_text("ascii")
    if name == "start.command":
        return  # it leaves everything to start.sh
    oldest, newest = (f"{major}.{minor}" for major, minor in (bootstrap.OLDEST, bootstrap.NEWEST))
    assert f"No Python {oldest} to {newest} was found" in text
    for minor in range(bootstrap.OLDEST[1], bootstrap.NEWEST[1] + 1):
        assert f"3.{minor} " in text.replace('"', " ")


def test_each_system_gets_its_line_ends() -> None:
    for name in FILES:
        content = (ROOT / name).read_bytes()
        assert content.isascii()
        ends = content.count(b"\r\n"), content.count(b"\n")
        assert ends[0] == (ends[1] if name.endswith(".bat") else 0), name


def test_a_checkout_keeps_line_ends_and_the_exec_bit() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a checkout")
    staged = subprocess.run(
        ["git", "ls-files", "--stage", "--eol", *FILES], cwd=ROOT, capture_output=True, text=True
    ).stdout
    attributes = subprocess.run(
        ["git", "check-attr", "eol", *FILES], cwd=ROOT, capture_output=True, text=True
    ).stdout
    assert [line.split()[-1] for line in attributes.splitlines()] == ["crlf", "lf", "lf"]
    modes = {line.split()[-1]: line.split()[0] for line in staged.splitlines()}
    assert modes["start.sh"] == modes["start.command"] == "100755"


def test_the_batch_file_survives_awkward_folders() -> None:
    """Read by rules, as there is no Windows here: quoted folder, no delayed expansion, a pause."""
    lines = (ROOT / "start.bat").read_text("ascii").splitlines()
    assert lines[0] == "@echo off"
    assert any(line.startswith('pushd "%~dp0"') for line in lines)
    assert not any("enabledelayedexpansion" in line.lower() for line in lines)
    assert all("%~dp0" not in line or '"%~dp0"' in line for line in lines)
    targets = {word for line in lines for _, _, word in [line.partition("goto ")] if word}
    assert targets <= {line[1:] for line in lines if line.startswith(":")}
    assert lines[lines.index(":failed") + 1] == "pause"
    assert "%PYTHON% launcher.py %*" in lines
