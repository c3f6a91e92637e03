"""One window for a bot that lives on several servers: one of them is shown and acted upon."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bot import config
from bot.config import ROOT
from gui.components.live_page import LivePage
from gui.components.settings_window import DISCORD, PRIVACY, SettingsWindow
from gui.pipeline import FETCH
from gui.session import Session, session
from sandbox.server import Sandbox
from sandbox.settings import write_env
from storage import database
from storage.judgements import rejected_replies
from tests.gui.conftest import Desk, texts
from tests.gui.test_live import NOW, answer
from tests.gui.test_settings_form import ENV_TEXT
from tests.loopback import running, small_world

NAMES = ("Tea House", "Book Club")
IDS = ("123456789012345678", "323456789012345678")


def _write_env(folder: Path, server_id: str) -> None:
    text = ENV_TEXT.replace(IDS[0], server_id)
    (folder / ".env").write_text(f"{text}MODELS_DIR=models\n")


@pytest.fixture
def places(two_servers: Session) -> tuple[Session, Session]:
    """The first server and the second, whose names the bot has told."""
    (second,) = two_servers.others
    for one, name, server_id in zip((two_servers, second), NAMES, IDS, strict=True):
        database.remember(database.connect(one.database_path), "server_name", name)
        _write_env(one.data_dir, server_id)
    return two_servers, second


@pytest.fixture
def wide_desk(make_desk: Callable[..., Desk], places: tuple[Session, Session]) -> Desk:
    made = make_desk(lambda report: places[0])
    made.until_word("Stopped")
    made.until(lambda: made.window.servers and NAMES[0] in made.window.servers.button.cget("text"))
    return made


def test_the_files_beside_the_first_tell_of_the_others(tmp_path: Path) -> None:
    further = tmp_path / "servers" / "tea"
    further.mkdir(parents=True)
    for folder, server_id in ((tmp_path, IDS[0]), (further, IDS[1])):
        _write_env(folder, server_id)
    first = session(tmp_path / ".env")
    (other,) = first.others
    assert (first.server_id, other.server_id) == (int(IDS[0]), int(IDS[1]))
    assert other.env_path == further / ".env" and other.data_dir == further / "data"
    assert other.database_path.is_relative_to(further) and other.controller is first.controller


def settings_of(one: Session) -> database.Settings:
    return database.settings(database.connect(one.database_path))


def choose(desk: Desk, place: int) -> None:
    """Pick a server from the menu."""
    assert desk.window.servers
    desk.window.servers._chosen(place)
    desk.turn()


def seen(desk: Desk) -> str:
    """How many messages the statistics say were seen in a day."""
    return str(
        desk.window.overview.statistics.values["Last 24 hours", "Messages seen"].cget("text")
    )


def test_with_one_server_there_is_nothing_to_choose(desk: Desk) -> None:
    desk.presenter.start()
    desk.until_word("Running")
    assert desk.window.servers is None


def test_the_servers_are_chosen_by_their_names(wide_desk: Desk) -> None:
    chooser = wide_desk.window.servers
    assert chooser and tuple(chooser._texts) == NAMES
    choose(wide_desk, 1)
    assert NAMES[1] in chooser.button.cget("text")
    assert chooser.button.winfo_ismapped()


def test_figures_and_sliders_are_those_of_the_server_that_is_shown(
    wide_desk: Desk, places: tuple[Session, Session]
) -> None:
    first, second = places
    for number in range(3):
        answer(second, number, time.time() - 60, 2.0)
    database.change_setting(database.connect(second.database_path), "temperature", 1.2)
    value = wide_desk.window.overview.tuning.values["temperature"]
    assert value.cget("text") == "0.75" and seen(wide_desk) == "0"
    choose(wide_desk, 1)
    wide_desk.until(lambda: value.cget("text") == "1.20" and seen(wide_desk) == "3")
    wide_desk.press(wide_desk.window.overview.tuning.sliders["response_rate"], "<Right>")
    choose(wide_desk, 0)  # before it is kept
    wide_desk.until(lambda: settings_of(second).response_rate == 0.06)
    assert settings_of(first) == database.Settings()
    wide_desk.until(lambda: value.cget("text") == "0.75" and seen(wide_desk) == "0")


def test_the_model_shown_is_that_servers(wide_desk: Desk, places: tuple[Session, Session]) -> None:
    wide_desk.presenter.start()
    wide_desk.until_word("Running")
    beat = database.Heartbeat(1, time.time(), time.time(), 1.0, "bookish")
    database.beat(database.connect(places[1].database_path), "bot", beat)
    choose(wide_desk, 1)
    fact = wide_desk.window.status._fact_labels["Model"]
    wide_desk.until(lambda: fact.cget("text") == "bookish")
    choose(wide_desk, 0)
    wide_desk.until(lambda: fact.cget("text") == "tiny-model")


def test_steps_run_for_the_server_that_is_shown(
    wide_desk: Desk, places: tuple[Session, Session]
) -> None:
    first, second = places
    script = "import sys, time; print(sys.argv[1:], flush=True); time.sleep(600)"
    (first.scripts / FETCH.program).write_text(script)
    database.confirm_permission(database.connect(second.database_path), "yes")
    choose(wide_desk, 1)
    wide_desk.click(wide_desk.window.overview.actions.buttons[FETCH.text])
    said = str(["--env", str(second.env_path)])
    wide_desk.until(lambda: said in texts(wide_desk.window.overview.log.text))
    title = wide_desk.window.overview.actions.progress.title
    assert title.cget("text") == "Fetching messages"
    choose(wide_desk, 0)
    assert title.cget("text") == f"Fetching messages ({NAMES[1]})"


def test_a_permission_is_never_given_for_another_server(
    wide_desk: Desk, places: tuple[Session, Session]
) -> None:
    wide_desk.click(wide_desk.window.overview.actions.buttons[FETCH.text])
    question = wide_desk.window.confirm
    assert question and question.window.winfo_exists()
    choose(wide_desk, 1)
    assert not question.window.winfo_exists()
    assert not wide_desk.presenter.pipeline.is_running


def test_the_live_page_shows_and_judges_in_its_own_server(
    wide_desk: Desk, places: tuple[Session, Session]
) -> None:
    connections = [database.connect(one.database_path) for one in places]
    replies = [answer(one, place, NOW, 2.0) for place, one in enumerate(places)]
    wide_desk.window.turn_to("Live")
    live, page = wide_desk.app.live, wide_desk.window.pages["Live"]
    assert live and isinstance(page, LivePage)
    live.tick(NOW)
    wide_desk.turn()
    assert page.table.tree.get_children() == (str(replies[0]),)
    page.table._turn(str(replies[0]))
    choose(wide_desk, 1)  # before the mark was taken over
    assert page.table.tree.get_children() == (str(replies[1]),)
    assert [len(rejected_replies(one)) for one in connections] == [1, 0]
    page.table._turn(str(replies[1]))
    wide_desk.turn()
    assert [len(rejected_replies(one)) for one in connections] == [1, 1]


def test_the_playground_begins_anew(wide_desk: Desk, places: tuple[Session, Session]) -> None:
    wide_desk.window.turn_to("Playground")
    before, page = wide_desk.app.playground, wide_desk.window.pages["Playground"]
    choose(wide_desk, 1)
    after = wide_desk.app.playground
    assert before and after and after is not before
    assert before._helper._process is None and not page.frame.winfo_exists()
    assert wide_desk.window.pages["Playground"].frame.winfo_ismapped()
    assert after._helper._command[-2:] == ["--env", str(places[1].env_path)]


@pytest.fixture
def settings(wide_desk: Desk, places: tuple[Session, Session]) -> SettingsWindow:
    """The settings of the first server, open."""
    wide_desk.app._start = replace(wide_desk.app._start, env_path=places[0].env_path)
    wide_desk.app.open_settings(DISCORD)
    assert wide_desk.app.settings
    wide_desk.turn()
    return wide_desk.app.settings


def test_settings_are_those_of_the_server_that_is_shown(
    settings: SettingsWindow, wide_desk: Desk, places: tuple[Session, Session]
) -> None:
    assert settings.window.title().startswith(f"Settings of {NAMES[0]} ")
    assert settings.rows["SERVER_ID"].value == IDS[0]
    choose(wide_desk, 1)
    assert settings.window.state() == "withdrawn"
    wide_desk.app.open_settings(DISCORD)
    assert settings.window.title().startswith(f"Settings of {NAMES[1]} ")
    assert settings.rows["SERVER_ID"].value == IDS[1]
    settings.rows["CHANNELS"].entry.insert(0, "12345")
    settings.save()
    assert places[0].env_path and places[1].env_path
    assert config.load(places[1].env_path).channel_ids == {12345}
    assert config.load(places[0].env_path).channel_ids == frozenset()


def test_unsaved_settings_keep_the_server(settings: SettingsWindow, wide_desk: Desk) -> None:
    settings.rows["CHANNELS"].entry.insert(0, "12345")
    choose(wide_desk, 1)
    assert wide_desk.presenter.place == 0 and settings.confirm
    settings.confirm.confirm()
    choose(wide_desk, 1)
    assert wide_desk.presenter.place == 1


def test_nobody_is_erased_from_another_server(settings: SettingsWindow, wide_desk: Desk) -> None:
    settings.turn_to(PRIVACY)
    assert settings.people
    settings.people.entry.insert(0, "423456789012345678")
    settings.people.exclude()
    question = settings.people.confirm
    assert question and question.window.winfo_exists()
    choose(wide_desk, 1)
    assert not question.window.winfo_exists()


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(small_world(), has_rate_limits=False)) as found:
        yield found


@pytest.fixture
def small_desk(make_desk: Callable[..., Desk], tmp_path: Path, sandbox: Sandbox) -> Desk:
    """The window of a bot on one server, whose token is good for the sandbox's, too."""
    folders = {"DATA_DIR": "data", "MODELS_DIR": "models"}
    env = write_env(tmp_path, sandbox, SERVER_ID="123456", **folders)
    made = make_desk(lambda report: replace(session(env), scripts=ROOT / "scripts"))
    made.until_word("Stopped")
    made.app._start = replace(made.app._start, env_path=env)
    made.app.open_settings(DISCORD)
    made.turn()
    return made


