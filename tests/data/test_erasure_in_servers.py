"""A person erased by the operator is gone in every server of the bot, or in the named one."""

import contextlib
from pathlib import Path

import pytest

from bot import config
from bot.config import Config
from data import residue
from storage import database, messages
from tests.data.test_erasure import (
    KIM,
    LONG,
    canaries,
    from_kim,
    from_others,
    plant_everywhere,
    run,
)


def settle(env: Path) -> Config:
    """A server in which the person has written, with traces of that in every file."""
    env.parent.mkdir(parents=True, exist_ok=True)
    env.write_text("DATA_DIR=data\nMODELS_DIR=models\n")
    settings = config.load(env, needs_discord=False)
    settings.data_dir.mkdir()
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        messages.save(connection, [*from_kim(), *from_others()])
        plant_everywhere(settings, connection)
    return settings


@pytest.fixture
def servers(tmp_path: Path) -> tuple[Config, Config]:
    return settle(tmp_path / ".env"), settle(tmp_path / "servers" / "den" / ".env")


def is_known(settings: Config) -> bool:
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        is_excluded = KIM in database.excluded_users(connection)
        is_stored = bool(messages.by_ids(connection, [from_kim()[0].id]))
    assert is_excluded != is_stored
    return is_stored


def test_a_person_is_erased_in_every_server(servers: tuple[Config, Config]) -> None:
    env = servers[0].env_path
    code, said = run(env, str(KIM))
    assert code == 0, said
    assert said.count("3  messages") == said.count("nothing of theirs is left") == 2
    for one in servers:
        assert f"{one.env_path}:\n" in said and not is_known(one)
        assert residue.scan(one.data_dir, canaries()) == []
    code, said = run(env, "--list")
    assert (code, said.count(str(KIM))) == (0, 2)
    code, said = run(env, str(KIM), "--include")
    assert code == 0 and said.count("no longer excluded") == 2
    for one in servers:
        assert f'--refetch --env "{one.env_path}"\n' in said


def test_with_one_servers_settings_it_is_erased_there_alone(servers: tuple[Config, Config]) -> None:
    first, second = servers
    code, said = run(second.env_path, str(KIM))
    assert code == 0 and f"{second.env_path}:" not in said
    assert is_known(first) and not is_known(second)
    code, said = run(first.env_path, "--list")
    assert said.splitlines()[0] == f"{first.env_path}:"
    assert said.splitlines()[1] == f"{second.env_path}:" and str(KIM) in said.splitlines()[2]


def test_which_models_learned_is_said_of_each_server(servers: tuple[Config, Config]) -> None:
    first, second = servers
    code, said = run(first.env_path, str(KIM), "--which-models")
    assert code == 0
    assert said.splitlines() == [
        *(f"{first.env_path}:", "with-kim"),
        *(f"{second.env_path}:", "with-kim"),
    ]


def test_what_is_left_in_any_server_is_told(servers: tuple[Config, Config]) -> None:
    first, second = servers
    (second.data_dir / "stray").write_text(LONG)
    code, said = run(first.env_path, str(KIM))
    assert code == 1 and str(second.data_dir / "stray") in said
    assert said.count("nothing of theirs is left") == 1


def test_settings_that_cannot_be_read_are_named_and_nothing_is_half_done(
    servers: tuple[Config, Config],
) -> None:
    first, second = servers
    second.env_path.write_bytes(b"\xff garbage")
    code, said = run(first.env_path, str(KIM))
    assert code == 78 and str(second.env_path) in said and "Traceback" not in said
    assert is_known(first)
