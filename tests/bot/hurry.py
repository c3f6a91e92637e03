"""A handler for which waiting takes no time."""

import asyncio
import sqlite3
import time

from bot.bursts import Bursts
from bot.handlers import Handler
from bot.recall import Recall
from bot.writing import Writer
from data.speaking_policy import Policy
from model.inference import Engine


class Hurry:
    """A clock on which a sleep is over at once."""

    def __init__(self) -> None:
        self._slept = 0.0

    def clock(self) -> float:
        return time.monotonic() + self._slept

    async def sleep(self, seconds: float) -> None:
        self._slept += seconds
        await asyncio.sleep(0)


def handler(
    connection: sqlite3.Connection,
    engine: Engine,
    recall: Recall,
    own_id: int,
    policy: Policy | None = None,
) -> Handler:
    """The bot's own, in a hurry."""
    hurry = Hurry()
    writer = Writer(connection, engine, recall, own_id)
    bursts = Bursts(hurry.clock, hurry.sleep)
    return Handler(connection, engine, writer, own_id, policy, bursts, hurry.sleep)
