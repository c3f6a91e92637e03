"""The doctor names what is wrong and the way out; what it writes to send away names nobody."""

import asyncio
import contextlib
import json
import os
import stat
import sys
import time
import zipfile
from pathlib import Path

import pytest

import computer
import diagnostics
import doctor
import single_instance
from bot import config
from model import catalog, report
from sandbox.server import Sandbox
from sandbox.settings import write_env
from storage import database, messages, recall_trouble
from storage.database import Heartbeat
from storage.messages import Message
from tests.gui.test_live import facts
from tests.loopback import running, small_world
from tests.model import chat_servers

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.abcdefghijklmnopqrstuvwxyz0"
EMPTY_GGUF = b"GGUF\x03" + bytes(100)  # whole: no keys, no tensors, and some room
KIM = 987_654_321_098_765_432
CANARIES = ("the heron stands in the river", "amber-fox", str(KIM), TOKEN, "123456789012345678")


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    lines = (
        f"DISCORD_TOKEN={TOKEN}",
        "SERVER_ID=123456789012345678",
        f"ADMIN_USERS={KIM}",
        f"DATA_DIR={tmp_path / 'data'}",
        f"MODELS_DIR={tmp_path / 'models'}",
    )
    path.write_text("\n".join(lines))
    return path


def states(env_path: Path, is_offline: bool = True) -> dict[str, str]:
    return {one.name: one.state for one in doctor.examine(env_path, is_offline)}


def text_of(env_path: Path, name: str, is_offline: bool = True) -> str:
    found = {one.name: one.text for one in doctor.examine(env_path, is_offline)}
    return found[name]


def test_a_new_installation_is_fine(env: Path) -> None:
    found = states(env)
    assert set(found.values()) <= {computer.OK, computer.WARN}, found
    assert {"Python", "Engine", "Settings", "Data folder", "Database", "Model"} <= set(found)
    assert "Discord" not in found


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("")
    assert states(path)["Settings"] == computer.BAD
    assert "DISCORD_TOKEN is missing" in text_of(path, "Settings")


def test_that_recall_fails_is_told(env: Path) -> None:
    connection = database.connect(config.load(env).database_path)
    assert states(env)["Recall"] == computer.OK
    recall_trouble.note(connection, "OSError", time.time())
    assert states(env)["Recall"] == computer.WARN
    assert "(OSError)" in text_of(env, "Recall")


def test_a_damaged_database_is_told_and_leads_to_the_backups(env: Path) -> None:
    settings = config.load(env)
    connection = database.connect(settings.database_path)
    said = [Message(n, 1, 5, "kim", f"{n} " * 50) for n in range(1, 500)]
    messages.save(connection, said)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with settings.database_path.open("r+b") as file:
        file.seek(8192)
        file.write(os.urandom(40_000))
    assert states(env)["Database"] == computer.BAD
    assert "data.backup --list" in text_of(env, "Database")