def add(desk: Desk, server_id: str) -> str:
    """Add a server by the button; what is said of it in the end."""
    servers: Any = desk.app.settings and desk.app.settings.servers
    servers.entry.insert(0, server_id)
    desk.click(servers.add)

    def is_over() -> bool:
        servers.show()
        return not servers._is_adding

    desk.until(is_over)
    return str(servers.note.cget("text"))


def test_a_server_is_added_from_the_window(
    small_desk: Desk, sandbox: Sandbox, tmp_path: Path
) -> None:
    added = sandbox.world.guild_id
    assert small_desk.window.servers is None
    assert add(small_desk, str(added)).startswith("Restart the bot")
    assert config.load(tmp_path / "servers" / str(added) / ".env").server_id == added
    small_desk.until(lambda: small_desk.window.servers)
    choose(small_desk, 1)
    here = small_desk.presenter.session
    assert here and (here.server_id, here.data_dir.parent.name) == (added, str(added))


@pytest.mark.parametrize("text", ["", "12", "--list", "1" * 21, "²²²²²²"])
def test_what_is_no_id_is_not_asked_for(small_desk: Desk, text: str) -> None:
    assert "Copy Server ID" in add(small_desk, text)
    assert small_desk.presenter.pipeline.session is None


def test_a_server_that_cannot_be_added_is_a_sentence(small_desk: Desk, tmp_path: Path) -> None:
    assert "serves 123456 already" in add(small_desk, "123456")
    small_desk.app.settings.servers.entry.delete(0, "end")  # type: ignore[union-attr]
    assert add(small_desk, "999999") not in ("", "Add another server: done")
    assert not (tmp_path / "servers").exists() and small_desk.window.servers is None
