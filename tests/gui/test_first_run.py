"""The way from nothing to a working `.env`, against the sandbox, and each way to stumble."""

import contextlib
import dataclasses
import json
import os
import random
import re
import stat
import string
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import config
from bot.config import ROOT
from data import discord_setup, privacy
from data.discord_setup import Named
from gui import env_file
from gui.first_run.last_steps import Fetch
from gui.first_run.server_steps import LATER, NOW
from gui.first_run.state import CONNECT, DEMO, STAGES
from model import base_models, downloads
from model.base_models import Machine
from sandbox.faults import Fault
from sandbox.server import Sandbox
from storage import database
from tests.gui.guide import BIG, Guide
from tests.loopback import running, small_world

MESSAGE_CONTENT = 1 << 15


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


@pytest.fixture
def guide(sandbox: Sandbox, tmp_path: Path) -> Guide:
    return Guide(tmp_path, sandbox.api)


def test_nothing_to_a_running_bot_in_five_answers(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox", "--no-rate-limits"]
    with _process(command) as told:
        guide = Guide(tmp_path, told["api"])
        assert guide.view.step == "welcome" and not (tmp_path / ".env").exists()
        assert guide.go().step == "token"
        assert guide.go(f'"Bot {told["token"]}"').step == "channels"
        assert guide.view.name == "persona"
        assert guide.go().step == "permission"
        assert guide.go(chosen=(NOW,)).step == "model"
        assert "recommended" in guide.view.choices[0].cells[0]
        assert not (tmp_path / ".env").exists() and not (tmp_path / "data").exists()
        guide.go()
    assert guide.run.outcome and guide.run.outcome.kind == CONNECT
    assert guide.inputs <= 5
    settings = config.load(tmp_path / ".env")
    assert settings.server_id == int(told["guild_id"]) and settings.api_base == told["api"]
    assert settings.admin_ids == {int(told["owner_id"])} and not settings.channel_ids
    assert settings.base_model and settings.base_model.name.startswith("qwen")
    if os.name == "posix":
        assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    assert "# https://discord.com/developers" in (tmp_path / ".env").read_text("utf-8")
    with contextlib.closing(database.connect(tmp_path / "data/database/bot.sqlite3")) as db:
        assert database.has_permission(db)


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[dict[str, str]]:
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, cwd=ROOT, text=True, **pipes) as child:
        assert child.stdout
        yield json.loads(child.stdout.readline())
        child.communicate()


def test_looking_around_first_needs_one_answer_and_writes_nothing(
    guide: Guide, tmp_path: Path
) -> None:
    guide.go(chosen=(DEMO,))
    assert guide.run.outcome and guide.run.outcome.kind == DEMO
    assert not list(tmp_path.iterdir())


def test_a_bad_token_says_so(guide: Guide) -> None:
    guide.go()
    assert "three parts" in guide.go("hunter2").error
    refused = guide.go("MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE." + "x" * 38)
    assert refused.step == "token" and "refused the token" in refused.error


def test_intents_that_are_off_are_switched_on_by_a_button(sandbox: Sandbox, guide: Guide) -> None:
    sandbox.gateway.allow(MESSAGE_CONTENT, False)
    guide.at("intents", sandbox.world.token)
    assert "is still off" in guide.go().error
    assert guide.view.action == "Switch it on"
    guide.run.act()
    assert guide.wait().step == "channels"
    assert sandbox.world.shows_content and sandbox.gateway.identifies == 0


def test_where_discord_refuses_the_switch_the_page_is_named(sandbox: Sandbox, guide: Guide) -> None:
    sandbox.gateway.allow(MESSAGE_CONTENT, False)
    sandbox.world.may_switch_intents = False
    guide.at("intents", sandbox.world.token)
    guide.run.act()
    assert "switch on Message Content Intent" in guide.wait().error
    assert guide.view.link.endswith("/bot")
    sandbox.gateway.allow(MESSAGE_CONTENT, True)  # by hand, on that page
    guide.until(lambda: guide.view.step == "channels")