def test_a_model_that_is_gone_or_no_model_is_told(env: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    env.write_text(f"{env.read_text()}\nMODEL_PATH={path}\n")
    assert "no model at" in text_of(env, "Model")
    path.write_bytes(b"garbage")
    assert "not a GGUF" in text_of(env, "Model")
    path.write_bytes(b"GGUF" + bytes(100))
    assert "damaged or incomplete" in text_of(env, "Model")
    path.write_bytes(EMPTY_GGUF)
    assert states(env)["Model"] == computer.OK


def test_a_model_that_was_changed_since_is_told(env: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "mine.Q8_0.gguf"
    path.parent.mkdir()
    path.write_bytes(EMPTY_GGUF)
    env.write_text(f"{env.read_text()}\nMODEL_PATH={path}\n")
    facts = {"files": {"Q8_0": {"sha256": catalog.sha256(path)}}}
    (path.parent / "manifest.json").write_text(json.dumps(facts))
    assert "whole" in text_of(env, "Model")
    path.write_bytes(EMPTY_GGUF[:-1] + b"x")
    assert states(env)["Model"] == computer.BAD
    (path.parent / "manifest.json").write_text("[garbage")
    assert "no sha256 is known" in text_of(env, "Model")


def test_who_else_runs_is_told(env: Path) -> None:
    settings = config.load(env)
    assert "Nothing runs" in text_of(env, "Running")
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        database.beat(connection, "bot", Heartbeat(4711, 0.0, time.time(), 1.0, "m"))
    assert states(env)["Running"] == computer.WARN
    instance = single_instance.acquire(settings.data_dir, "a test")
    assert text_of(env, "Running") == "The launcher is open, and the bot runs (process 4711)."
    assert not instance.was_called()
    instance.close()


def test_llama_cpp_that_crashes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "_ENGINE", "import os; os.abort()")
    state, text = computer.ON_THE_COMPUTER["Engine"]()
    assert state == computer.BAD and "is then compiled here" in text
    monkeypatch.setattr(computer, "_ENGINE", "import nothing_of_this_name")
    assert "nothing_of_this_name" in computer.ON_THE_COMPUTER["Engine"]()[1]


@pytest.mark.skipif(sys.platform == "win32", reason="folders are otherwise protected there")
def test_a_folder_that_cannot_be_written_is_told(env: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    assert states(env)["Data folder"] == computer.BAD


def test_no_check_ends_the_others(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setitem(computer.ON_THE_COMPUTER, "Memory", stumble)
    found = {one.name: one for one in doctor.examine(env, True)}
    assert "something nobody thought of" in found["Memory"].text
    assert "Model" in found


def test_discord_is_asked_for_the_token_and_the_intent(tmp_path: Path) -> None:
    with running(Sandbox(small_world(), has_rate_limits=False)) as sandbox:
        env = write_env(tmp_path, sandbox)
        assert "may read messages" in text_of(env, "Discord", is_offline=False)
        assert states(env, is_offline=False)["Clock"] == computer.OK
        sandbox.world.shows_content = False
        assert "Message Content Intent is off" in text_of(env, "Discord", is_offline=False)
        sandbox.world.token = TOKEN
        assert states(env, is_offline=False)["Discord"] == computer.BAD


SAID = (  # by a program, with what nobody may see in it
    f'[2026-11-23 14:32:15] [INFO] bot.handlers: replied to {KIM} "{CANARIES[0]}" with {TOKEN}',
    f"[2026-11-23 14:32:15] [INFO] bot.main: Amber-Fox said 'a \"b\" {CANARIES[0]}' to 1234567",
    f"[2026-11-23 14:32:15] [INFO] bot.main: cut off: b'{CANARIES[0]}",
    f"[2026-11-23 14:32:15] [INFO] amber-fox: {CANARIES[0]}",
    "[2026-11-23 14:32:15] [ERROR] bot.main: the handler stumbled",
    "Traceback (most recent call last):",
    '  File "/srv/amber-fox/bot/main.py", line 12, in <module>',
    f"    raise ValueError({CANARIES[0]!r})",
    f"ValueError: {CANARIES[0]}",
    CANARIES[0],
    f"[2026-11-23 14:32:15] [INFO] KeyError: {CANARIES[0]}",
    "[2026-11-23 14:32:15] [INFO] sqlite3.OperationalError: database is locked",
)


def plant(env: Path) -> None:
    """Put what nobody may see everywhere it may be met."""
    settings = config.load(env)
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        messages.save(connection, [Message(7, 1, KIM, "amber-fox", CANARIES[0])])
    logs = settings.data_dir / "logs"
    logs.mkdir()
    (logs / "2026-01-01.log.1").write_text(f"{SAID[0]}\n" * 3000)
    (logs / "2026-01-02.log").write_text("\n".join(SAID))
    liked = {"scale": 150, "appearance": CANARIES[0], "amber-fox": TOKEN}
    (settings.data_dir / "launcher.json").write_text(json.dumps(liked))
    (settings.data_dir / "spawns.json").write_text(json.dumps([time.time(), time.time() - 60]))
    folder = settings.models_dir / "finetuned" / "mine"
    folder.mkdir(parents=True)
    report.keep(folder, {**facts("mine", 1.0), "verdict": CANARIES[0]}, "Q8_0")


def unpacked(env: Path) -> dict[str, str]:
    """What is in the zip for these settings."""
    path = env.with_name("diagnostics.zip")
    diagnostics.write(path, env, list(doctor.examine(env, True)))
    assert sys.platform == "win32" or stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.with_name(f"{path.name}.partial").exists()
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def canaries_in(parts: dict[str, str]) -> list[str]:
    everything = "\n".join([*parts, *parts.values()]).lower()
    return [canary for canary in CANARIES if canary.lower() in everything]


def test_the_zip_to_send_names_nobody(env: Path) -> None:
    env.write_text(f"{env.read_text()}\nCHANNELS=1234567\nLOG_LEVEL={CANARIES[0]}\n")
    assert not canaries_in(unpacked(env))  # of settings that do not work
    env.write_text(env.read_text().replace(CANARIES[0], "INFO"))
    plant(env)
    parts = unpacked(env)
    assert not canaries_in(parts)
    assert "1234567" not in "".join(parts.values())
    assert parts["settings.txt"].count("id-") == 3
    assert "discord.py" in parts["versions.txt"] and "Engine" in parts["doctor.txt"]
    assert json.loads(parts["reports.json"])[0]["sides"]["this model"]["match"] == 0.5
    launcher = json.loads(parts["launcher.json"])
    assert launcher["scale"] == 150 and launcher["bot_starts_within_a_day"] == 2


def test_the_zip_names_neither_a_server_nor_its_key(env: Path) -> None:
    lines = ("ENGINE_URL=https://gpu.tea-house.example/v1", "ENGINE_KEY=sk-secret", "")
    env.write_text("\n".join([env.read_text(), *lines]))
    logs = config.load(env).data_dir / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    said = "what members write is sent to gpu.tea-house.example with sk-secret"
    (logs / "bot.log").write_text(f"[2026-11-23 14:32:15] [WARNING] model.remote_engine: {said}\n")
    parts = unpacked(env)
    everything = "\n".join(parts.values())
    assert "tea-house" not in everything and "sk-secret" not in everything
    assert "is sent to (server)" in parts["log.txt"]
    assert "engine: a server elsewhere\nengine key: there is one" in parts["settings.txt"]


def test_the_log_in_the_zip_says_what_helps(env: Path) -> None:
    plant(env)
    log = unpacked(env)["log.txt"].splitlines()
    assert log[-6:] == [
        "[2026-11-23 14:32:15] [INFO] (text)",
        "[2026-11-23 14:32:15] [ERROR] bot.main: the handler stumbled",
        "  File bot/main.py, line 12, in <module>",
        "ValueError: (text)",
        "[2026-11-23 14:32:15] [INFO] KeyError: (text)",
        "[2026-11-23 14:32:15] [INFO] sqlite3.OperationalError: database is locked",
    ]
    assert log[0].startswith("[2026-11-23 14:32:15] [INFO] bot.handlers: replied to id-")
    assert diagnostics.LINES - len(SAID) < len(log) <= diagnostics.LINES


def test_names_that_cannot_be_read_keep_the_log_out(env: Path) -> None:
    plant(env)
    path = config.load(env).database_path
    for file in path.parent.iterdir():
        file.write_bytes(b"garbage" * 1000)
    parts = unpacked(env)
    assert not canaries_in(parts)
    assert parts["log.txt"].startswith("Left out")


def test_diagnostics_of_a_broken_installation_are_written_too(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_bytes(b"\xff\xfe garbage \0")
    assert list(unpacked(env)) == ["doctor.txt", "versions.txt"]


def test_masking_many_lines_takes_no_time_to_speak_of(env: Path) -> None:
    settings = config.load(env)
    connection = database.connect(settings.database_path)
    people = [Message(n, 1, n, f"name {n} of many", "hi") for n in range(1, 5001)]
    messages.save(connection, people)
    hide = diagnostics.mask(settings)
    assert hide("name 4711 of many spoke") == "(name) spoke"
    assert hide("name 4711 of manyfold") == "name 4711 of manyfold"


def test_the_command_says_it_all(env: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--env", str(env), "--offline"]
    assert doctor.main(arguments) == 0
    assert "OK    Python" in capsys.readouterr().out
    assert doctor.main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)[0]["name"] == "Python"
    target = env.parent / "nowhere" / "x.zip"
    assert doctor.main([*arguments, "--diagnostics", str(target)]) == 78
    assert "Cannot write" in capsys.readouterr().err


def test_where_messages_go_is_told(env: Path) -> None:
    before = env.read_text()
    for url, state in (("http://127.0.0.1:9", computer.OK), ("http://10.0.0.7:9", computer.WARN)):
        env.write_text(f"{before}\nENGINE_URL={url}\n")
        assert states(env)["Model"] == state
    assert "what members write is sent there" in text_of(env, "Model")


def test_a_server_is_asked_for_its_model(env: Path) -> None:
    async def look(url: str) -> tuple[str, str]:
        env.write_text(f"{before}\nENGINE_URL={url}\nENGINE_MODEL=two\n")
        return await asyncio.to_thread(doctor._server, config.load(env))

    async def look_twice() -> tuple[tuple[str, str], tuple[str, str]]:
        async with chat_servers.scripted() as server:
            there = await look(server.url)
        return there, await look(server.url)

    before = env.read_text()
    there, gone = asyncio.run(look_twice())
    assert there == (computer.OK, "It has the model two.")
    assert gone[0] == computer.BAD and "cannot be reached" in gone[1]


def test_old_backups_are_told(env: Path) -> None:
    folder = config.load(env).data_dir / "backups"
    folder.mkdir(parents=True)
    path = folder / "backup-1.zip"
    path.touch()
    assert states(env)["Backups"] == computer.OK
    os.utime(path, (1, time.time() - 30 * 86_400))
    assert states(env)["Backups"] == computer.WARN
