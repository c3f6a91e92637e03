"""Retention: what is older than asked goes from everywhere; the rest stays as it is."""

import sys
from pathlib import Path

import pytest

from bot import config
from data import pages, retention
from storage import database, judgements, messages, shadow
from storage.messages import Message, Reply
from storage.shadow import Decision
from tests.data.history import NOW, chat

HALF = NOW + 3600.0


@pytest.fixture
def env(tmp_path: Path) -> Path:
    path = tmp_path / ".env"
    path.write_text(f"DATA_DIR={tmp_path / 'data'}\n")
    return path


def test_only_the_old_is_forgotten(env: Path) -> None:
    settings = config.load(env, needs_discord=False)
    connection = database.connect(settings.database_path)
    said = chat(100)
    old = {m.id for m in said if messages.snowflake_time(m.id) < HALF}
    messages.save(connection, said)
    raw = [{"id": str(m.id), "content": m.content} for m in said]
    pages.write(settings.data_dir / "messages", 1, 0, raw, None)
    assert 0 < len(old) < 100

    assert retention.forget(settings, connection, HALF) == len(old)
    assert {m.id for m in messages.history(connection)} == {m.id for m in said} - old
    ((_, page),) = pages.read(settings.data_dir / "messages")
    assert {int(raw["id"]) for raw in page} == {m.id for m in said} - old
    texts = b"".join(p.read_bytes() for p in settings.data_dir.rglob("*") if p.is_file())
    assert b"user" in texts
    assert not [m for m in said if m.id in old and m.content.encode() in texts]
    assert retention.forget(settings, connection, HALF) == 0


def test_a_deleted_reply_is_kept_no_longer_than_the_rest(env: Path) -> None:
    settings = config.load(env, needs_discord=False)
    connection = database.connect(settings.database_path)
    said, replies = chat(60), []
    messages.save(connection, said)
    for trigger, text in ((said[10], "an old bad answer"), (said[-5], "a new bad answer")):
        reply = Message(trigger.id + (1 << 22), 1, 900, "bot", text, "self")
        messages.save(connection, [reply])
        messages.record_reply(connection, Reply(reply.id, trigger.id, 1, "tiny", 1.0))
        judgements.reject(connection, reply.id)
        replies.append(reply)
    messages.mark_deleted(connection, [replies[1].id])
    retention.forget(settings, connection, HALF)
    assert judgements.kept(connection) == {replies[1].id: "a new bad answer"}
    retention.forget(settings, connection, replies[1].sent_at + 1)
    assert judgements.kept(connection) == {}
    assert all(
        b"bad answer" not in path.read_bytes()
        for path in settings.data_dir.rglob("*")
        if path.is_file()
    )


def test_the_command_says_what_it_did(
    env: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = database.connect(config.load(env, needs_discord=False).database_path)
    messages.save(connection, chat(3))
    shadow.keep(connection, Decision(chat(1)[0].id, 1, "chance", 0.05, ("lol",), "tiny", 1.0))
    for days, code, said in (("0", 78, "at least 1"), ("30", 0, "Forgot 3 messages")):
        monkeypatch.setattr(sys, "argv", ["retention", "--env", str(env), "--days", days])
        assert retention.main() == code
        assert said in "".join(capsys.readouterr())
    assert shadow.decisions(connection) == []
