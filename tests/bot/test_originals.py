"""What one member wrote is not said again; what several wrote is anybody's."""

import collections
import itertools
import sqlite3
import time
from pathlib import Path

import pytest

from bot.originals import Originals
from storage import database, messages, wordings
from storage.messages import Message
from tests.bot import members

AMBER, BLAKE = 1, 2
BUSY = 4  # times slower may a machine be that does more than this
SECRET = "My grandmother keeps eleven geese behind the old water tower"
COMMON = "good morning everyone and have a nice day"


@pytest.fixture
def connection(tmp_path: Path) -> sqlite3.Connection:
    opened = database.connect(tmp_path / "bot.sqlite3")
    said = [(AMBER, SECRET), (AMBER, COMMON), (BLAKE, COMMON.upper()), (BLAKE, "lol same")]
    rows = [Message(n, 10, author, "x", text) for n, (author, text) in enumerate(said, 1)]
    own = Message(9, 10, 3, "bot", "i am the bot and this is what i say", "self")
    messages.save(opened, [*rows, own])
    return opened


@pytest.fixture
def originals(connection: sqlite3.Connection) -> Originals:
    return Originals(wordings.texts(connection))


def test_a_members_text_is_known_again(
    connection: sqlite3.Connection, originals: Originals
) -> None:
    for copy in (
        SECRET,
        SECRET.upper() + "!!!",
        f"yeah so, {SECRET.lower()} lol",
        "grandmother keeps eleven geese — behind, the OLD thing",
    ):
        assert originals.has_copy(connection, copy)


def test_what_is_short_common_or_the_bots_own_is_no_copy(
    connection: sqlite3.Connection, originals: Originals
) -> None:
    for fine in (
        "",
        "lol same",
        "eleven geese behind the old tower",
        COMMON,
        "i am the bot and this is what i say",
    ):
        assert not originals.has_copy(connection, fine)


def test_a_quote_of_what_is_shown_is_no_copy(
    connection: sqlite3.Connection, originals: Originals
) -> None:
    quote = f"> {SECRET}\nno way"
    assert not originals.has_copy(connection, quote, shown=[f"hm. {SECRET}"])
    assert originals.has_copy(connection, quote, shown=["something else"])


def test_what_left_the_database_left_the_originals(
    connection: sqlite3.Connection, originals: Originals
) -> None:
    messages.edit(connection, 1, "never mind", time.time())
    assert not originals.has_copy(connection, SECRET)
    assert originals.has_copy(connection, "") is False
    messages.mark_deleted(connection, [2])
    assert originals.has_copy(connection, COMMON)  # one author is left
    messages.mark_deleted(connection, [3])
    assert not originals.has_copy(connection, COMMON)


def test_a_new_message_counts(connection: sqlite3.Connection, originals: Originals) -> None:
    text = "nobody ever puts tomatoes into the server room fridge"
    messages.save(connection, [Message(20, 10, BLAKE, "x", text)])
    assert not originals.has_copy(connection, text)
    originals.add(20, text)
    assert originals.has_copy(connection, text)


def test_custom_emoji_are_those_that_members_wrote(connection: sqlite3.Connection) -> None:
    said = ["<:pog:1> and <a:dance:2><:kek:3>", ":plain: <@5>", "a:b:c <"]
    messages.save(connection, [Message(30 + n, 10, 1, "x", text) for n, text in enumerate(said)])
    assert wordings.custom_emoji(connection) == {"pog", "dance", "kek"}


@pytest.mark.parametrize("community", members.COMMUNITIES)
def test_members_seldom_copy_each_other(tmp_path: Path, community: str) -> None:
    """Each message is held against all that were written before it, as a reply would be."""
    connection, lines = database.connect(tmp_path / "bot.sqlite3"), members.lines(community)
    with database.transaction(connection):
        rows = [Message(line.id, 10, line.author_id, "x", line.content) for line in lines]
        messages.save(connection, rows)
    originals, copies = Originals([]), 0
    shown: dict[int, collections.deque[str]] = {}
    for line in lines:
        here = shown.setdefault(line.place_id, collections.deque(maxlen=40))
        found = originals.authors(connection, line.content, here)
        copies += any(len(who) == 1 and line.author_id not in who for who in found)
        originals.add(line.id, line.content)
        here.append(line.content)
    assert 0 < copies <= 0.005 * len(lines)


def test_a_hundred_thousand_messages_are_searched_in_no_time(
    connection: sqlite3.Connection,
) -> None:
    said = [line.content[:100] for line in members.lines("gitter-casual")]
    texts = ((n, f"{said[n % len(said)]} {n}") for n in range(10, 100_000))
    originals = Originals(itertools.chain(wordings.texts(connection), texts))
    new = " ".join(f"{word}{n}" for n, word in enumerate(SECRET.split() * 30))
    assert not originals.has_copy(connection, new)
    assert originals.has_copy(connection, f"{new} {SECRET}")
    assert _seconds(originals, connection, new) < 0.005 * BUSY
    assert _seconds(originals, connection, f"{new} {SECRET}") < 0.005 * BUSY


def _seconds(originals: Originals, connection: sqlite3.Connection, reply: str) -> float:
    """The best of five."""
    taken = []
    for _ in range(5):
        started = time.process_time()
        originals.has_copy(connection, reply)
        taken.append(time.process_time() - started)
    print(f"{1000 * min(taken):.2f} ms")
    return min(taken)
