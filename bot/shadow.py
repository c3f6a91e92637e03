"""Shadow mode: what is held back and kept instead, and how it counts in what is decided next."""

import logging
import sqlite3
import time
from collections.abc import Sequence

from bot.participation import Reason
from storage import messages, shadow
from storage.explanations import Why
from storage.messages import Message
from storage.shadow import Decision

log = logging.getLogger(__name__)


class Shadow:
    """Whether the bot only listens, asked anew for each message."""

    def __init__(self, connection: sqlite3.Connection, own_id: int) -> None:
        self._connection, self._own_id = connection, own_id

    @property
    def is_on(self) -> bool:
        """Whether nothing is to be sent from now on."""
        return shadow.is_on(self._connection)

    def covers(self, message_id: int) -> bool:
        """Whether nothing is to be sent to a message, because it is on or was when it came."""
        return shadow.holds(self._connection, message_id)

    def hear(self, message: Message, reason: Reason | None, probability: float) -> None:
        """Keep what was decided on a message."""
        said = reason.value if reason else ""
        shadow.hear(self._connection, Decision(message.id, message.channel_id, said, probability))

    def takes(
        self, message: Message, texts: Sequence[str], why: Why, model: str, started: float
    ) -> bool:
        """Whether texts are kept, which must not be sent then; `started` is a monotonic time."""
        if not self.covers(message.id):
            return False
        facts = (message.id, message.channel_id, why.reason, why.probability)
        seconds = time.monotonic() - started
        shadow.keep(self._connection, Decision(*facts, tuple(texts), model, seconds))
        log.info("only listening: what was to be said to %d is kept, not sent", message.id)
        return True

    def as_if_sent(self, said: Sequence[Message]) -> list[Message]:
        """A channel's messages with our own that were not sent, without a text: for decisions.

        A policy learned how often people speak of those who do; who never spoke hardly ever would.
        """
        if not said or not self.is_on:
            return list(said)
        place, last = said[0].channel_id, said[-1].id
        times = shadow.spoke_at(self._connection, place, said[0].sent_at)
        ids = [i for i in map(messages.snowflake_at, times) if i < last]
        unsent = [Message(i, place, self._own_id, "", "", "self") for i in ids]
        return sorted([*said, *unsent], key=lambda message: message.id)
