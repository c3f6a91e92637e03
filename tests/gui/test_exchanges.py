"""The last exchanges in a terminal."""

import sys
from pathlib import Path

import pytest

from gui import exchanges
from gui.session import Session
from storage import database
from storage.judgements import rejected_replies
from tests.gui.test_live import NOW, answer
from tests.gui.test_live import session as session  # a fixture


def test_a_reply_is_judged_by_its_id(
    session: Session, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["exchanges", "--env", str(session.env_path), *arguments])
        return exchanges.main(), "".join(capsys.readouterr())

    path = Path(session.data_dir) / "database" / "bot.sqlite3"
    path.parent.mkdir()
    in_place = Session(**{**vars(session), "database_path": path})
    number = answer(in_place, 3, NOW, 2.5)
    code, said = run()
    assert code == 0 and "amber-fox: what is 3?" in said and "> it is 3" in said
    assert "bad" in run("--bad", str(number))[1].split(str(number))[0]
    assert rejected_replies(database.connect(path))
    assert run("--take-back", str(number))[0] == 0
    assert not rejected_replies(database.connect(path))
    code, said = run("--bad", "12345")
    assert code == 78 and "no reply of the bot's" in said
