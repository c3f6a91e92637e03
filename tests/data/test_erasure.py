"""A person is planted everywhere, erased, and then looked for in every byte of the data folder."""

import gzip
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.config import ROOT, Config, UserError
from data import erasure, leftovers, residue
from model import provenance
from storage import channels, database, judgements, messages, people, shadow
from storage.channels import Channel
from storage.database import Model
from storage.embeddings import Embedder
from storage.messages import Message, Reply
from storage.shadow import Decision
from storage.vectordb import VectorStore
from tests.storage.test_database import as_another_process

KIM, SAM, BOT = 900_000_000_000_000_001, 900_000_000_000_000_002, 900_000_000_000_000_003
EMBEDDER = Embedder("test", "0" * 64, 384)
FIRST = messages.snowflake_at(1_700_000_000)
NAME = "canary-name-of-kim"
LONG = "canary one: the heron stands in the cold river"
EDITED = 'canary two: "edited" later, with ümlauts and 🐦 in it\nand a second line of canary two'
FILE = "canary-file-of-kim-at-home.png"
THREAD = "canary title of a thread that kim began"
OTHERS = "sam alone says this about the weather of today"


def from_kim() -> list[Message]:
    return [
        Message(FIRST, 1, KIM, NAME, LONG, attachments=((FILE, "image/png"),), reactions={"👍": 3}),
        Message(FIRST + 1, 1, KIM, NAME, EDITED, edited_at=1_700_000_100.0),
        Message(FIRST + 2, 1, KIM, NAME, "lol ok"),
    ]


def from_others() -> list[Message]:
    said = [
        Message(FIRST + 10, 1, SAM, "sam", f"> {LONG}\nno way", reply_to=FIRST),
        Message(FIRST + 11, 1, SAM, "sam", f"hey <@{KIM}> and <@!{KIM}>!", mentions=(KIM, SAM)),
        Message(FIRST + 12, 1, SAM, "sam", "> lol ok\nindeed"),
        Message(FIRST + 13, 1, BOT, "bot", f"they said {LONG}, right?", "self", reply_to=FIRST),
        Message(FIRST + 14, 1, SAM, "sam", OTHERS, reactions={"👀": 1}),
        Message(FIRST + 15, 1, SAM, "sam", "lol ok, that is what everybody says"),
    ]
    return [*said, *(Message(FIRST + 100 + n, 1, SAM, "sam", f"{OTHERS} {n}") for n in range(50))]


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "data").mkdir()
    return Config(
        env_path=tmp_path / ".env",
        token="",
        server_id=0,
        admin_ids=frozenset(),
        data_dir=tmp_path / "data",
        models_dir=tmp_path / "models",
    )


@pytest.fixture
def connection(config: Config) -> Iterator[sqlite3.Connection]:
    connection = database.connect(config.database_path)
    connection.execute("PRAGMA busy_timeout = 200")
    channels.save(connection, Channel(1, "general", "text"))
    channels.save(connection, Channel(FIRST, THREAD, "thread", 1))
    with database.transaction(connection):
        messages.save(connection, [*from_kim(), *from_others()])
        messages.record_reply(connection, Reply(FIRST + 13, FIRST, 1, "model", 1.0))
    for trigger, text in ((FIRST + 1, OTHERS), (FIRST + 10, LONG), (FIRST + 11, f"hi {NAME}")):
        shadow.keep(connection, Decision(trigger, 1, "chance", 0.05, (text,), "model", 1.0))
    shadow.keep(connection, Decision(FIRST + 14, 1, "chance", 0.05, (OTHERS,), "model", 1.0))
    people.decide(connection, KIM, True)
    yield connection
    connection.close()


