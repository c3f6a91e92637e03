"""What the bot would say to a message: what it recalls, asks the model, and does not let pass."""

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bot import honesty, output
from bot.originals import Originals
from bot.output import Room
from bot.recall import Recall
from bot.window import Windows
from data import conversations, links
from model import prompts
from model.inference import AnyEngine, Sampling
from model.prompts import Prompt, Turn
from storage import database, messages, wordings
from storage.explanations import Why
from storage.messages import Message

log = logging.getLogger(__name__)

SEEN = 40  # of a channel's last messages, among which the conversation is found
SAMPLE = 5_000  # messages that show which words are common here
ATTEMPTS, ATTEMPTS_IF_ASKED = 2, 4  # what must not be sent is tried again


@dataclasses.dataclass(frozen=True)
class Draft:
    """A reply, message by message, and what the model was shown and told for it."""

    burst: Sequence[str]
    context_count: int
    recalled_count: int
    sampling: Sampling

    def why(self, reason: str, probability: float) -> Why:
        """What is kept of it, with what led to it."""
        drawn = {k: v for k, v in dataclasses.asdict(self.sampling).items() if v is not None}
        return Why(reason, probability, self.context_count, self.recalled_count, drawn)


class Writer:
    """Writes replies. Sends nothing, and records nothing."""

    def __init__(
        self, connection: sqlite3.Connection, engine: AnyEngine, recall: Recall, own_id: int
    ) -> None:
        self._connection, self._engine, self._recall = connection, engine, recall
        self._own_id = own_id
        self._common = links.common_words(messages.sample(connection, SAMPLE))
        self._windows = Windows()
        self._originals = Originals(())
        self._former_emoji: Collection[str] = ()

    async def open(self, database_path: Path) -> None:
        """Read what members wrote, on a thread: it must not be said again word for word."""
        self._originals, self._former_emoji = await asyncio.to_thread(_read, database_path)

    def heard(self, message: Message) -> None:
        """Know one more message."""
        self._originals.add(message.id, message.content)

    async def read_along(self, message: Message) -> None:
        """Have the model read what led to a message. Raises `EngineError`."""
        prompt = prompts.build(self._shown(self._conversation(message)))
        await self._engine.read(prompt, self._sampling(), message.channel_id)

    async def write(
        self,
        message: Message,
        emoji: Mapping[str, str],
        channels: Collection[int] | None = None,
        is_asked: bool = False,
    ) -> Draft | None:
        """A reply to a message; None where nothing came that may be sent.

        `emoji` are the server's own, as they are written, by name. Only what was said in
        `channels` is recalled, or anywhere if there are none. Raises `EngineError`.
        """
        said = self._conversation(message)
        known = {m.id for m in said}
        recalled = await self._recall.related(message.content, known, channels)
        shown = [*recalled, *said]
        names = self._names(shown)
        prompt = prompts.build(
            self._shown(said), [prompts.turn(one, names, self._own_id) for one in recalled]
        )
        room = Room(names, [m.content for m in shown], emoji, self._former_emoji)
        sampling = self._sampling()
        for _ in range(ATTEMPTS_IF_ASKED if is_asked else ATTEMPTS):
            reply = await self._ask(prompt, sampling, message.channel_id)
            if burst := self._passed(reply, message, said, room):
                return Draft(burst, len(said), len(recalled), sampling)
        return None

    async def _ask(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> str:
        pieces = self._engine.reply(prompt, sampling, channel_id)
        async with contextlib.aclosing(pieces):
            return prompts.clean("".join([piece async for piece in pieces]))

    def _passed(
        self, reply: str, message: Message, said: Sequence[Message], room: Room
    ) -> list[str]:
        """The messages of a reply, if it may leave."""
        if honesty.denies(reply, [m.content for m in said if m.author_kind == "member"]):
            log.warning("the reply to %d denied that a bot speaks: not sent", message.id)
            return [honesty.answer(message.id)]
        if self._originals.has_copy(self._connection, reply, room.shown):
            log.info("the reply to %d was somebody's own words: not sent", message.id)
            return []
        return output.messages(reply, room)

    def _conversation(self, message: Message) -> list[Message]:
        """What led to `message`, itself last, as a training example would show it.

        Only what people and we said counts: no other bots, no notices, nobody else's talk.
        """
        recent = messages.recent(self._connection, message.channel_id, SEEN)
        said = [m for m in recent if m.author_kind in ("member", "self") and m.id <= message.id]
        return self._windows.of(conversations.latest(said, self._common))

    def _shown(self, said: Sequence[Message]) -> list[Turn]:
        return prompts.turns(said, self._names(said), self._own_id)

    def _sampling(self) -> Sampling:
        return Sampling.of(database.settings(self._connection))

    def _names(self, shown: Sequence[Message]) -> dict[int, str]:
        """Who is mentioned in the messages."""
        mentioned = {user for message in shown for user in message.mentions}
        return messages.names(self._connection, mentioned)


def _read(database_path: Path) -> tuple[Originals, Collection[str]]:
    with contextlib.closing(database.connect(database_path)) as connection:
        return Originals(wordings.texts(connection)), wordings.custom_emoji(connection)
