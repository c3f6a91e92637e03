"""Why the bot said something, found by any message of the reply."""

import sqlite3
from pathlib import Path

import pytest

from storage import database, explanations, messages
from storage.explanations import Why
from storage.messages import Message, Reply

ANN, BOT = 5, 9
FIRST = messages.snowflake_at(1_760_000_000)
SECOND = 1000 << 22  # in a snowflake
WHY = Why("chance", 0.05, 7, 2, {"temperature": 0.75, "top_k": 40})


def said(seconds: float, author: int = BOT) -> Message:
    kind = "self" if author == BOT else "member"
    return Message(FIRST + int(seconds * SECOND), 1, author, "x", "text", kind)


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    """Ann asks, and the bot answers in two messages; later again, in one; then it says a word."""
    connection = database.connect(tmp_path / "bot.sqlite3")
    spoken = [said(0, ANN), said(2), said(3), said(10, ANN), said(12), said(500)]
    messages.save(connection, spoken)
    for asked, reply in ((0, 1), (3, 4)):
        record = Reply(spoken[reply].id, spoken[asked].id, 1, "tiny", 1.5)
        messages.record_reply(connection, record)
    explanations.record(connection, spoken[1].id, WHY)
    return connection


def test_each_part_of_a_reply_leads_to_it(connection: sqlite3.Connection) -> None:
    for seconds in (2, 3):
        found = explanations.find(connection, said(seconds).id)
        assert found and (found.reply_id, found.why) == (said(2).id, WHY)
        assert explanations.parts(connection, found) == [said(2).id, said(3).id]


def test_a_reply_of_before_reasons_were_kept_has_none(connection: sqlite3.Connection) -> None:
    found = explanations.find(connection, said(12).id)
    assert found and (found.trigger_id, found.model, found.why) == (said(10).id, "tiny", None)
    assert explanations.parts(connection, found) == [said(12).id]


@pytest.mark.parametrize("message_id", [said(0, ANN).id, said(500).id, 7, 2**63 - 1])
def test_what_is_no_reply_has_no_reason(connection: sqlite3.Connection, message_id: int) -> None:
    assert explanations.find(connection, message_id) is None


def test_a_deleted_reply_can_still_be_explained(connection: sqlite3.Connection) -> None:
    messages.mark_deleted(connection, [said(2).id])
    found = explanations.find(connection, said(2).id)
    assert found and found.is_deleted and found.why == WHY
    assert explanations.parts(connection, found) == [said(3).id]
