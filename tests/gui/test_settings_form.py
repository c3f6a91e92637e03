"""The settings without a window: what is accepted works, what is refused changes nothing."""

import os
import random
import stat
import sys
from pathlib import Path

import pytest

from bot import config, hush, more_servers
from bot.config import UserError
from data import policies, privacy
from gui import preferences, settings_form
from gui.autostart import Autostart
from gui.preferences import Preferences
from gui.settings_fields import CHOICE, ENV, FIELDS, SECTIONS
from gui.settings_form import Form, Refused, needs_restart
from storage import database, shadow

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GhIjKl.abcdefghijklmnopqrstuvwxyz0"
ENV_TEXT = f"""# my notes
DISCORD_TOKEN='{TOKEN}'
SERVER_ID=123456789012345678
ADMIN_USERS=223456789012345678
SOMETHING_ELSE=kept
DATA_DIR=data
"""


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(ENV_TEXT)
    return path


@pytest.fixture
def form(env: Path, tmp_path: Path) -> Form:
    return make(env)


def make(env: Path) -> Form:
    autostart = Autostart(["python3", "launcher.py"], env.parent / "home", "linux")
    return Form(env, env.parent / "data", autostart)


def test_every_setting_is_read_from_where_it_is_kept(form: Form, env: Path) -> None:
    preferences.write(env.parent / "data", Preferences(sounds=True, scale=150))
    values = form.load()
    assert list(values) == list(FIELDS) == [f.name for fields in SECTIONS.values() for f in fields]
    assert values["DISCORD_TOKEN"] == TOKEN and values["SERVER_ID"] == "123456789012345678"
    assert (values["sounds"], values["scale"], values["at_login"]) == ("yes", "150", "no")
    assert values["consent_mode"] == privacy.ADMIN and values["CONTEXT_LENGTH"] == "2048"


def test_what_is_saved_is_there_for_all(form: Form, env: Path) -> None:
    changes = {"THREADS": "4", "notices": "errors", "consent_mode": "opt-in", "keep_logs_days": "7"}
    kept = form.save(changes)
    assert kept == Preferences(notices="errors", keep_logs_days=7)
    found = config.load(env)
    assert found.threads == 4 and found.token == TOKEN
    text = env.read_text()
    assert "# my notes" in text and "SOMETHING_ELSE=kept" in text
    assert stat.S_IMODE(env.stat().st_mode) == 0o600
    with database.connect(found.database_path) as connection:
        assert privacy.consent_mode(connection) == "opt-in"
    assert needs_restart(changes) and not needs_restart({"notices": "all"})


def test_another_token_is_every_servers(form: Form, env: Path) -> None:
    further = env.parent / "servers" / "5" / ".env"
    further.parent.mkdir(parents=True)
    text = ENV_TEXT.replace("123456789012345678", "323456789012345678")
    further.write_text(f"{text}THREADS=3\nMODELS_DIR=models\n")
    form.save({"DISCORD_TOKEN": f"{TOKEN}x", "THREADS": "4"})
    first, second = more_servers.load(env)
    assert first.token == second.token == f"{TOKEN}x"
    assert (first.threads, second.threads) == (4, 3)
    assert (first.server_id, second.server_id) == (123456789012345678, 323456789012345678)


def test_manners_are_changed_while_the_bot_runs(form: Form, env: Path) -> None:
    before = form.load()
    assert (before["share_cap"], before["quiet_from"], before["hush_words"]) == ("0.25", "0", "")
    changes = {
        "share_cap": "0.05",
        "quiet_from": "22",
        "quiet_until": "7",
        "hush_words": "pear, fig",
        "shadow": "yes",
        "policy": "rate",
    }
    form.save(changes)
    assert changes.items() <= form.load().items()
    with database.connect(config.load(env).database_path) as connection:
        live = database.settings(connection)
        assert (live.share_cap, live.quiet_from, live.quiet_until) == (0.05, 22, 7)
        assert hush.words(connection) == ("pear", "fig")
        assert shadow.is_on(connection) and policies.chosen(connection) == policies.RATE
    assert not needs_restart(changes)


def test_start_at_login_is_the_systems_own_switch(form: Form) -> None:
    form.save({"at_login": "yes"})
    assert form.load()["at_login"] == "yes"
    form.save({"at_login": "no"})
    assert form.load()["at_login"] == "no"


def test_one_wrong_value_keeps_everything_as_it_was(form: Form, env: Path) -> None:
    with pytest.raises(Refused) as caught:
        form.save({"THREADS": "many", "SERVER_ID": "here", "sounds": "yes", "at_login": "yes"})
    assert set(caught.value.problems) == {"THREADS", "SERVER_ID"}
    assert env.read_text() == ENV_TEXT and form.load()["at_login"] == "no"


PATHS = (
    "a b/ü.gguf",
    "it's.gguf",
    'say "x".gguf',
    "#1.gguf",
    "$HOME.gguf",
    "b\\n.gguf",
    "c\\\\d.gguf",
)