def test_an_invitation_is_waited_for(sandbox: Sandbox, guide: Guide) -> None:
    sandbox.world.home.has_bot = False
    guide.at("invite", sandbox.world.token)
    assert "is on no server yet" in guide.go().error
    assert f"permissions={discord_setup.PERMISSIONS}" in guide.view.link
    sandbox.world.home.has_bot = True
    guide.until(lambda: guide.view.step == "channels")
    assert not guide.view.error


def test_a_network_that_comes_back_while_waiting_is_no_error_any_more(
    sandbox: Sandbox, guide: Guide
) -> None:
    sandbox.world.home.has_bot = False
    guide.at("invite", sandbox.world.token)
    sandbox.faults.add(Fault("status", times=1, status=502))
    guide.until(lambda: "problem of its own" in guide.view.error)
    guide.until(lambda: not guide.view.error)


def test_a_server_without_a_readable_channel_says_what_to_grant(
    sandbox: Sandbox, guide: Guide
) -> None:
    for place in sandbox.world.places.values():
        place.may_read_history = False
    guide.go()
    view = guide.go(sandbox.world.token)
    assert view.step == "server" and "View Channel and Read Message History" in view.error
    for place in sandbox.world.places.values():
        place.may_read_history = True
    assert guide.go().step == "channels"


