"""The kill word: any member may have the bot be quiet in a channel.

For the handler, before anything else and also for excluded people, of whom nothing is stored:

    if hush.asks(message, own_id, names, is_reply_to_us, hush.words(connection)):
        quiet.begin(connection, channel_id, now + hush.SECONDS)     unless it is quiet already
        add the reaction hush.UNDERSTOOD, and say nothing

A longer quiet that an admin began must not be cut short, hence the "unless". `names` are what
people call the bot: its user name and its name on the server.
"""

import re
import sqlite3
from collections.abc import Collection, Sequence

from bot.plain_text import plain
from storage import database
from storage.messages import Message

SECONDS = 1_800.0
UNDERSTOOD = "\N{ZIPPER-MOUTH FACE}"
WORDS = (
    "hush",
    "be quiet",
    "quiet",
    "shut up",
    "shut it",
    "shush",
    "silence",
    "stop talking",
    "stop spamming",
    "stop it",
    "go to sleep",
)
SETTING = "hush_words"
LONGEST = 200  # characters; nobody who wants silence writes more
_MOST_WORDS = 50
_FILLERS = frozenset(
    ["please", "pls", "hey", "ok", "now", "just", "you", "for", "a", "bit", "while"]
)
_CALLED = ("bot", "the bot")
_WORD = re.compile(r"[\w']+")
_OWN = re.compile(r"<@!?\d{1,22}>")


def words(connection: sqlite3.Connection) -> tuple[str, ...]:
    """The kill words in force: those that were set, with commas between, else `WORDS`."""
    own = (database.recall(connection, SETTING) or "").split(",")
    return tuple(word.strip() for word in own[:_MOST_WORDS] if _core(word, ())) or WORDS


def asks(
    message: Message,
    own_id: int,
    names: Collection[str],
    is_reply_to_us: bool,
    kill_words: Sequence[str] = WORDS,
) -> bool:
    """Whether a message is a kill word and nothing else, and meant for the bot.

    It is meant for it as a reply, by a mention, or by its name ("hush bot"), unless it replies to
    or mentions somebody else only.
    """
    if message.author_kind != "member" or len(message.content) > LONGEST:
        return False
    is_to_us = is_reply_to_us or own_id in message.mentions
    if not is_to_us and (message.reply_to or message.mentions):
        return False
    called = [*_CALLED, *names]
    text = _OWN.sub(" ", message.content)
    asked = _core(text, called)
    if not asked or not (is_to_us or asked != _core(text, ())):
        return False
    return any(asked == _core(word, called) for word in kill_words)


def _core(text: str, called: Collection[str]) -> str:
    """The words that count: no names of the bot at either end, no please."""
    found = [word for word in _WORD.findall(plain(text[:LONGEST])) if word not in _FILLERS]
    for name in sorted((_WORD.findall(plain(name)) for name in called), key=len, reverse=True):
        if name and found[: len(name)] == name:
            found = found[len(name) :]
        elif name and found[-len(name) :] == name:
            found = found[: -len(name)]
    return " ".join(found)
