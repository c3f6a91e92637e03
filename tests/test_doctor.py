"""The doctor names what is wrong and the way out; what it writes to send away names nobody."""

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
from storage import database, messages
from storage.database import Heartbeat
from storage.messages import Message
from tests.gui.test_live import facts
from tests.loopback import running, small_world
from tests.settings import write_env

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.abcdefghijklmnopqrstuvwxyz0"
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
    assert set(found.values()) <= {doctor.OK, doctor.WARN}, found
    assert {"Python", "Engine", "Settings", "Data folder", "Database", "Model"} <= set(found)
    assert "Discord" not in found


def test_settings_that_are_missing_are_named(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("")
    assert states(path)["Settings"] == doctor.BAD
    assert "DISCORD_TOKEN is missing" in text_of(path, "Settings")


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
    assert states(env)["Database"] == doctor.BAD
    assert "data.backup --list" in text_of(env, "Database")


def test_a_model_that_is_gone_or_no_model_is_told(env: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.gguf"
    env.write_text(f"{env.read_text()}\nMODEL_PATH={path}\n")
    assert "no model at" in text_of(env, "Model")
    path.write_bytes(b"garbage")
    assert "not a GGUF" in text_of(env, "Model")
    path.write_bytes(b"GGUF" + bytes(100))
    assert states(env)["Model"] == doctor.OK


def test_a_model_that_was_changed_since_is_told(env: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine" / "mine.Q8_0.gguf"
    path.parent.mkdir()
    path.write_bytes(b"GGUF" + bytes(100))
    env.write_text(f"{env.read_text()}\nMODEL_PATH={path}\n")
    facts = {"files": {"Q8_0": {"sha256": catalog.sha256(path)}}}
    (path.parent / "manifest.json").write_text(json.dumps(facts))
    assert "whole" in text_of(env, "Model")
    path.write_bytes(b"GGUF" + bytes(99) + b"x")
    assert states(env)["Model"] == doctor.BAD
    (path.parent / "manifest.json").write_text("[garbage")
    assert "no sha256 is known" in text_of(env, "Model")


def test_who_else_runs_is_told(env: Path) -> None:
    settings = config.load(env)
    assert "Nothing runs" in text_of(env, "Running")
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        database.beat(connection, "bot", Heartbeat(4711, 0.0, time.time(), 1.0, "m"))
    assert states(env)["Running"] == doctor.WARN
    instance = single_instance.acquire(settings.data_dir, "a test")
    assert text_of(env, "Running") == "The launcher is open, and the bot runs (process 4711)."
    assert not instance.was_called()
    instance.close()


def test_llama_cpp_that_crashes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(computer, "_ENGINE", "import os; os.abort()")
    state, text = computer.ON_THE_COMPUTER["Engine"]()
    assert state == doctor.BAD and "is then compiled here" in text
    monkeypatch.setattr(computer, "_ENGINE", "import nothing_of_this_name")
    assert "nothing_of_this_name" in computer.ON_THE_COMPUTER["Engine"]()[1]


@pytest.mark.skipif(sys.platform == "win32", reason="folders are otherwise protected there")
def test_a_folder_that_cannot_be_written_is_told(env: Path, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, not a folder")
    assert states(env)["Data folder"] == doctor.BAD


def test_no_check_ends_the_others(env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: object) -> None:
        raise RuntimeError("something nobody thought of")

    monkeypatch.setitem(doctor.ON_THE_COMPUTER, "Memory", stumble)
    found = {one.name: one for one in doctor.examine(env, True)}
    assert "something nobody thought of" in found["Memory"].text
    assert "Model" in found


def test_discord_is_asked_for_the_token_and_the_intent(tmp_path: Path) -> None:
    with running(Sandbox(small_world(), has_rate_limits=False)) as sandbox:
        env = write_env(tmp_path, sandbox)
        assert "may read messages" in text_of(env, "Discord", is_offline=False)
        assert states(env, is_offline=False)["Clock"] == doctor.OK
        sandbox.world.shows_content = False
        assert "Message Content Intent is off" in text_of(env, "Discord", is_offline=False)
        sandbox.world.token = TOKEN
        assert states(env, is_offline=False)["Discord"] == doctor.BAD


def plant(env: Path) -> None:
    """Put what nobody may see everywhere it may be met."""
    settings = config.load(env)
    connection = database.connect(settings.database_path)
    messages.save(connection, [Message(7, 1, KIM, "amber-fox", CANARIES[0])])
    logs = settings.data_dir / "logs"
    logs.mkdir()
    line = f'replied to {KIM} "{CANARIES[0]}" with {TOKEN}, says Amber-Fox, in 123456789012345678'
    (logs / "2026-01-01.log").write_text(f"{line}\n" * 3000)
    (logs / "2026-01-02.log").write_text(f"the newest line\n{line}\n")
    (settings.data_dir / "launcher.json").write_text(json.dumps({"scale": 100, "x": TOKEN}))
    folder = settings.models_dir / "finetuned" / "mine"
    folder.mkdir(parents=True)
    report.keep(folder, {**facts("mine", 1.0), "verdict": CANARIES[0]}, "Q8_0")


def test_the_zip_to_send_names_nobody(env: Path, tmp_path: Path) -> None:
    plant(env)
    path = tmp_path / "diagnostics.zip"
    diagnostics.write(path, env, list(doctor.examine(env, True)))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    everything = "\n".join(parts.values()).lower()
    assert not [canary for canary in CANARIES if canary.lower() in everything]
    assert parts["log.txt"].count("\n") == diagnostics.LINES - 1
    assert "the newest line" in parts["log.txt"] and "id-" in parts["log.txt"]
    assert "discord.py" in parts["versions.txt"] and "Engine" in parts["doctor.txt"]
    assert json.loads(parts["reports.json"])[0]["sides"]["this model"]["match"] == 0.5


def test_diagnostics_of_a_broken_installation_are_written_too(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_bytes(b"\xff\xfe garbage \0")
    path = tmp_path / "diagnostics.zip"
    diagnostics.write(path, env, list(doctor.examine(env, True)))
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["doctor.txt", "versions.txt"]


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


def test_old_backups_are_told(env: Path) -> None:
    folder = config.load(env).data_dir / "backups"
    folder.mkdir(parents=True)
    path = folder / "backup-1.zip"
    path.touch()
    assert states(env)["Backups"] == doctor.OK
    os.utime(path, (1, time.time() - 30 * 86_400))
    assert states(env)["Backups"] == doctor.WARN
