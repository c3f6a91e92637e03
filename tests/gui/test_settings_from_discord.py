"""What an admin sets in Discord is seen in the window at once, and the other way round."""

import dataclasses
import time
from pathlib import Path

from data import policies
from gui.presenter import Presenter
from gui.server import DEBOUNCE_SECONDS, SETTINGS_SECONDS
from gui.session import Session, Way
from gui.settings_form import Form
from storage import database
from tests.bot.room import room
from tests.bot.test_setting_commands import make_cog
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself


async def test_the_window_and_the_commands_see_each_other_at_once(
    tmp_path: Path, session: Session
) -> None:
    async with room(tmp_path, make_cog) as here:
        path = tmp_path / "database" / "bot.sqlite3"
        shared = dataclasses.replace(session, database_path=path)
        presenter = Presenter(Way(lambda report: shared))
        while not presenter.session:
            presenter.tick(time.time())
        await here.ask("!settemp 1.2")
        presenter.tick(time.time() + SETTINGS_SECONDS)
        shown = presenter.snapshot(time.time()).settings
        assert shown and shown.temperature == 1.2
        presenter.change("temperature", 0.4)
        time.sleep(DEBOUNCE_SECONDS)
        presenter.tick(time.time())
        assert database.settings(here.database).temperature == 0.4
        form = Form(tmp_path / ".env", tmp_path)
        await here.ask("!setpolicy rate")
        assert form.load_live()["policy"] == "rate"
        form.save({"policy": "learned"})
        assert policies.chosen(here.database) == policies.LEARNED
        presenter.end()