def plant_everywhere(config: Config, connection: sqlite3.Connection) -> None:
    plant_vectors(config, connection)
    plant_training(config)
    plant_pages(config.data_dir / "messages" / "1")
    plant_logs(config.data_dir)
    backups = config.data_dir / "backups"
    backups.mkdir()
    for target in (backups / "of-monday.sqlite3", config.data_dir / "database" / "copy.db"):
        with sqlite3.connect(target) as copy:
            connection.backup(copy)
        copy.close()
    (backups / "of-sunday.json.gz").write_bytes(gzip.compress(json.dumps([LONG]).encode()))
    (config.data_dir / "export.partial").write_text(EDITED, "utf-8")


def plant_vectors(config: Config, connection: sqlite3.Connection) -> None:
    store = VectorStore(config.embeddings_dir, EMBEDDER)
    ids = [message.id for message in (*from_kim(), *from_others())]
    drawn = np.random.default_rng(1).normal(size=(len(ids), EMBEDDER.dimension))
    store.add(connection, ids, list(drawn.astype(np.float32)))


def plant_training(config: Config) -> None:
    config.training_dir.mkdir()
    row = json.dumps({"turns": [{"name": NAME, "text": LONG}], "reply": [OTHERS]})
    for name in ("train.jsonl", "valid.jsonl", "preferences.jsonl", "train.jsonl.partial"):
        (config.training_dir / name).write_text(row + "\n")
    for place in ("evaluation/0123.jsonl", "reports/amber.Q4_K_M.html", "participation.json"):
        path = config.data_dir / place
        path.parent.mkdir(exist_ok=True)
        path.write_text(row)
    for name, ids in (("with-kim", [FIRST + 1, FIRST + 14]), ("without-kim", [FIRST + 14])):
        folder = config.models_dir / "finetuned" / name
        folder.mkdir(parents=True)
        facts = {"message_hashes": [provenance.message_hash(number) for number in ids]}
        (folder / provenance.DATA).write_text(json.dumps(facts))


def plant_pages(folder: Path) -> None:
    folder.mkdir(parents=True)
    page = [as_discord_sends_it(message) for message in (*from_kim(), *from_others())]
    page[3]["referenced_message"] = page[0]
    (folder / "0.json.gz").write_bytes(gzip.compress(json.dumps(page).encode(), mtime=0))
    innocent = [as_discord_sends_it(message) for message in from_others()[-10:]]
    (folder / "100.json.gz").write_bytes(gzip.compress(json.dumps(innocent).encode(), mtime=0))


def as_discord_sends_it(message: Message) -> dict[str, Any]:
    user = {"id": str(message.author_id), "username": message.author_name}
    mentions = [{"id": str(KIM), "username": NAME}] if KIM in message.mentions else []
    files = [{"id": "1", "filename": file} for file, _ in message.attachments]
    return {
        "id": str(message.id),
        "channel_id": "1",
        "type": 0,
        "author": user,
        "content": message.content,
        "mentions": mentions,
        "attachments": files,
    }


def plant_logs(folder: Path) -> None:
    lines = [
        f"INFO bot.handlers: replied to {FIRST} in 2.0s",
        f"INFO bot.handlers: replied to {FIRST + 14} in 2.0s",
        f"WARNING bot: {KIM} did something",
    ]
    (folder / "bot.log").write_text("\n".join(lines))
    (folder / "bot.log.1").write_text("\n".join(lines))


def canaries() -> list[bytes]:
    """Everything that could tell of the person; their id stays, on the exclusion list.

    So does the id of their first message: it is that of the thread, in which others talk.
    """
    texts = [NAME, LONG, *EDITED.split("\n"), FILE, THREAD]
    ids = [str(message.id) for message in from_kim()[1:]]
    return [text.encode() for text in (*texts, *ids)]


