"""`scripts/add_server.py` makes a folder with which the bot starts, or says why not."""

import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot import config, more_servers
from bot.config import ROOT
from bot.more_servers import FOLDER
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import World
from tests.loopback import running, small_world


@pytest.fixture
def world() -> World:
    world = small_world()
    world.add_place("den", server_id=world.add_server("Den"))
    return world


@pytest.fixture
def sandbox(world: World) -> Iterator[Sandbox]:
    with running(Sandbox(world, has_rate_limits=False)) as sandbox:
        yield sandbox


@pytest.fixture
def env(tmp_path: Path, sandbox: Sandbox) -> Path:
    """The first server's settings; a base model is there."""
    base = tmp_path / "models" / "base"
    base.mkdir(parents=True)
    (base / "tiny.gguf").write_bytes(b"GGUF")
    own = {"DATA_DIR": str(tmp_path / "data"), "MODELS_DIR": str(tmp_path / "models")}
    return write_env(tmp_path, sandbox, **own, CHANNELS="123456789")


def run(env: Path, *arguments: object) -> tuple[int, str]:
    command = [sys.executable, ROOT / "scripts" / "add_server.py", "--env", env, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert config.load(env).token not in done.stdout + done.stderr
    return done.returncode, done.stdout + done.stderr


def den(world: World) -> int:
    return world.guilds[1].id


def test_a_server_is_added_with_the_same_bot_and_a_folder_of_its_own(
    env: Path, world: World
) -> None:
    code, said = run(env, den(world))
    assert code == 0, said
    assert said.startswith("The bot lives on Den, too, from its next start.")
    first, second = more_servers.load(env)
    folder = env.parent / FOLDER / str(den(world))
    assert (second.server_id, second.token) == (den(world), first.token)
    assert second.admin_ids == first.admin_ids and not second.channel_ids
    assert (second.data_dir, second.models_dir) == (folder / "data_storage", folder / "models")
    assert sys.platform == "win32" or stat.S_IMODE(second.env_path.stat().st_mode) == 0o600
    linked = second.models_dir / "base" / "tiny.gguf"
    assert linked.samefile(first.models_dir / "base" / "tiny.gguf")
    code, said = run(env, "--list")
    assert code == 0
    ids = [line.split()[0] for line in said.splitlines()]
    assert ids == [str(first.server_id), str(second.server_id)]


def test_a_server_is_added_once(env: Path, world: World) -> None:
    for server_id in (world.guild_id, den(world), den(world)):
        code, said = run(env, server_id)
    assert code == 78 and f"serves {den(world)} already" in said
    assert len(more_servers.load(env)) == 2


@pytest.mark.parametrize("asked", [["-5"], ["0"], ["9" * 25], ["123456789012345678"], []])
def test_what_is_no_server_of_the_bots_leaves_nothing_behind(env: Path, asked: list[str]) -> None:
    code, said = run(env, *asked)
    assert code != 0 and "Traceback" not in said and "error: " in said
    assert not (env.parent / FOLDER).exists()


def test_a_server_that_it_was_not_invited_to_leaves_nothing_behind(env: Path, world: World) -> None:
    world.guilds[1].has_bot = False
    code, said = run(env, den(world))
    assert code == 78 and "Traceback" not in said
    assert not (env.parent / FOLDER).exists()


def test_where_the_bot_could_not_start_with_it_nothing_is_added(
    env: Path, sandbox: Sandbox, world: World
) -> None:
    write_env(env.parent, sandbox, DATA_DIR=str(env.parent))  # and all else would be within
    code, said = run(env, den(world))
    assert code == 78 and "in one folder" in said
    assert more_servers.paths(env) == []
