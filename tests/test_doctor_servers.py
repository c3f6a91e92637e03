"""The doctor looks at the settings of every server, and the zip to send names none of them."""

import contextlib
import time
import zipfile
from pathlib import Path

import pytest

import computer
import diagnostics
import doctor
from bot import config
from bot.more_servers import FOLDER
from storage import database, messages
from storage.messages import Message
from tests.bot.test_more_servers import FIRST, SECOND, write

SAM = 987_654_321_098_765_433
HIDDEN = ("7654321", "7654322", "7654323", "cobalt-wolf", "tea-house")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    return write(tmp_path / ".env", FIRST)


@pytest.fixture
def second(env: Path) -> Path:
    """A server in a folder called as it is, with ids as short as old ones."""
    short = {"ADMIN_USERS": HIDDEN[1], "CHANNELS": HIDDEN[2]}
    return write(env.parent / FOLDER / HIDDEN[4] / ".env", int(HIDDEN[0]), **short)


def told(env: Path) -> list[tuple[str, str]]:
    """What is found of settings."""
    found = doctor.examine(env, is_offline=True)
    return [(one.state, one.text) for one in found if one.name == "Settings"]


def test_the_settings_of_each_server_are_looked_at(env: Path, second: Path) -> None:
    assert told(env) == [
        (computer.OK, f"{env} is complete."),
        (computer.OK, f"{second} is complete."),
    ]


def test_of_each_server_that_cannot_be_served_it_is_said_why(env: Path, second: Path) -> None:
    write(env.parent / FOLDER / "a" / ".env", FIRST)
    lost = write(env.parent / FOLDER / "b" / ".env", SECOND, ADMIN_USERS="")
    first, same, without, whole = told(env)
    assert first[0] == whole[0] == computer.OK and whole[1] == f"{second} is complete."
    assert same[0] == without[0] == computer.BAD
    assert "are for the same server" in same[1]
    assert f"ADMIN_USERS in {lost} is empty" in without[1]


def unpacked(env: Path) -> dict[str, str]:
    path = env.with_name("diagnostics.zip")
    diagnostics.write(path, env, list(doctor.examine(env, True)))
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def plant(env: Path, second: Path) -> None:
    """Have the one log of the bot name what is of the second server."""
    settings = config.load(second)
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        messages.save(connection, [Message(7, 1, SAM, HIDDEN[3], "hi")])
    logs = config.load(env).data_dir / "logs"
    logs.mkdir(parents=True)
    stamp = time.strftime("[%Y-%m-%d %H:%M:%S] [INFO] bot.main: ")
    (logs / "bot.log").write_text("".join(f"{stamp}met {word} here\n" for word in HIDDEN))


def test_the_zip_names_no_server_and_nobody_in_any(env: Path, second: Path) -> None:
    plant(env, second)
    parts = unpacked(env)
    everything = "\n".join([*parts, *parts.values()])
    assert not [word for word in HIDDEN if word in everything]
    assert parts["log.txt"].count("bot.main: met ") == len(HIDDEN)
    assert "further servers: 1" in parts["settings.txt"]
    assert parts["doctor.txt"].count("is complete.") == 2


@pytest.mark.parametrize("garbage", [b"\xff\xfe garbage \0", b"THREADS=many\n"])
def test_where_a_servers_ids_are_unknown_the_log_stays_here(
    env: Path, second: Path, garbage: bytes
) -> None:
    plant(env, second)
    second.write_bytes(garbage)
    assert unpacked(env)["log.txt"].startswith("Left out")
