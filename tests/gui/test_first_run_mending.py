"""Coming back to the first run when something broke: one answer, and all else stays as it was."""

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import config, more_servers
from data import discord_api, privacy
from gui.first_run import mending
from gui.first_run.last_steps import KEEP
from model import base_models, downloads, estimate
from model.estimate import Estimate, Pace
from model.remote_engine import RemoteEngine
from sandbox.server import Sandbox
from sandbox.settings import write_env
from tests.gui.guide import Guide
from tests.loopback import running, small_world
from tests.model import chat_servers


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(small_world(), has_rate_limits=False)) as found:
        yield found


@pytest.fixture(autouse=True)
def _no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model is here at once; the tests of downloads are elsewhere."""

    def fetch(model: base_models.BaseModel, models_dir: Path, *_: Any) -> Path:
        path = downloads.path_of(model, models_dir)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"GGUF")
        return path

    monkeypatch.setattr(downloads, "fetch", fetch)


def _finished(sandbox: Sandbox, folder: Path) -> None:
    guide = Guide(folder, sandbox.api).at("model", sandbox.world.token)
    guide.go()
    assert guide.run.outcome


def test_a_reset_token_is_mended_with_one_answer(sandbox: Sandbox, tmp_path: Path) -> None:
    _finished(sandbox, tmp_path)
    before = config.load(tmp_path / ".env")
    sandbox.world.token += "x"
    guide = Guide(tmp_path, sandbox.api, mend="token")
    assert guide.view.step == "token"
    assert guide.go().error  # the old one
    guide.go(sandbox.world.token)
    assert guide.run.outcome
    after = config.load(tmp_path / ".env")
    assert after == dataclasses.replace(before, token=sandbox.world.token)


def test_further_servers_stay_and_get_the_new_token(sandbox: Sandbox, tmp_path: Path) -> None:
    _finished(sandbox, tmp_path)
    further = tmp_path / "servers" / "5"
    further.mkdir(parents=True)
    env = write_env(further, sandbox, SERVER_ID="55555", MODELS_DIR="models")
    (further / "kept").touch()
    sandbox.world.token += "x"
    Guide(tmp_path, sandbox.api, mend="token").go(sandbox.world.token)
    assert config.load(env).token == sandbox.world.token
    assert config.load(env).server_id == 55555 and (further / "kept").exists()
    _finished(sandbox, tmp_path)  # the whole way once more
    assert [one.server_id for one in more_servers.load(tmp_path / ".env")][1:] == [55555]


def test_mending_another_step_asks_that_step_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    _finished(sandbox, tmp_path)
    guide = Guide(tmp_path, sandbox.api, mend="channels")
    assert guide.view.step == "channels"
    picked = guide.view.choices[1].key
    guide.go(chosen=(picked,))
    assert guide.run.outcome
    assert config.load(tmp_path / ".env").channel_ids == {int(picked)}


def test_mending_never_picks_another_server_or_model_by_itself(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    _finished(sandbox, tmp_path)
    text = (tmp_path / ".env").read_text("utf-8")
    gone = text.replace(str(sandbox.world.guild_id), "123456789")
    (tmp_path / ".env").write_text(gone, "utf-8")
    guide = Guide(tmp_path, sandbox.api, mend="permission")
    assert guide.view.step == "server" and "Choose the server" in guide.view.error
    for file in (tmp_path / "models" / "base").iterdir():
        file.unlink()
    (tmp_path / ".env").write_text(text, "utf-8")
    guide = Guide(tmp_path, sandbox.api, mend="token")
    view = guide.go()
    assert view.step == "model" and "Choose a model" in view.error


def test_a_model_in_use_can_be_kept(sandbox: Sandbox, tmp_path: Path) -> None:
    _finished(sandbox, tmp_path)
    before = config.load(tmp_path / ".env").base_model
    guide = Guide(tmp_path, sandbox.api).at("model", sandbox.world.token)
    assert guide.view.chosen == (KEEP,)
    guide.go()
    assert config.load(tmp_path / ".env").base_model == before


@pytest.mark.parametrize("mend", ["", "model"])
def test_the_window_does_not_wait_for_a_look_at_memory(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mend: str
) -> None:
    _finished(sandbox, tmp_path)
    seen: list[threading.Thread] = []

    def look(models_dir: Path) -> Estimate:
        seen.append(threading.current_thread())
        return Estimate({}, Pace(1e9, 1e9), "A guess.")

    monkeypatch.setattr(estimate, "look", look)
    guide = Guide(tmp_path, sandbox.api, mend=mend).at("model", sandbox.world.token)
    assert "A guess." in guide.view.notes[-1]
    assert len(seen) == 1 and seen[0] is not threading.main_thread()


CONFIG = config.Config(
    env_path=Path(".env"), token="MTIz.a.b", server_id=1, admin_ids=frozenset({1})
)


@pytest.mark.parametrize(
    ("error", "step"),
    [
        (str(discord_api.refused(CONFIG)), "token"),
        (str(discord_api.no_message_content(CONFIG)), "intents"),
        (str(discord_api.not_a_member(CONFIG)), "invite"),
        (str(privacy.permission_needed()), "permission"),
        (str(discord_api.unreachable(OSError())), ""),
        ("There is no model at models/x.gguf. Set BASE_MODEL in .env.", "model"),
        ("Something else", ""),
    ],
)
def test_an_error_of_the_bot_leads_to_the_step_that_mends_it(error: str, step: str) -> None:
    assert mending.step_for(error) == step


@pytest.mark.parametrize(
    ("name", "value", "place"),
    [
        ("DISCORD_TOKEN", "", "token"),
        ("DISCORD_TOKEN", "hunter2", "token"),
        ("SERVER_ID", "", "server"),
        ("ADMIN_USERS", "", "admin"),
        ("CHANNELS", "general", "channels"),
        ("ENGINE_URL", "http://8.8.8.8/v1", "ENGINE_URL"),
        ("ENGINE_KEY", "sk secret", "ENGINE_KEY"),
        ("EMBEDDER", "word2vec", "EMBEDDER"),
        ("CONTEXT_LENGTH", "many", "CONTEXT_LENGTH"),
        ("THREADS", "-1", "THREADS"),
    ],
)
def test_every_setting_that_is_wrong_leads_to_its_step_or_its_field(
    sandbox: Sandbox, tmp_path: Path, name: str, value: str, place: str
) -> None:
    _finished(sandbox, tmp_path)
    with (tmp_path / ".env").open("a", encoding="utf-8") as file:
        file.write(f"\n{name}={value}\n")
    with pytest.raises(config.UserError) as caught:
        config.load(tmp_path / ".env")
    assert mending.place_for(str(caught.value)) == place


async def test_what_a_server_refuses_leads_to_its_settings() -> None:
    async with chat_servers.scripted() as server:
        for wanted, status, place in (("three", 200, "ENGINE_MODEL"), ("", 401, "ENGINE_KEY")):
            server.status = status
            with pytest.raises(config.UserError) as caught:
                await RemoteEngine(server.url, model=wanted).start()
            assert mending.place_for(str(caught.value)) == place
