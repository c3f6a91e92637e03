"""The settings window: real widgets over a real form, a real .env and a real bot process."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bot import config
from data import policies
from gui import preferences
from gui.components.settings_window import PRIVACY, SettingsWindow
from gui.session import Session
from gui.settings_fields import FIELDS, SECTIONS
from storage import database, shadow
from tests.gui.conftest import Desk
from tests.gui.test_settings_form import ENV_TEXT, TOKEN


class Settings:
    """The window as its owner uses it."""

    def __init__(self, desk: Desk, env: Path) -> None:
        self.desk, self.env = desk, env
        desk.app._start = type(desk.app._start)(desk.app._start.way, desk.app._folder, env)
        desk.app.open_settings()
        assert desk.app.settings
        self.window: SettingsWindow = desk.app.settings
        desk.turn()

    def look_at(self, title: str) -> None:
        self.desk.click(self.window.sections[title])

    def type(self, name: str, text: str) -> None:
        row = self.window.rows[name]
        row.entry._entry.focus_force()
        self.desk.turn()
        row.entry.delete(0, "end")
        row.entry.insert(0, text)
        row.entry._entry.event_generate("<KeyRelease-a>")
        self.desk.turn()

    def note(self) -> str:
        return str(self.window.note.cget("text"))


@pytest.fixture
def settings(desk: Desk, tmp_path: Path) -> Settings:
    env = tmp_path / "my.env"
    env.write_text(ENV_TEXT.replace("DATA_DIR=data", f"DATA_DIR={tmp_path}"))
    return Settings(desk, env)


def test_every_setting_has_its_place(settings: Settings) -> None:
    for title in SECTIONS:
        settings.look_at(title)
    assert set(settings.window.rows) == set(FIELDS)
    assert settings.window.changes == {}
    values = {name: row.value for name, row in settings.window.rows.items()}
    assert values["DISCORD_TOKEN"] == TOKEN and values["keeps_in_tray"] == "yes"


def test_what_is_saved_is_kept_and_followed(settings: Settings, tmp_path: Path) -> None:
    settings.look_at("Advanced")
    settings.type("THREADS", "3")
    settings.look_at("Notifications")
    settings.desk.click(settings.window.rows["sounds"].switch)
    settings.desk.click(settings.window.save_button)
    assert settings.note() == "Saved."
    assert config.load(settings.env).threads == 3
    assert preferences.read(tmp_path).sounds and settings.desk.app.preferences.sounds
    assert settings.window.changes == {}


def test_a_wrong_value_is_named_under_its_field_and_nothing_is_kept(settings: Settings) -> None:
    before = settings.env.read_bytes()
    settings.look_at("Discord")
    settings.type("SERVER_ID", "my server")
    settings.desk.until(lambda: settings.window.rows["SERVER_ID"].problem.cget("text"))
    settings.look_at("Advanced")
    settings.window.save()
    settings.desk.turn()
    assert settings.window.section == "Discord"
    assert "not a Discord id" in settings.window.rows["SERVER_ID"].problem.cget("text")
    assert "Nothing was saved" in settings.note() and settings.env.read_bytes() == before


def test_the_token_is_hidden_until_asked_for(settings: Settings) -> None:
    settings.look_at("Discord")
    row = settings.window.rows["DISCORD_TOKEN"]
    assert row.entry.cget("show") and row.entry.cget("state") == "disabled"
    settings.desk.click(row.buttons["Show"])
    assert not row.entry.cget("show")
    settings.desk.click(row.buttons["Edit"])
    assert row.entry.cget("state") == "normal"
    assert row.value == TOKEN and TOKEN not in settings.window.window.title()


def test_a_change_is_not_lost_without_a_question(settings: Settings) -> None:
    settings.look_at("Advanced")
    settings.type("THREADS", "3")
    settings.window.close()
    assert settings.window.confirm and settings.window.window.winfo_viewable()
    settings.window.confirm.close()
    assert settings.window.rows["THREADS"].value == "3"
    settings.window.close()
    settings.window.confirm.confirm()
    assert not settings.window.window.winfo_viewable()
    settings.desk.app.open_settings()
    assert settings.window.rows["THREADS"].value == "0"


def test_what_others_change_is_shown_at_once_but_not_over_what_is_typed(
    settings: Settings,
) -> None:
    settings.look_at("Manners")
    rows, window = settings.window.rows, settings.window
    connection = database.connect(config.load(settings.env).database_path)
    settings.type("hush_words", "mine")
    policies.choose(connection, policies.RATE)
    shadow.switch(connection, True)
    database.remember(connection, "hush_words", "theirs")
    settings.desk.until(lambda: (rows["policy"].value, rows["shadow"].value) == ("rate", "yes"))
    assert window.changes == {"hush_words": "mine"}
    rows["policy"]._pick(0)
    window.save()
    assert policies.chosen(connection) == policies.LEARNED and shadow.is_on(connection)
    assert database.recall(connection, "hush_words") == "mine"


def test_a_running_bot_is_restarted_when_asked(settings: Settings, session: Session) -> None:
    settings.desk.presenter.start()
    settings.desk.until_word("Running")
    settings.look_at("Advanced")
    settings.type("THREADS", "3")
    settings.window.save()
    settings.desk.turn()
    assert "started anew" in settings.note()
    controller = session.controller
    child = controller.child
    settings.desk.click(settings.window.restart)
    settings.desk.until(lambda: controller.child not in (child, None))
    settings.desk.until_word("Running")


def test_the_keyboard_alone_goes_everywhere(settings: Settings) -> None:
    titles = list(SECTIONS)
    settings.desk.press(settings.window.sections[titles[0]], "<Down>")
    assert settings.window.section == titles[1]
    settings.desk.press(settings.window.sections[titles[1]], "<Up>")
    assert settings.window.section == titles[0]
    settings.desk.press(settings.window.window, "<Control-Tab>")
    assert settings.window.section == titles[1]
    settings.desk.press(settings.window.window, "<Control-s>")
    assert settings.note() == "Nothing was changed."
    settings.desk.press(settings.window.window, "<Escape>")
    assert not settings.window.window.winfo_viewable()


def test_people_are_listed_and_let_in_again(settings: Settings, session: Session) -> None:
    connection = database.connect(session.database_path)
    database.exclude_user(connection, 123_456, "asked for it")
    settings.look_at(PRIVACY)
    people = settings.window.people
    assert people
    tree = people.table.tree
    assert tree.item("123456", "values")[1] == "asked for it"
    people.table._turn("123456")
    settings.desk.click(people.take_off)
    assert not tree.get_children() and not database.excluded_users(connection)


def write_script(session: Session, program: str) -> None:
    (session.scripts / "forget_person.py").write_text(program)


def test_a_person_is_erased_after_a_question(
    settings: Settings, session: Session, until_done: Callable[[], str]
) -> None:
    write_script(session, "import sys; print(sys.argv[-1])")
    settings.look_at(PRIVACY)
    people = settings.window.people
    assert people
    people.entry.insert(0, "somebody")
    people.exclude()
    assert "Give a user id" in people.note.cget("text") and people.confirm is None
    people.entry.delete(0, "end")
    people.entry.insert(0, "123456")
    people.exclude()
    assert people.confirm
    people.confirm.confirm()
    assert until_done() == "Exclude and erase: done"


def test_a_backup_and_diagnostics_are_made_at_once(
    settings: Settings, until_done: Callable[[], str], tmp_path: Path
) -> None:
    settings.look_at(PRIVACY)
    here = settings.desk.presenter._here
    assert here
    here.session = dataclasses.replace(here.session, env_path=settings.env)
    settings.desk.click(settings.window.buttons["Back up now"])
    assert until_done() == "Back up: done"
    assert list((tmp_path / "backups").glob("backup-*.zip"))
    settings.look_at("Advanced")
    settings.desk.click(settings.window.buttons["Pack diagnostics"])
    assert until_done() == "Pack diagnostics: done"
    assert (tmp_path / "diagnostics.zip").exists()


@pytest.fixture
def until_done(desk: Desk) -> Callable[[], str]:
    def wait() -> str:
        pipeline: Any = desk.presenter.pipeline
        desk.until(lambda: not pipeline.is_running)
        return str(pipeline.view.title)

    return wait
