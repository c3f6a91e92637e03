"""Any member can have the bot be quiet, and nobody does so by accident."""

import sqlite3
from pathlib import Path

import pytest

from bot import hush
from storage import database
from storage.messages import Message
from tests.bot.channel_talk import AMY, BEN, OWN, said

NAMES = ("Marble", "Old Marble")


def asks(message: Message, is_reply_to_us: bool = False, *words: str) -> bool:
    return hush.asks(message, OWN, NAMES, is_reply_to_us, words or hush.WORDS)


@pytest.mark.parametrize(
    "text",
    ["hush bot", "Bot, be quiet!", "shut up bot", "SHUT UP BOT!!!", "marble be quiet please",
     "hey Marble, shush", "old marble: stop talking", "the bot stop it", "bot just shut up",
     "**hush bot**", "hu\u0301s\u0308h bot", "be quiet for a bit, marble",
     "ok bot, go to sleep now"],
)  # fmt: skip
def test_by_name(text: str) -> None:
    assert asks(said(AMY, text))


@pytest.mark.parametrize("text", ["hush", "shut up", "quiet", "Stop talking.", "please be quiet"])
def test_by_mention_and_by_reply(text: str) -> None:
    assert asks(said(AMY, f"<@{OWN}> {text}", mentions=(OWN,)))
    assert asks(said(AMY, f"{text} <@!{OWN}>", mentions=(OWN,)))
    assert asks(said(AMY, text, reply_to=5), True)
    assert not asks(said(AMY, text))
    assert not asks(said(AMY, text, reply_to=5))


@pytest.mark.parametrize(
    "text",
    ["shut up", "be quiet everybody", "my bot is quiet", "the bot should shut up about cats",
     "shut up bot lol that was great", "quiet bot framework", "how do i make the bot be quiet?",
     "marble", "bot", "", "hush money", "a quiet place", "bot quiet hours are where?",
     "shut up and take my money bot", "https://example.org/hush bot", "`hush bot`", "> hush bot",
     "hush bot " * 40, "\u202etob hsuh", "\U0001f910", "\ud800", "\x00"],
)  # fmt: skip
def test_other_talk_is_no_kill_word(text: str) -> None:
    assert not asks(said(AMY, text))


def test_what_is_said_to_somebody_else_is_not_for_us() -> None:
    assert not asks(said(AMY, "shut up bot", reply_to=5))
    assert not asks(said(AMY, f"<@{BEN}> shut up bot", mentions=(BEN,)))


@pytest.mark.parametrize("kind", ["bot", "webhook", "self"])
def test_only_members_may_say_it(kind: str) -> None:
    assert not asks(said(AMY, "hush bot", kind=kind))


def test_the_words_can_be_chosen(tmp_path: Path) -> None:
    connection = database.connect(tmp_path / "bot.sqlite3")
    assert hush.words(connection) == hush.WORDS
    database.remember(connection, hush.SETTING, "pineapple, bot ruhe bitte ,, !?")
    words = hush.words(connection)
    assert words == ("pineapple", "bot ruhe bitte")
    assert asks(said(AMY, "Pineapple, Marble!"), False, *words)
    assert asks(said(AMY, "ruhe bitte", reply_to=5), True, *words)
    assert not asks(said(AMY, "hush bot"), False, *words)
    assert not asks(said(AMY, "pineapple"), False, *words)


@pytest.mark.parametrize("kept", ["", ",", " , ,", "bot", "\x00", "," * 10_000])
def test_without_a_word_the_usual_ones_count(tmp_path: Path, kept: str) -> None:
    connection: sqlite3.Connection = database.connect(tmp_path / "bot.sqlite3")
    database.remember(connection, hush.SETTING, kept)
    assert hush.words(connection) == (("bot",) if kept == "bot" else hush.WORDS)
