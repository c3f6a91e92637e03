"""Ruff and mypy find nothing, for each system that the program runs on."""

import subprocess
import sys

import pytest

from bot.config import ROOT


def _run(*command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"


def test_ruff_finds_nothing() -> None:
    _run("ruff", "check")


def test_code_is_formatted() -> None:
    _run("ruff", "format", "--check")


@pytest.mark.parametrize("platform", ["linux", "win32", "darwin"])
def test_types_hold(platform: str) -> None:
    # a cache for each: mypy throws one away when the platform changes
    _run("mypy", "--platform", platform, "--cache-dir", f".mypy_cache/{platform}")