def test_nothing_of_the_person_is_left_in_any_file(
    config: Config, connection: sqlite3.Connection
) -> None:
    plant_everywhere(config, connection)
    assert len(residue.scan(config.data_dir, canaries())) >= 12
    done = erasure.erase(config, connection, KIM, "asked for it", SAM)
    assert done.is_complete
    assert done.residue == ()
    assert residue.scan(config.data_dir, canaries()) == []
    raw = b"".join(path.read_bytes() for path in config.data_dir.rglob("*") if path.is_file())
    for message in from_kim()[1:]:
        assert message.id.to_bytes(8, "big") not in raw
        assert message.id.to_bytes(8, "little") not in raw
    assert done.models == ("with-kim",)
    assert [unsent.trigger_id for unsent in shadow.decisions(connection)] == [FIRST + 14]
    assert {what: done.removed[what] for what in ("messages", "raw pages", "backups")} == {
        "messages": 3,
        "raw pages": 1,
        "backups": 3,
    }
    assert done.removed["log lines"] == 4


def test_what_others_wrote_is_as_it_was(config: Config, connection: sqlite3.Connection) -> None:
    plant_everywhere(config, connection)
    before = {message.id: message for message in messages.history(connection)}
    erasure.erase(config, connection, KIM)
    after = {message.id: message for message in messages.history(connection)}
    assert set(before) - set(after) == {message.id for message in from_kim()}
    changed = {number - FIRST for number in after if after[number] != before[number]}
    assert changed == {10, 11, 12, 13}
    texts = {number - FIRST: after[number].content for number in after}
    assert texts[10] == "no way"
    assert texts[11] == "hey @someone and @someone!"
    assert texts[12] == "indeed"
    assert texts[13] == "they said , right?"
    assert after[FIRST + 11].mentions == (SAM,)
    assert after[FIRST + 10].reply_to is after[FIRST + 13].reply_to is None
    assert (config.data_dir / "messages" / "1" / "100.json.gz").exists()
    log = (config.data_dir / "bot.log").read_text()
    assert log == f"INFO bot.handlers: replied to {FIRST + 14} in 2.0s\n"
    store = VectorStore(config.embeddings_dir, EMBEDDER)
    assert store.sync(connection) == len(after) - len(changed)  # these are indexed anew


def test_a_new_fetch_brings_nothing_back(config: Config, connection: sqlite3.Connection) -> None:
    erasure.erase(config, connection, KIM)
    for _ in range(2):
        with database.transaction(connection):
            messages.save(connection, from_kim())
        assert people.written(connection, KIM) == people.Written({}, (), "")
        assert erasure.erase(config, connection, KIM).is_complete
    people.include(connection, KIM)
    with database.transaction(connection):
        messages.save(connection, from_kim())
    assert len(people.written(connection, KIM).texts) == 3


def test_models_are_marked_once(config: Config, connection: sqlite3.Connection) -> None:
    plant_training(config)
    for name in ("with-kim", "without-kim"):
        path = config.models_dir / "finetuned" / name / "x.gguf"
        database.add_model(connection, Model(name, path, "base", "hash", {}, 1.0))
    assert erasure.models_with(connection, config.models_dir, KIM) == ["with-kim"]
    for _ in range(2):
        erasure.erase(config, connection, KIM)
        marks = {model.name: model.erased_people for model in database.models(connection)}
        assert marks == {"with-kim": 1, "without-kim": 0}


def test_what_was_kept_of_deleted_replies_goes_with_whoever_they_answer_or_quote(
    config: Config, connection: sqlite3.Connection
) -> None:
    replies = {
        13: (FIRST, "an answer to kim, which the owner found bad"),
        60: (FIRST + 14, f"sam, they said {LONG}, right?"),
        61: (FIRST + 14, f"ask {NAME}"),
        62: (FIRST + 14, f"ask <@{KIM}>"),
        63: (FIRST + 14, "an answer to sam, which the owner found bad"),
    }
    with database.transaction(connection):
        for number, (trigger, text) in replies.items():
            messages.save(connection, [Message(FIRST + number, 1, BOT, "bot", text, "self")])
            messages.record_reply(connection, Reply(FIRST + number, trigger, 1, "model", 1.0))
            judgements.reject(connection, FIRST + number)
    messages.edit(connection, FIRST + 13, replies[13][1], 1_700_000_001.0)
    messages.mark_deleted(connection, [FIRST + number for number in replies])
    assert judgements.kept(connection) == {FIRST + n: text for n, (_, text) in replies.items()}
    assert erasure.erase(config, connection, KIM).is_complete
    assert judgements.kept(connection) == {FIRST + 63: replies[63][1]}
    assert residue.scan(config.data_dir, [*canaries(), replies[13][1].encode()]) == []


