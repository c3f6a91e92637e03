"""The first run in a terminal: the same questions, answered by lines."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import config
from bot.config import ROOT
from sandbox.server import Sandbox
from tests.loopback import running, small_world


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(small_world(), has_rate_limits=False)) as found:
        yield found


def talk(sandbox: Sandbox, folder: Path, *lines: str) -> "subprocess.CompletedProcess[str]":
    env_path = folder / ".env"
    if not env_path.exists():
        here = f"DATA_DIR={folder}/data\nMODELS_DIR={folder}/models\n"
        env_path.write_text(f"DISCORD_API_BASE={sandbox.api}\n{here}", "utf-8")
    base = folder / "models" / "base"
    base.mkdir(parents=True, exist_ok=True)
    (base / "gemma-3-1b-it-Q4_K_M.gguf").write_bytes(b"GGUF")  # it need not be fetched
    command = [sys.executable, "-m", "gui.first_run", "--env", str(env_path)]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("DISCORD")}
    said = "".join(f"{line}\n" for line in lines)
    return subprocess.run(
        command, cwd=ROOT, env=clean, input=said, capture_output=True, text=True, timeout=60
    )


def _number(output: str, title: str) -> str:
    """The number before a choice."""
    line = next(line for line in output.splitlines() if title in line and "." in line[:5])
    return line.strip(" *").partition(".")[0]


def test_a_terminal_leads_to_a_working_env(sandbox: Sandbox, tmp_path: Path) -> None:
    token = sandbox.world.token
    looked = talk(sandbox, tmp_path, "", token, "", "1")
    gemma = _number(looked.stdout, "Gemma")
    done = talk(sandbox, tmp_path, "", "hunter2", f"Bot {token}", "1 2", "1", gemma)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "three parts" in done.stdout and token not in done.stdout + done.stderr
    settings = config.load(tmp_path / ".env")
    assert settings.server_id == sandbox.world.guild_id and len(settings.channel_ids) == 2
    assert settings.base_model and settings.base_model.name.startswith("gemma")


def test_giving_up_in_a_terminal_writes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    done = talk(sandbox, tmp_path, "", sandbox.world.token)  # and then nothing more comes
    assert done.returncode == 130 and "Nothing was written" in done.stdout
    assert "DISCORD_TOKEN" not in (tmp_path / ".env").read_text("utf-8")


def test_back_in_a_terminal_goes_back(sandbox: Sandbox, tmp_path: Path) -> None:
    done = talk(sandbox, tmp_path, "", "back", "2")
    assert done.returncode == 0 and "--demo" in done.stdout