def test_of_several_servers_one_is_picked(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = (Named(5, "Another"), Named(sandbox.world.guild_id, "Tea House"))
    monkeypatch.setattr(discord_setup, "servers", lambda *_: both)
    view = guide.at("server", sandbox.world.token).view
    assert [choice.cells[0] for choice in view.choices] == ["Another", "Tea House"]
    assert "Choose the server" in guide.go(chosen=()).error
    assert "may have been deleted" in guide.go(chosen=("5",)).error
    assert guide.go(chosen=(str(sandbox.world.guild_id),)).step == "channels"


def test_channels_that_are_left_out_are_left_out(sandbox: Sandbox, guide: Guide) -> None:
    guide.at("channels", sandbox.world.token)
    assert "at least one channel" in guide.go(chosen=()).error
    first = guide.view.choices[0].key
    guide.go(chosen=(first,))
    guide.go()
    guide.go()
    assert config.load(guide.run.here.env_path).channel_ids == {int(first)}


def test_the_administrator_is_asked_for_where_two_people_own_things(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    really = discord_setup.server

    def server(*how: Any) -> discord_setup.Server:
        return dataclasses.replace(really(*how), owner=Named(77777, "bob"))

    monkeypatch.setattr(discord_setup, "server", server)
    view = guide.at("admin", sandbox.world.token).view
    assert [choice.cells for choice in view.choices] == [
        ("you", "owns the bot"),
        ("bob", "owns the server"),
    ]
    assert view.chosen == (str(sandbox.world.owner_id),)
    assert "no user id" in guide.go("me, myself").error
    assert "at least one person" in guide.go("", ()).error
    guide.go("123456", ("77777",))
    guide.go()
    guide.go()
    assert config.load(guide.run.here.env_path).admin_ids == {77777, 123456}


def test_without_permission_the_bot_starts_and_nothing_is_confirmed(
    sandbox: Sandbox, guide: Guide
) -> None:
    guide.at("permission", sandbox.world.token)
    assert privacy.STATEMENT in guide.view.sentence and guide.view.chosen == (LATER,)
    guide.go()
    guide.go()
    assert guide.run.outcome
    assert not (guide.run.here.database_path).exists()


def test_a_model_that_is_too_big_is_refused(sandbox: Sandbox, tmp_path: Path) -> None:
    laptop = Machine(8 * 10**9, 5 * 10**9, 100 * 10**9)
    guide = Guide(tmp_path, sandbox.api, laptop).at("model", sandbox.world.token)
    cells = {choice.key: choice.cells for choice in guide.view.choices}
    assert cells["phi-4"][3:5] == (base_models.TOO_BIG, "")
    assert re.fullmatch(r"about \d+ s|minutes", cells["qwen2.5-3b"][4])
    assert "A guess from memory" in guide.view.notes[-1]
    assert "Choose a smaller one" in guide.go(chosen=("phi-4",)).error


def test_a_disk_without_room_is_named_before_anything_is_fetched(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    full = dataclasses.replace(BIG, free_disk=10**9)
    guide = Guide(tmp_path, sandbox.api, full).at("model", sandbox.world.token)
    assert guide.view.chosen == (base_models.SMALL,)
    assert "Make room" in guide.go(chosen=("qwen2.5-3b",)).error


def test_no_network_on_the_way_is_a_sentence_and_the_way_goes_on_after_it(
    sandbox: Sandbox, guide: Guide
) -> None:
    guide.go()
    sandbox.faults.add(Fault("drop", times=5))
    assert "cannot be reached" in guide.go(sandbox.world.token).error
    sandbox.faults._waiting.clear()
    assert guide.go().step == "channels"


@pytest.mark.parametrize("fault", [Fault("rate_limit", seconds=30), Fault("banned")])
def test_too_many_questions_are_a_sentence(sandbox: Sandbox, guide: Guide, fault: Fault) -> None:
    guide.go()
    sandbox.faults.add(fault)
    assert "too many questions" in guide.go(sandbox.world.token).error


def test_a_download_is_paused_and_goes_on(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_end = threading.Event()

    def fetch(model: Any, folder: Path, report: Any, is_stopped: Callable[[], bool]) -> Path:
        report(43, 100)
        while not is_stopped() and not may_end.is_set():
            time.sleep(0.005)
        if is_stopped():
            raise downloads.Paused
        path = folder / "base" / "m.gguf"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"GGUF")
        return path

    monkeypatch.setattr(downloads, "fetch", fetch)
    guide.at("model", sandbox.world.token)
    guide.run.answer("", guide.view.chosen)
    guide.until(lambda: guide.view.step == "download" and guide.view.download)
    assert guide.view.action == "Pause" and guide.view.is_busy
    guide.run.act()
    paused = guide.wait()
    assert paused.step == "download" and paused.next_text == "Go on" and not paused.error
    assert paused.download and paused.download.done == 43
    may_end.set()
    guide.go()
    assert guide.run.outcome


def test_a_download_that_fails_stays_on_its_page_and_leads_to_another_model(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: Any) -> Path:
        raise config.UserError("The hub wants an account for X. Choose another model.")

    monkeypatch.setattr(downloads, "fetch", fetch)
    guide.at("model", sandbox.world.token)
    view = guide.go()
    assert view.step == "download" and view.mend == "model"
    guide.run.go_to(view.mend)
    assert guide.wait().step == "model" and not guide.view.error


def test_garbage_in_every_field_stays_out_of_the_env(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    really = discord_setup.server

    def server(*how: Any) -> discord_setup.Server:
        return dataclasses.replace(really(*how), owner=Named(77777, "bob"))

    monkeypatch.setattr(discord_setup, "server", server)
    dice, letters = random.Random(3), string.printable + "äß💥\u202e\x00²"
    for step in ("token", "channels", "admin", "model"):
        guide.at(step, sandbox.world.token)
        for _ in range(500):
            field = "x" + "".join(dice.choices(letters, k=dice.randrange(90)))
            guide.run.answer(field, (field[::-1],))
            assert guide.view.step == step and guide.view.error
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "garbage",
    [b"\xff\xfe\x00", b"CHANNELS=" + b"9" * 5000, b"ADMIN_USERS=\nSERVER_ID=abc", b"=\n'"],
)
def test_a_garbage_env_is_no_obstacle(sandbox: Sandbox, tmp_path: Path, garbage: bytes) -> None:
    (tmp_path / ".env").write_bytes(garbage)
    guide = Guide(tmp_path, sandbox.api).at("model", sandbox.world.token)
    guide.go()
    assert guide.run.outcome and config.load(tmp_path / ".env").admin_ids


def test_going_back_keeps_every_answer(sandbox: Sandbox, guide: Guide) -> None:
    guide.at("channels", sandbox.world.token)
    first = guide.view.choices[0].key
    guide.go(chosen=(first,))
    guide.go(chosen=(NOW,))
    guide.run.back()
    assert guide.view.step == "permission" and guide.view.chosen == (NOW,)
    guide.run.back()
    assert guide.view.step == "channels" and guide.view.chosen == (first,)
    guide.run.back()
    assert guide.view.step == "token"
    assert guide.view.field and guide.view.field.value == sandbox.world.token
    guide.run.back()
    assert guide.view.step == "welcome" and not guide.view.can_go_back
    guide.run.back()
    assert guide.view.step == "welcome"


def test_going_back_gives_up_what_runs(sandbox: Sandbox, guide: Guide) -> None:
    guide.go()
    sandbox.faults.add(Fault("slow", seconds=0.3))
    guide.run.answer(sandbox.world.token)
    guide.run.back()
    assert guide.view.step == "welcome" and not guide.view.is_busy
    time.sleep(0.4)
    guide.run.tick(1e9)
    assert guide.view.step == "welcome"


def test_closing_in_the_middle_leaves_nothing_behind(
    sandbox: Sandbox, guide: Guide, tmp_path: Path
) -> None:
    guide.at("model", sandbox.world.token)
    guide.run.close()
    assert not list(tmp_path.iterdir())


def test_the_token_is_never_shown_or_logged(
    sandbox: Sandbox, guide: Guide, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    guide.at("model", sandbox.world.token)
    guide.go()
    assert sandbox.world.token not in caplog.text
    assert sandbox.world.token not in repr(guide.run._known)


def test_an_env_that_is_there_keeps_what_it_says_besides(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nTHREADS=3\nADMIN_USERS=55555,66666\n", "utf-8")
    guide = Guide(tmp_path, sandbox.api).at("admin", sandbox.world.token)
    assert guide.view.field and guide.view.field.value == "55555, 66666"
    guide.go()
    guide.go()
    guide.go()
    text = (tmp_path / ".env").read_text("utf-8")
    assert "# mine" in text and config.load(tmp_path / ".env").threads == 3


def test_an_env_that_stays_wrong_is_not_replaced(sandbox: Sandbox, tmp_path: Path) -> None:
    before = "CONTEXT_LENGTH=many\n"
    (tmp_path / ".env").write_text(before, "utf-8")
    guide = Guide(tmp_path, sandbox.api).at("model", sandbox.world.token)
    view = guide.go()
    assert view.step == "start" and f"CONTEXT_LENGTH in {tmp_path / '.env'}" in view.error
    assert (tmp_path / ".env").read_text("utf-8") == before
    assert not list(tmp_path.glob("*.partial"))


def test_a_place_that_cannot_be_written_to_is_a_sentence(
    sandbox: Sandbox, guide: Guide, tmp_path: Path
) -> None:
    guide.at("model", sandbox.world.token)
    (tmp_path / ".env.partial").mkdir()
    view = guide.go()
    assert view.step == "start" and f"Cannot write {tmp_path / '.env'}" in view.error


def test_a_full_disk_at_the_end_is_a_sentence_and_start_works_after_it(
    sandbox: Sandbox, guide: Guide, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide.at("model", sandbox.world.token)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(env_file, "write", full)
        view = guide.go()
    assert view.step == "start" and "No space left" in view.error
    guide.go()
    assert guide.run.outcome


def test_every_page_is_of_a_stage_and_fits_a_window(sandbox: Sandbox, guide: Guide) -> None:
    seen = []
    while not guide.run.outcome:
        view = guide.view
        seen.append(view.step)
        assert view.stage in STAGES
        assert len(view.title) < 60 and len(view.sentence) < 320
        assert all(len(choice.cells) == max(1, len(view.columns)) for choice in view.choices)
        guide.go(sandbox.world.token if view.step == "token" else None)
    assert seen == ["welcome", "token", "channels", "permission", "model"]
    assert isinstance(guide.run._steps[-2], Fetch)
