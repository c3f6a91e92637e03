"""SQLite: settings, models, messages, and files that are not what they should be."""

import math
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.config import ROOT, UserError
from storage import channels, database, messages
from storage.channels import Channel
from storage.database import Heartbeat, Model, Settings
from storage.messages import Message

NOW = 1_700_000_000.0


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    return database.connect(tmp_path / "bot.sqlite3")


def message(number: int, text: str = "hi", author: int = 7, **more: object) -> Message:
    snowflake = messages.snowflake_at(NOW) + number
    return Message(snowflake, 1, author, f"user {author}", text, **more)  # type: ignore[arg-type]


def test_settings_start_with_their_defaults(connection: sqlite3.Connection) -> None:
    assert database.settings(connection) == Settings()


def test_a_changed_setting_is_kept(connection: sqlite3.Connection, tmp_path: Path) -> None:
    database.change_setting(connection, "response_rate", 0.5)
    other = database.connect(tmp_path / "bot.sqlite3")
    assert database.settings(other).response_rate == 0.5


@pytest.mark.parametrize("value", [math.nan, math.inf, -1, 1.01, "", "lots", "0x1", None, "1;DROP"])
def test_nonsense_settings_are_refused(connection: sqlite3.Connection, value: object) -> None:
    with pytest.raises(ValueError, match="response_rate must be"):
        database.change_setting(connection, "response_rate", value)  # type: ignore[arg-type]
    assert database.settings(connection) == Settings()


def test_nonsense_in_the_table_counts_as_the_default(connection: sqlite3.Connection) -> None:
    database.remember(connection, "max_tokens", "banana")
    assert database.settings(connection).max_tokens == Settings().max_tokens


def test_a_heartbeat_is_read_back(connection: sqlite3.Connection) -> None:
    beat = Heartbeat(1, 2.0, 3.0, 4.0, "model")
    database.beat(connection, "bot", beat)
    assert database.heartbeat(connection, "bot") == beat
    assert database.heartbeat(connection, "other") is None


def test_rollback_goes_one_deployment_back(connection: sqlite3.Connection) -> None:
    for name in ("first", "second"):
        database.add_model(connection, Model(name, Path(name), "base", "hash", {"a": 1}, NOW))
        database.deploy(connection, name)
    assert database.rollback(connection) == "first"
    assert database.rollback(connection) is None
    assert database.rollback(connection) is None


def test_a_message_is_read_back_as_it_was(connection: sqlite3.Connection) -> None:
    whole = message(
        1,
        "wow\n<@5> 🎉",
        reply_to=9,
        mentions=(5,),
        attachments=(("a.png", "image/png"),),
        reactions={"🎉": 3},
        kind=19,
        edited_at=1.5,
    )
    messages.save(connection, [whole])
    assert messages.recent(connection, 1, 5) == [whole]


def test_the_same_message_twice_is_one_row(connection: sqlite3.Connection) -> None:
    messages.save(connection, [message(1, "old", reactions={"👍": 1})])
    messages.save(connection, [message(1, "new", reactions={"👎": 2})])
    (only,) = messages.recent(connection, 1, 5)
    assert (only.content, only.reactions) == ("new", {"👎": 2})


def test_recent_is_the_newest_in_order(connection: sqlite3.Connection) -> None:
    messages.save(connection, [message(i, str(i)) for i in (3, 1, 2)])
    assert [m.content for m in messages.recent(connection, 1, 2)] == ["2", "3"]


def test_deleted_text_is_gone_from_the_file(connection: sqlite3.Connection, tmp_path: Path) -> None:
    secret = "canary-8431"
    messages.save(connection, [message(1, secret, reactions={"👍": 1})])
    messages.mark_deleted(connection, [message(1).id])
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert messages.recent(connection, 1, 5) == []
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_a_deleted_message_does_not_come_back(connection: sqlite3.Connection) -> None:
    messages.save(connection, [message(1)])
    messages.mark_deleted(connection, [message(1).id])
    messages.save(connection, [message(1)])
    assert messages.recent(connection, 1, 5) == []


def test_an_excluded_person_is_never_stored(connection: sqlite3.Connection) -> None:
    database.exclude_user(connection, 7)
    assert messages.save(connection, [message(1, author=7), message(2, author=8)]) == 1
    assert [m.author_id for m in messages.recent(connection, 1, 5)] == [8]
    assert 7 not in messages.names(connection)


