"""Messages and histories for the tests of what is made of them."""

import random
import sqlite3
from typing import Any

from storage import database, messages
from storage.messages import Message

NOW = 1_700_000_000
WORDS = ("bot", "pixel", "night", "music", "rain", "cat", "loud", "pizza", "moon", "train")


def message(seconds: float, author: int, text: str, **more: Any) -> Message:
    """A message so many seconds after `NOW`."""
    snowflake = messages.snowflake_at(NOW + seconds)
    fields = {"channel_id": 1, "author_name": f"user{author}", **more}
    return Message(id=snowflake, author_id=author, content=text, **fields)


def chat(count: int, people: int = 7, seed: int = 0, **more: Any) -> list[Message]:
    """People taking turns, with an hour's silence after every 40 messages."""
    dice = random.Random(seed)
    return [
        message(
            i * 60 + (i // 40) * 3600, i % people + 1, f"{i} {' '.join(dice.choices(WORDS, k=3))}"
        )
        for i in range(count)
    ]


def store(connection: sqlite3.Connection, said: list[Message]) -> None:
    """Save messages as a fetch does."""
    with database.transaction(connection):
        messages.save(connection, said)
