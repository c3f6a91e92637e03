"""One message, top to bottom: from what somebody wrote to what the bot says."""

import asyncio
import collections
import contextlib
import dataclasses
import logging
import random
import sqlite3
import time

import discord

from bot import honesty, participation
from bot.participation import Reason
from bot.recall import Recall
from bot.window import Windows
from data import conversations, discord_api, links, speaking, speaking_policy
from data.speaking_policy import Policy
from model import prompts
from model.inference import AnyEngine, EngineError, Sampling
from model.prompts import Turn
from storage import database, explanations, messages, quiet
from storage.explanations import Why
from storage.messages import Message

log = logging.getLogger(__name__)

SEEN = 40  # of a channel's last messages, among which the conversation is found
SAMPLE = 5_000  # messages that show which words are common here
HOT_SECONDS = 600.0  # after it spoke the bot reads along, as it may be asked again
RECALLED = 3
PAUSE_SECONDS = 0.7  # between the messages of a burst
NO_MODEL = "a fixed sentence"
NOBODY = discord.AllowedMentions.none()


class Handler:
    """Answers messages. Nothing it sends can ping anybody."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        engine: AnyEngine,
        recall: Recall,
        own_id: int,
        pause_seconds: float = PAUSE_SECONDS,
        policy: Policy | None = None,
    ) -> None:
        self._connection, self._engine, self._recall = connection, engine, recall
        self._own_id, self._pause_seconds = own_id, pause_seconds
        self._policy = policy
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
        parent_id = getattr(incoming.channel, "parent_id", None)
        if quiet.is_quiet(connection, message.channel_id, parent_id, time.time()):
            return
        if self._is_asked_what_it_is(message):
            await self._say_what_it_is(incoming, message)
            return
        learned = speaking_policy.chosen(connection) == speaking_policy.LEARNED
        reason = participation.decide(
            self._until(message),
            own_id=self._own_id,
            own_name=_own_name(incoming),
            is_reply_to_us=self._is_reply_to_us(message),
            rate=database.settings(connection).response_rate,
            roll=random.random(),
            policy=self._policy if learned else None,
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
        async with incoming.channel.typing():
            try:
                said, why = await self._generate(message, reason)
                burst = prompts.split(said)
            except EngineError as error:
                log.error("no reply to %d: %s", message.id, error)
                return
            if not burst:
                log.warning("no reply to %d: the model said nothing", message.id)
                return
            first, *rest = burst
            sent = await self._send(incoming, first, is_reply=reason.is_addressed)
            if sent:
                self._record_reply(sent, message, time.monotonic() - started, why)
                await self._go_on(incoming, rest)

    async def _generate(self, message: Message, reason: Reason) -> tuple[str, Why]:
        recent = self._conversation(message)
        known = {m.id for m in recent}
        recalled = await self._recall.related(message.content, known, RECALLED)
        names = self._names(recalled)
        prompt = prompts.build(
            self._shown(recent),
            [prompts.turn(message, names, self._own_id) for message in recalled],
        )
        sampling = self._sampling()
        why = self._why(reason, len(recent), len(recalled), sampling)
        pieces = self._engine.reply(prompt, sampling, message.channel_id)
        async with contextlib.aclosing(pieces):
            said = prompts.clean("".join([piece async for piece in pieces]))
        if honesty.denies(said, [m.content for m in recent if m.author_kind == "member"]):
            log.warning("the reply to %d denied that a bot speaks: not sent", message.id)
            return honesty.answer(message.id), why
        return said, why

    def _why(self, reason: Reason, context: int, recalled: int, sampling: Sampling) -> Why:
        rate = database.settings(self._connection).response_rate
        values = {k: v for k, v in dataclasses.asdict(sampling).items() if v is not None}
        return Why(reason.value, 1.0 if reason.is_addressed else rate, context, recalled, values)

    def _is_asked_what_it_is(self, message: Message) -> bool:
        """Whether somebody asks us, in earnest, if we are a bot."""
        if not honesty.asks(message.content, self._own_id):
            return False
        if message.reply_to or message.mentions:
            return self._own_id in message.mentions or self._is_reply_to_us(message)
        before = messages.recent(self._connection, message.channel_id, 2)[:-1]
        return any(m.author_id == self._own_id for m in before)

    async def _say_what_it_is(self, incoming: discord.Message, message: Message) -> None:
        started = time.monotonic()
        sent = await self._send(incoming, honesty.answer(message.id), is_reply=True)
        if sent:
            why = Why(honesty.REASON, 1.0, 0, 0, {})
            self._record_reply(sent, message, time.monotonic() - started, why)

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

    def _record_reply(
        self, sent: discord.Message, trigger: Message, seconds: float, why: Why
    ) -> None:
        model = self._engine.name if why.sampling else NO_MODEL
        with database.transaction(self._connection):
            messages.save(self._connection, [discord_api.to_message(sent, self._own_id)])
            messages.record_reply(
                self._connection,
                messages.Reply(sent.id, trigger.id, trigger.channel_id, model, seconds),
            )
            explanations.record(self._connection, sent.id, why)
        self._spoke_at[trigger.channel_id] = time.monotonic()
        log.info("replied to %d in %.1fs", trigger.id, seconds)

    def _conversation(self, message: Message) -> list[Message]:
        """What led to `message`, itself last, as a training example would show it.

        Only what people and we said counts: no other bots, no notices, nobody else's talk.
        """
        recent = messages.recent(self._connection, message.channel_id, SEEN)
        said = [m for m in recent if m.author_kind in ("member", "self") and m.id <= message.id]
        return self._windows.of(conversations.latest(said, self._common))

    def _until(self, message: Message) -> list[Message]:
        """What people and we said in the channel lately, `message` itself last."""
        recent = messages.recent(self._connection, message.channel_id, 2 * speaking.WINDOW)
        said = [m for m in recent if m.author_kind in ("member", "self") and m.id < message.id]
        return [*said, message]

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


def _own_name(incoming: discord.Message) -> str:
    """What the bot is called in the server."""
    return incoming.guild.me.display_name if incoming.guild else ""