def test_data_prepared_afterwards_outlives_another_erasure(
    config: Config, connection: sqlite3.Connection
) -> None:
    erasure.erase(config, connection, KIM)
    plant_training(config)
    assert "training files" not in erasure.erase(config, connection, KIM).removed
    assert (config.training_dir / "train.jsonl").exists()


@pytest.mark.parametrize("module", ["leftovers.clear", "people.erase", "residue.scan"])
def test_an_erasure_that_was_cut_short_is_finished_by_the_next(
    config: Config,
    connection: sqlite3.Connection,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
) -> None:
    plant_everywhere(config, connection)
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(f"data.erasure.{module}", killed)
        with pytest.raises(KeyboardInterrupt):
            erasure.erase(config, connection, KIM)
    with database.transaction(connection):
        messages.save(connection, [Message(FIRST + 3, 1, KIM, NAME, f"{LONG} again")])
    assert erasure.erase(config, connection, KIM).is_complete
    assert residue.scan(config.data_dir, canaries()) == []


def test_an_open_reader_is_told_of_and_the_next_run_finishes(
    config: Config, connection: sqlite3.Connection
) -> None:
    reader = database.connect(config.database_path)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM users").fetchone() == (3,)
    done = erasure.erase(config, connection, KIM)
    assert not done.is_log_empty
    assert not done.is_complete
    assert {path.parent for path in done.residue} == {config.database_path.parent}
    reader.close()
    assert erasure.erase(config, connection, KIM).is_complete
    assert residue.scan(config.data_dir, canaries()) == []


def test_what_an_old_release_left_in_free_pages_is_found_and_goes(
    config: Config, connection: sqlite3.Connection
) -> None:
    """SQLite writes zeros over what it deletes only if told so."""
    careless = sqlite3.connect(config.database_path)
    careless.execute("PRAGMA secure_delete = OFF")
    careless.execute("CREATE TABLE scratch (content TEXT)")
    careless.executemany("INSERT INTO scratch VALUES (?)", [(LONG + "x" * 3000,)] * 5)
    careless.execute("DELETE FROM scratch")
    careless.commit()
    careless.close()
    people.truncate_log(connection)
    assert LONG.encode() in config.database_path.read_bytes()
    assert erasure.erase(config, connection, KIM).is_complete
    assert LONG.encode() not in config.database_path.read_bytes()


def test_a_name_that_others_say_is_told_and_not_called_residue(
    config: Config, connection: sqlite3.Connection
) -> None:
    with database.transaction(connection):
        messages.save(connection, [Message(FIRST + 20, 1, SAM, "sam", f"has anybody seen {NAME}")])
    done = erasure.erase(config, connection, KIM)
    assert done.is_complete
    assert done.naming == 1


def test_a_file_that_cannot_be_cleaned_is_named(
    config: Config, connection: sqlite3.Connection
) -> None:
    stray = config.data_dir / "notes of the admin.txt"
    stray.write_text(f"kim wrote: {LONG}")
    done = erasure.erase(config, connection, KIM)
    assert done.residue == (stray,)
    assert not done.is_complete


def test_an_erasure_takes_no_locks_from_whoever_runs_it(
    config: Config, connection: sqlite3.Connection
) -> None:
    """A bot that erases somebody goes on writing to the file that others read."""
    erasure.erase(config, connection, KIM)
    for value in ("theirs", "theirs again"):
        as_another_process(config.database_path, value)
        assert database.recall(connection, "x") == value


