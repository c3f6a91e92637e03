"""One message, top to bottom: from what somebody wrote to what the bot says."""

import asyncio
import collections
import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Collection

import discord

from bot import participation, visibility
from bot.participation import Reason
from bot.recall import Recall
from bot.window import Windows
from data import conversations, discord_api, links
from model import prompts
from model.inference import Engine, EngineError, Sampling
from model.prompts import Turn
from storage import database, messages
from storage.messages import Message

log = logging.getLogger(__name__)

SEEN = 40  # of a channel's last messages, among which the conversation is found
SAMPLE = 5_000  # messages that show which words are common here
HOT_SECONDS = 600.0  # after it spoke the bot reads along, as it may be asked again
PAUSE_SECONDS = 0.7  # between the messages of a burst
NOBODY = discord.AllowedMentions.none()


class Handler:
    """Answers messages. Nothing it sends can ping anybody."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        engine: Engine,
        recall: Recall,
        own_id: int,
        pause_seconds: float = PAUSE_SECONDS,
    ) -> None:
        self._connection, self._engine, self._recall = connection, engine, recall
        self._own_id, self._pause_seconds = own_id, pause_seconds
        self._common = links.common_words(messages.sample(connection, SAMPLE))
        self._turns: dict[int, asyncio.Lock] = collections.defaultdict(asyncio.Lock)
        self._windows = Windows()
        self._spoke_at: dict[int, float] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self.in_flight = 0

    async def handle(self, incoming: discord.Message) -> None:
        """Record a member's message and answer it if the bot has reason to."""
        connection = self._connection
        message = discord_api.to_message(incoming, self._own_id)
        if message.author_id in database.excluded_users(connection):
            return
        self.record(message)
        reason = participation.decide(
            is_mentioned=self._own_id in message.mentions,
            is_reply_to_us=self._is_reply_to_us(message),
            settings=database.settings(connection),
            roll=random.random(),
        )
        channel_turn = self._turns[message.channel_id]
        if reason is None or (channel_turn.locked() and not reason.is_addressed):
            self._read_along(message)
            return
        async with channel_turn:
            self.in_flight += 1
            try:
                await self._answer(incoming, message, reason)
            finally:
                self.in_flight -= 1

    def record(self, message: Message) -> None:
        """Store a message; excluded people's are refused."""
        with database.transaction(self._connection):
            messages.save(self._connection, [message])

    def _read_along(self, message: Message) -> None:
        """Have the model read a message to which it says nothing, where it may be asked soon."""
        since = time.monotonic() - self._spoke_at.get(message.channel_id, -HOT_SECONDS)
        if since < HOT_SECONDS:
            task = asyncio.create_task(self._read(message))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, message: Message) -> None:
        prompt = prompts.build(self._shown(self._conversation(message)))
        with contextlib.suppress(EngineError):
            await self._engine.read(prompt, self._sampling(), message.channel_id)

    async def _answer(self, incoming: discord.Message, message: Message, reason: Reason) -> None:
        started = time.monotonic()
        channels = visibility.around(incoming, self._connection)
        async with incoming.channel.typing():
            try:
                burst = prompts.split(await self._generate(message, channels))
            except EngineError as error:
                log.error("no reply to %d: %s", message.id, error)
                return
            if not burst:
                log.warning("no reply to %d: the model said nothing", message.id)
                return
            first, *rest = burst
            sent = await self._send(incoming, first, is_reply=reason.is_addressed)
            if sent:
                self._record_reply(sent, message, time.monotonic() - started)
                await self._go_on(incoming, rest)

    async def _generate(self, message: Message, channels: Collection[int] | None = None) -> str:
        """The words of a reply, with what is recalled from these channels, or from all."""
        recent = self._conversation(message)
        known = {m.id for m in recent}
        recalled = await self._recall.related(message.content, known, channels)
        names = self._names(recalled)
        prompt = prompts.build(
            self._shown(recent),
            [prompts.turn(message, names, self._own_id) for message in recalled],
        )
        pieces = self._engine.reply(prompt, self._sampling(), message.channel_id)
        async with contextlib.aclosing(pieces):
            return prompts.clean("".join([piece async for piece in pieces]))

    async def _go_on(self, incoming: discord.Message, burst: list[str]) -> None:
        """Say the rest of a burst, a message at a time, until one cannot be sent."""
        for text in burst:
            await asyncio.sleep(self._pause_seconds)
            sent = await self._send(incoming, text, is_reply=False)
            if sent is None:
                return
            self.record(discord_api.to_message(sent, self._own_id))

    async def _send(
        self, incoming: discord.Message, text: str, is_reply: bool
    ) -> discord.Message | None:
        try:
            if is_reply:
                return await incoming.reply(text, mention_author=False, allowed_mentions=NOBODY)
            return await incoming.channel.send(text, allowed_mentions=NOBODY)
        except discord.HTTPException as error:
            log.error("reply to %d not sent: HTTP %d", incoming.id, error.status)
            return None

    def _record_reply(self, sent: discord.Message, trigger: Message, seconds: float) -> None:
        with database.transaction(self._connection):
            messages.save(self._connection, [discord_api.to_message(sent, self._own_id)])
            messages.record_reply(
                self._connection,
                messages.Reply(sent.id, trigger.id, trigger.channel_id, self._engine.name, seconds),
            )
        self._spoke_at[trigger.channel_id] = time.monotonic()
        log.info("replied to %d in %.1fs", trigger.id, seconds)

    def _conversation(self, message: Message) -> list[Message]:
        """What led to `message`, itself last, as a training example would show it.

        Only what people and we said counts: no other bots, no notices, nobody else's talk.
        """
        recent = messages.recent(self._connection, message.channel_id, SEEN)
        said = [m for m in recent if m.author_kind in ("member", "self") and m.id <= message.id]
        return self._windows.of(conversations.latest(said, self._common))

    def _shown(self, said: list[Message]) -> list[Turn]:
        return prompts.turns(said, self._names(said), self._own_id)

    def _sampling(self) -> Sampling:
        return Sampling.of(database.settings(self._connection))

    def _is_reply_to_us(self, message: Message) -> bool:
        answered = messages.by_ids(self._connection, [message.reply_to or 0])
        return any(m.author_id == self._own_id for m in answered)

    def _names(self, shown: list[Message]) -> dict[int, str]:
        """Who is mentioned in the messages."""
        mentioned = {user for message in shown for user in message.mentions}
        return messages.names(self._connection, mentioned)