@pytest.mark.skipif(sys.platform == "win32", reason="such names do not exist there")
@pytest.mark.parametrize("name", PATHS)
def test_a_path_comes_back_as_it_was(form: Form, env: Path, name: str) -> None:
    path = env.parent / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    form.save({"MODEL_PATH": str(path)})
    assert config.load(env).model_path == path
    assert form.load()["MODEL_PATH"] == str(path)


def test_a_model_that_is_not_there_is_refused(form: Form) -> None:
    assert "no such file" in form.check("BASE_MODEL", "nowhere.gguf")
    assert form.check("BASE_MODEL", "") == ""


def garbage(dice: random.Random) -> str:
    """Something somebody, or something, may put into a field."""
    good = [TOKEN, "123456789012345678", "1,2", "0", "-1", "yes", "no", "INFO", "4096", "opt-in"]
    kind = dice.randrange(4)
    if kind == 0:
        return dice.choice(good)
    if kind == 1:
        return "".join(chr(dice.randrange(1, 0x2FFF)) for _ in range(dice.randrange(30)))
    if kind == 2:
        return "".join(
            dice.choice("0123456789,; -'\"#=\\$\n\t\0") for _ in range(dice.randrange(40))
        )
    text = list(dice.choice(good))
    text.insert(dice.randrange(len(text) + 1), dice.choice("'\"\\\n #=\ud800\0é-9"))
    return "".join(text)


@pytest.mark.timeout(240)
def test_of_ten_thousand_garbage_values_none_reaches_the_bot(form: Form, env: Path) -> None:
    dice, accepted = random.Random(6), 0
    names = list(FIELDS)
    for _ in range(10_000):
        name, text = dice.choice(names), garbage(dice)
        before = env.read_bytes()
        try:
            kept = form.save({name: text})
        except UserError:
            assert env.read_bytes() == before
            continue
        accepted += 1
        preferences.write(env.parent / "data", kept)
        assert config.load(env)
        assert preferences.read(env.parent / "data") == kept
        if FIELDS[name].home != ENV and FIELDS[name].kind == CHOICE:
            assert form.load()[name] == text
    assert accepted > 300


@pytest.mark.parametrize("text", ["", "garbage\0\xff", '{"scale": "huge", "new": 1}', "[" * 9999])
def test_settings_of_other_releases_and_garbage_are_read(form: Form, env: Path, text: str) -> None:
    (env.parent / "data").mkdir()
    (env.parent / "data" / "launcher.json").write_text(text, "latin-1")
    assert form.load()["scale"] == "0"
    env.write_bytes(text.encode("latin-1"))
    assert form.load()["DISCORD_TOKEN"] == ""


def test_an_env_that_vanished_is_written_anew(form: Form, env: Path) -> None:
    env.unlink()
    form.save({"LOG_LEVEL": "DEBUG"})
    assert config.load(env, needs_discord=False).log_level == "DEBUG"


def test_a_full_disk_is_a_sentence(form: Form, env: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match="No space left"):
        form.save({"LOG_LEVEL": "DEBUG"})
    assert env.read_text() == ENV_TEXT and not env.with_name(".env.partial").exists()


def test_a_folder_in_the_place_of_the_env_is_a_sentence(env: Path) -> None:
    env.unlink()
    env.mkdir()
    form = make(env)
    assert form.load()["SERVER_ID"] == ""
    with pytest.raises(UserError, match="Cannot write"):
        form.save({"LOG_LEVEL": "DEBUG"})


def test_a_linked_env_stays_a_link(env: Path, tmp_path: Path) -> None:
    real = tmp_path / "elsewhere.env"
    env.rename(real)
    env.symlink_to(real)
    make(env).save({"THREADS": "3"})
    assert env.is_symlink() and config.load(real).threads == 3


def test_the_command_shows_and_sets(
    env: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["settings", "--env", str(env), *arguments])
        return settings_form.main(), "".join(capsys.readouterr())

    shown = run("--list")[1]
    assert TOKEN not in shown and "SERVER_ID" in shown
    run("--set", "ENGINE_KEY=sk-secret", "--set", "ENGINE_URL=http://127.0.0.1:8080")
    assert "sk-secret" not in run("--list")[1] + run("--get", "ENGINE_KEY")[1]
    assert config.load(env).engine_key == "sk-secret"
    assert TOKEN not in run("--get", "DISCORD_TOKEN")[1]
    assert run("--set", "THREADS=2", "--set", "sounds=yes") == (
        0,
        "Saved. Restart the bot to follow.\n",
    )
    assert run("--get", "THREADS") == (0, "2\n") and run("--get", "sounds") == (0, "yes\n")
    for wrong in (("--set", "THREADS=x"), ("--set", "nonsense"), ("--get", "nonsense")):
        code, said = run(*wrong)
        assert code == 78 and "error:" in said