def test_the_bot_itself_is_refused(config: Config, connection: sqlite3.Connection) -> None:
    with pytest.raises(UserError, match="the bot itself"):
        erasure.erase(config, connection, BOT)
    assert BOT not in database.excluded_users(connection)


def test_somebody_unknown_is_excluded_in_an_empty_house(tmp_path: Path, config: Config) -> None:
    connection = database.connect(config.database_path)
    assert erasure.erase(config, connection, 123).is_complete
    assert database.excluded_users(connection) == {123}


def test_backups_are_our_databases_only(tmp_path: Path, config: Config) -> None:
    database.connect(config.database_path).close()
    shutil.copy(config.database_path, tmp_path / "data" / "mine.bak")
    (tmp_path / "data" / "mine.bak-wal").touch()
    sqlite3.connect(tmp_path / "data" / "other.db").execute("CREATE TABLE t (x)").connection.close()
    (tmp_path / "data" / "short").write_bytes(b"SQLite format 3\0")
    copies = leftovers._copies(config.data_dir, config.database_path)
    assert {path.name for path in copies} == {"mine.bak", "mine.bak-wal"}


def test_ten_thousand_messages_against_a_hundred_thousand(
    config: Config, connection: sqlite3.Connection
) -> None:
    """Nothing is timed: comparing each with each would take hours and meet the test's limit."""
    dice = np.random.default_rng(2)
    words = [f"word{number}" for number in range(500)]

    def text() -> str:
        return " ".join(words[number] for number in dice.integers(0, 500, 12))

    theirs = [text() for _ in range(10_000)]
    rows = [Message(FIRST + 1000 + n, 1, KIM, NAME, said) for n, said in enumerate(theirs)]
    for n in range(100_000):
        said = f"as you said: {theirs[n % 10_000]}" if n % 100 == 0 else text()
        rows.append(Message(FIRST + 20_000 + n, 1, SAM, "sam", said))
    with database.transaction(connection):
        messages.save(connection, rows)
    done = erasure.erase(config, connection, KIM)
    assert done.is_complete
    quoting = done.removed["messages of others that quoted or mentioned them"]
    assert quoting == 1000 + 4


@pytest.fixture
def home(tmp_path: Path, config: Config, connection: sqlite3.Connection) -> Path:
    plant_everywhere(config, connection)
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={config.data_dir}\nMODELS_DIR={config.models_dir}\n")
    return env


def run(env: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, str(ROOT / "scripts" / "forget_person.py"), "--env", str(env)]
    done = subprocess.run(
        [*command, *arguments],
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONUTF8": "1"},
    )
    return done.returncode, done.stdout + done.stderr


def test_the_script_needs_no_token_and_says_what_it_did(home: Path, config: Config) -> None:
    code, said = run(home, str(KIM), "--which-models")
    assert (code, said.strip()) == (0, "with-kim")
    code, said = run(home, str(KIM), "--reason", "asked for it")
    assert code == 0, said
    assert "3  messages" in said
    assert "with-kim" in said
    assert "nothing of theirs is left" in said
    assert not any(canary.decode() in said for canary in canaries())
    assert residue.scan(config.data_dir, canaries()) == []
    code, said = run(home, "--list")
    assert said.startswith(str(KIM))
    assert "asked for it" in said
    assert run(home, str(KIM), "--include")[0] == 0
    assert run(home, "--list") == (0, "")


def test_the_script_fails_where_something_is_left(home: Path, config: Config) -> None:
    (config.data_dir / "stray").write_text(LONG)
    code, said = run(home, str(KIM))
    assert code == 1
    assert str(config.data_dir / "stray") in said


@pytest.mark.parametrize("arguments", [[], ["kim"], ["0"], ["-5"], ["9" * 30]])
def test_the_script_asks_for_an_id(home: Path, arguments: list[str]) -> None:
    code, said = run(home, *arguments)
    assert code in (2, 78)
    assert "Traceback" not in said
