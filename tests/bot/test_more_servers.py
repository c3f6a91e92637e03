"""Which servers one bot serves: a folder for each, or a sentence that says what must be apart."""

import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from bot import config, engines, more_servers
from bot.config import ROOT, UserError
from storage import database
from tests.model import tiny

TOKEN = f"MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.{'a' * 38}"
OTHER_TOKEN = f"MTIzNDU2Nzg5MDEyMzQ1Njc5.GhIjKl.{'b' * 38}"
FIRST, SECOND, THIRD = (10**17 + n for n in range(3))
EMPTY_GGUF = b"GGUF\x03" + bytes(100)  # whole: no keys, no tensors, and some room


def write(path: Path, server_id: int, **changes: str) -> Path:
    values = {
        "DISCORD_TOKEN": TOKEN,
        "SERVER_ID": str(server_id),
        "ADMIN_USERS": str(10**18),
        "DATA_DIR": "data_storage",
        "MODELS_DIR": "models",
        **changes,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path


@pytest.fixture
def env(tmp_path: Path) -> Path:
    """The first server's settings."""
    return write(tmp_path / ".env", FIRST)


def further(env: Path, name: str) -> Path:
    return env.parent / "servers" / name / ".env"


def test_the_first_comes_first_and_each_folder_is_one_more(env: Path) -> None:
    write(further(env, "b"), THIRD)
    write(further(env, "a"), SECOND, ADMIN_USERS=str(10**18 + 1))
    (env.parent / "servers" / "moved-away").mkdir()
    (env.parent / "servers" / "a file").touch()
    found = more_servers.load(env)
    assert [one.server_id for one in found] == [FIRST, SECOND, THIRD]
    assert found[1].admin_ids == {10**18 + 1}
    assert found[1].data_dir == env.parent / "servers" / "a" / "data_storage"
    assert len({one.database_path for one in found}) == 3


def test_one_servers_settings_are_about_it_alone(env: Path) -> None:
    path = write(further(env, "a"), SECOND)
    assert [one.server_id for one in more_servers.load(path)] == [SECOND]


def test_a_machine_that_only_trains_needs_no_token(env: Path) -> None:
    write(further(env, "a"), SECOND, DISCORD_TOKEN="", SERVER_ID="")
    assert len(more_servers.load(env, needs_discord=False)) == 2
    with pytest.raises(UserError, match="DISCORD_TOKEN is missing"):
        more_servers.load(env)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SERVER_ID": str(FIRST)}, "are for the same server"),
        ({"DISCORD_TOKEN": OTHER_TOKEN}, "name two bots"),
        ({"DISCORD_API_BASE": "http://127.0.0.1:9/api/v10"}, "name two bots"),
        ({"ENGINE_URL": "http://127.0.0.1:9"}, "name two engines"),
        ({"DATA_DIR": "../../data_storage"}, "in one folder"),
        ({"DATA_DIR": "../../data_storage/inner"}, "in one folder"),
        ({"DATA_DIR": "../.."}, "in one folder"),
        ({"MODELS_DIR": "../../models"}, "in one folder"),
        ({"MODELS_DIR": "../../models/inner"}, "in one folder"),
        ({"DATA_DIR": "../../models/inner"}, "in one folder"),
        ({"MODELS_DIR": "../../data_storage"}, "in one folder"),
    ],
)
def test_what_must_be_apart_is_refused(env: Path, changes: dict[str, str], named: str) -> None:
    path = write(further(env, "a"), SECOND, **changes)
    with pytest.raises(UserError, match=named) as refusal:
        more_servers.load(env)
    assert str(env) in str(refusal.value) and str(path) in str(refusal.value)
    assert TOKEN not in str(refusal.value) and OTHER_TOKEN not in str(refusal.value)


def test_a_folder_that_is_reached_by_a_link_is_the_same_folder(env: Path) -> None:
    (env.parent / "data_storage").mkdir()
    path = write(further(env, "a"), SECOND)
    try:
        (path.parent / "data_storage").symlink_to(env.parent / "data_storage")
    except OSError:
        pytest.skip("this system lets nobody make links")
    with pytest.raises(UserError, match="in one folder"):
        more_servers.load(env)


def test_two_further_servers_must_be_apart_as_well(env: Path) -> None:
    one = write(further(env, "a"), SECOND)
    write(further(env, "b"), THIRD, DATA_DIR="../a/data_storage")
    with pytest.raises(UserError, match="in one folder") as refusal:
        more_servers.load(env)
    assert str(one) in str(refusal.value) and str(env) not in str(refusal.value).split()


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"", b"\xff\xfe garbage \0", b"SERVER_ID", b"=\n" * 1000, b"\0" * 4096),
        *(b"DISCORD_TOKEN=" + b"a" * 100_000, "DISCORD_TOKEN=\u202e\u0661".encode()),
    ],
)
def test_garbage_names_the_file_that_it_is_in(env: Path, garbage: bytes) -> None:
    path = write(further(env, "a"), SECOND)
    path.write_bytes(garbage)
    with pytest.raises(UserError) as refusal:
        more_servers.load(env)
    assert str(path) in str(refusal.value)


def test_a_hint_names_the_settings_unless_they_are_the_usual_ones(tmp_path: Path) -> None:
    assert more_servers.option(ROOT / ".env") == ""
    inside = ROOT / "servers" / "a" / ".env"
    assert more_servers.option(inside) == f' --env "{inside.relative_to(ROOT)}"'
    assert more_servers.option(tmp_path / ".env") == f' --env "{tmp_path / ".env"}"'


def chosen(env: Path, *models: Path) -> list[Any]:
    """The engines for servers with these models; the embedder is there already."""
    places = []
    for number, model in enumerate(models):
        given = {"MODEL_PATH": str(model), "MODELS_DIR": str(ROOT / "models")}
        settings = config.load(write(further(env, str(number)), FIRST + number, **given))
        places.append((settings, database.connect(settings.database_path)))
    voices: list[Any] = list(engines.choose(places))
    return [getattr(voice, "_engine", voice) for voice in voices]


def test_what_is_the_same_file_is_loaded_once(env: Path, tmp_path: Path) -> None:
    one, link, copy, other, longer = (
        tmp_path / f"{name}.gguf" for name in ("one", "link", "copy", "other", "longer")
    )
    one.write_bytes(EMPTY_GGUF)
    os.link(one, link)
    copy.write_bytes(EMPTY_GGUF)
    other.write_bytes(EMPTY_GGUF[:-1] + b"x")
    longer.write_bytes(EMPTY_GGUF + b"\0")
    first, *same, different, larger, again = chosen(env, one, one, link, copy, other, longer, copy)
    assert all(engine is first for engine in (*same, again))
    assert different is not first and larger is not first and larger is not different


async def test_two_models_are_two_workers_and_one_is_one(
    env: Path, tmp_path: Path, small_model: Path
) -> None:
    one, other = (tiny.write(tmp_path / f"{n}.gguf", small_model, seed=n) for n in (1, 2))
    for models, workers in (((one, one), 1), ((one, other), 2)):
        voices = chosen(env, *models)
        for engine in voices:
            await engine.start()
        running = psutil.Process().children(recursive=True)
        names = [name for process in running for name in process.cmdline()]
        assert names.count("model.worker") == workers
        for engine in voices:
            await engine.close()