def test_reactions_are_counted_up_and_down(connection: sqlite3.Connection) -> None:
    messages.save(connection, [message(1)])
    steps: tuple[tuple[int, dict[str, int]], ...] = (
        (1, {"👍": 1}),
        (1, {"👍": 2}),
        (-1, {"👍": 1}),
        (-1, {}),
        (-1, {}),
    )
    for step, expected in steps:
        messages.add_reaction(connection, message(1).id, "👍", step)
        assert messages.recent(connection, 1, 1)[0].reactions == expected
    messages.add_reaction(connection, 404, "👍", 1)  # a message we do not know


def test_sql_in_a_message_is_text(connection: sqlite3.Connection) -> None:
    messages.save(connection, [message(1, "'); DROP TABLE messages; --")])
    assert messages.count(connection) == 1


def test_how_far_a_channel_is_fetched_is_kept(connection: sqlite3.Connection) -> None:
    for _ in range(2):
        channels.save(connection, Channel(1, "general", "text"))
        channels.fetched_through(connection, 1, 42)
    channels.fetched_through(connection, 1, 41)
    assert channels.known(connection)[0].fetched_through == 42


def test_a_transaction_is_all_or_nothing(connection: sqlite3.Connection) -> None:
    with pytest.raises(RuntimeError), database.transaction(connection):
        messages.save(connection, [message(1)])
        raise RuntimeError
    assert messages.count(connection) == 0


def test_the_file_is_for_its_owner_only(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such mode bits")
    database.connect(tmp_path / "new" / "bot.sqlite3")
    assert (tmp_path / "new" / "bot.sqlite3").stat().st_mode & 0o077 == 0


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    path.write_bytes(b"this is not a database at all" * 100)
    with pytest.raises(UserError, match="Cannot open the database"):
        database.connect(path)
    assert path.read_bytes().startswith(b"this is not")


def test_a_newer_schema_is_refused_and_untouched(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    database.connect(path).execute("PRAGMA user_version = 999")
    with pytest.raises(UserError, match="schema 999"):
        database.connect(path)
    assert sqlite3.connect(path).execute("PRAGMA user_version").fetchone() == (999,)


def test_processes_that_open_a_new_file_together_all_succeed(tmp_path: Path) -> None:
    code = (
        "import pathlib, sys; from storage import database;"
        "database.remember(database.connect(pathlib.Path(sys.argv[1])), sys.argv[2], 'x')"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path / "b.sqlite3", str(i)], cwd=ROOT)
        for i in range(6)
    ]
    assert [child.wait() for child in children] == [0] * 6


def as_another_process(path: Path, value: str) -> None:
    program = (
        "import sys; from pathlib import Path; from storage import database; "
        "database.remember(database.connect(Path(sys.argv[1])), 'x', sys.argv[2])"
    )
    subprocess.run([sys.executable, "-c", program, str(path), value], cwd=ROOT, check=True)


def test_a_second_connection_takes_no_locks_from_the_first(tmp_path: Path) -> None:
    path = tmp_path / "bot.sqlite3"
    first = database.connect(path)
    database.remember(first, "x", "ours")
    database.connect(path).close()
    for value in ("theirs", "theirs again"):  # whoever leaves last deletes the log
        as_another_process(path, value)
        assert database.recall(first, "x") == value
    database.remember(first, "x", "ours again")
    assert database.recall(database.connect(path), "x") == "ours again"


def test_snowflakes_tell_the_time() -> None:
    assert messages.snowflake_time(175928847299117063) == pytest.approx(1462015105.796)
    now = round(time.time(), 3)
    assert messages.snowflake_time(messages.snowflake_at(now)) == pytest.approx(now, abs=0.002)


def test_a_base_model_is_used_until_one_is_deployed_again(tmp_path: Path) -> None:
    connection = database.connect(tmp_path / "bot.sqlite3")
    assert database.chosen_path(connection) is None
    own = Model("own", tmp_path / "own.gguf", "base", "", {}, 1.0)
    database.add_model(connection, own)
    database.deploy(connection, "own")
    assert database.chosen_path(connection) == own.path
    database.use_base(connection, tmp_path / "base.gguf")
    assert database.chosen_path(connection) == tmp_path / "base.gguf"
    assert database.deployed_model(connection) is None
    database.deploy(connection, "own")
    assert database.chosen_path(connection) == own.path
