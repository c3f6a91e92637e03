"""One message, top to bottom: from what somebody wrote to what the bot says."""

import asyncio
import contextlib
import logging
import random
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence

import discord

from bot import honesty, hush, manners, participation, serious, visibility
from bot.bursts import Bursts, Trigger
from bot.own_bursts import OwnBursts
from bot.participation import Balance, Reason
from bot.response_cache import ResponseCache
from bot.sending import Sender, nonce, typing
from bot.shadow import Shadow
from bot.typing_time import typing_seconds
from bot.writing import Draft, Writer
from data import discord_api, policies, speaking
from data.speaking_policy import Policy
from model.inference import AnyEngine, EngineBusy, EngineError
from storage import database, explanations, messages, quiet
from storage.explanations import Why
from storage.messages import Message

log = logging.getLogger(__name__)

HOT_SECONDS = 600.0  # after it spoke the bot reads along, as it may be asked again
LONGEST_DELAY_SECONDS = 60.0  # of a remark that nobody asked for: members may take half an hour
NO_MODEL = "a fixed sentence"


class Handler:
    """Answers messages. Nothing it sends can ping anybody.

    `policy` is when members speak, where that was learned; tests hand over `bursts` and a `sleep`
    with a clock of their own.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        engine: AnyEngine,
        writer: Writer,
        own_id: int,
        policy: Policy | None = None,
        bursts: Bursts | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        cache_seconds: float = 0.0,
    ) -> None:
        self._connection, self._engine, self._writer = connection, engine, writer
        self._own_id, self._policy, self._sleep = own_id, policy, sleep
        self.bursts, self._sender = bursts or Bursts(), Sender()
        self._shadow = Shadow(connection, own_id)
        self._dice, self._balance = random.Random(), Balance()
        self._own_bursts = OwnBursts()
        self._cache = ResponseCache(cache_seconds)
        self._spoke_at: dict[int, float] = {}
        self._reading: set[asyncio.Task[None]] = set()
        self.in_flight = self.busy = 0

    async def handle(self, incoming: discord.Message) -> None:
        """Record a member's message and answer it if the bot has reason to."""
        message = discord_api.to_message(incoming, self._own_id)
        if await self._is_hushed(incoming, message):
            return
        if message.author_id in database.excluded_users(self._connection):
            return
        self.record(message)
        self.bursts.heard(message)
        said = self._said(message)
        reason = self._reason(incoming, said)
        if self._shadow.is_on:
            self._shadow.hear(message, reason, self._probability(message, reason))
        if self._is_quiet(incoming) or not self._sender.may_send(incoming.channel):
            return
        if reason is None or not reason.is_addressed:
            self._balance.heard(database.settings(self._connection).response_rate)
        if await self._is_answered_plainly(incoming, said, reason):
            return
        if reason is None or self._must_be_silent(said, reason):
            self._read_along(message)
            return
        trigger = await self._settled(message, reason)
        if trigger is None:
            return
        self.in_flight += 1
        try:
            await self._answer(incoming, trigger, reason)
        finally:
            self.in_flight -= 1
            self.bursts.finished(trigger)

    def record(self, message: Message) -> None:
        """Store a message; excluded people's are refused."""
        with database.transaction(self._connection):
            messages.save(self._connection, [message])
        if message.author_kind == "member":
            self._writer.heard(message)

    async def _is_hushed(self, incoming: discord.Message, message: Message) -> bool:
        """Whether somebody just told the bot to be quiet, which it is from then on."""
        words, names = hush.words(self._connection), [_own_name(incoming)]
        is_reply = self._is_reply_to_us(message)
        if not hush.asks(message, self._own_id, names, is_reply, words):
            return False
        if not self._is_quiet(incoming):
            quiet.begin(self._connection, message.channel_id, time.time() + hush.SECONDS)
            log.info("quiet in channel %d, asked by %d", message.channel_id, message.author_id)
            if not self._shadow.is_on:
                await self._react(incoming, hush.UNDERSTOOD)
        return True

    def _is_quiet(self, incoming: discord.Message) -> bool:
        parent_id = getattr(incoming.channel, "parent_id", None)
        return quiet.is_quiet(self._connection, incoming.channel.id, parent_id, time.time())

    def _reason(self, incoming: discord.Message, said: Sequence[Message]) -> Reason | None:
        return participation.decide(
            said,
            own_id=self._own_id,
            own_name=_own_name(incoming),
            is_reply_to_us=self._is_reply_to_us(said[-1]),
            rate=database.settings(self._connection).response_rate,
            roll=self._dice.random(),
            policy=self._policy_in_force(),
            shift=self._balance.shift,
        )

    async def _is_answered_plainly(
        self, incoming: discord.Message, said: Sequence[Message], reason: Reason | None
    ) -> bool:
        """Whether this is no matter for a model: a serious moment, or what the bot is."""
        message = said[-1]
        if moment := serious.moment(said, time.time()):
            is_addressed = reason is not None and reason.is_addressed
            text = serious.answer(moment, message, said) if is_addressed else None
            if text:
                await self._say_plainly(incoming, message, text, moment.kind.value)
            return True
        if self._is_asked_what_it_is(said):
            await self._say_plainly(incoming, message, honesty.answer(message.id), honesty.REASON)
            return True
        return False

    def _is_asked_what_it_is(self, said: Sequence[Message]) -> bool:
        """Whether somebody asks us, in earnest, if we are a bot."""
        message = said[-1]
        if not honesty.asks(message.content, self._own_id):
            return False
        if message.reply_to or message.mentions:
            return self._own_id in message.mentions or self._is_reply_to_us(message)
        return len(said) > 1 and said[-2].author_id == self._own_id

    def _must_be_silent(self, said: Sequence[Message], reason: Reason) -> bool:
        settings = database.settings(self._connection)
        why = manners.silence(said[-1], reason.is_addressed, said, settings, time.time())
        return why is not None

    async def _settled(self, message: Message, reason: Reason) -> Trigger | None:
        """Wait as members do, and until the talk pauses; meanwhile the model reads."""
        policy = self._policy_in_force()
        if reason.is_addressed:
            self._read_along(message, is_sure=True)
        elif policy:
            is_exchange = speaking.Scene(self._said(message)).is_exchange(self._own_id)
            delay = policy.habits.delay_seconds(is_exchange, self._dice)
            await self._sleep(min(delay, LONGEST_DELAY_SECONDS))
        return await self.bursts.settled(message, reason.is_addressed)

    def _read_along(self, message: Message, is_sure: bool = False) -> None:
        """Have the model read a message at once, where it is asked or may be asked soon."""
        since = time.monotonic() - self._spoke_at.get(message.channel_id, float("-inf"))
        if is_sure or since < HOT_SECONDS:
            task = asyncio.create_task(self._read(message))
            self._reading.add(task)
            task.add_done_callback(self._reading.discard)

    async def _read(self, message: Message) -> None:
        with contextlib.suppress(EngineError):
            await self._writer.read_along(message)

    async def _answer(self, incoming: discord.Message, trigger: Trigger, reason: Reason) -> None:
        message, started = trigger.message, time.monotonic()
        if await self._is_answered_by_an_emoji(incoming, trigger):
            return
        async with self._typing(incoming):
            draft = await self._written(incoming, trigger)
            if draft is None:
                return
            burst = self._as_members_do(draft.burst)
            first, *rest = burst
            took = time.monotonic() - started
            await self._type(first, took, trigger.is_addressed)
            since = list(messages.history(self._connection, message.channel_id, message.id))
            if manners.is_stale(trigger, since, took):
                log.info("the reply to %d came too late: not sent", message.id)
                return
            why = draft.why(reason.value, self._probability(message, reason))
            if not reason.is_addressed:
                self._balance.spoke()
            if self._shadow.takes(message, burst, why, self._engine.name, started):
                return
            answers = incoming if self._is_reply(trigger, since) else None
            name = nonce(message.id, 0)
            sent = await self._sender.send(incoming.channel, first, name, answers)
            if sent:
                self._record_reply(sent, message, time.monotonic() - started, why)
                await self._go_on(incoming, rest)

    async def _written(self, incoming: discord.Message, trigger: Trigger) -> Draft | None:
        message, is_asked = trigger.message, trigger.is_addressed
        if said_before := self._cache.find(message, time.monotonic()):
            return said_before
        channels = visibility.around(incoming, self._connection)
        try:
            draft = await self._writer.write(message, _emoji(incoming), channels, is_asked)
        except EngineBusy:
            self.busy += 1
            log.warning("no reply to %d: busy, for the %d. time", message.id, self.busy)
        except EngineError as error:
            log.error("no reply to %d: %s", message.id, error)
        else:
            if draft is None:
                log.warning("no reply to %d: the model said nothing to send", message.id)
            else:
                self._cache.keep(message, draft, time.monotonic())
            return draft
        return None

    def _as_members_do(self, burst: Sequence[str]) -> Sequence[str]:
        """A reply in as many messages as members send, once that was learned."""
        policy = self._policy_in_force()
        return self._own_bursts.of(burst, policy.habits.bursts) if policy else burst

    async def _go_on(self, incoming: discord.Message, burst: Sequence[str]) -> None:
        """Say the rest of a burst, a message at a time, until one cannot be sent."""
        for position, text in enumerate(burst, 1):
            await self._type(text)
            if self._shadow.is_on:
                return
            name = nonce(incoming.id, position)
            sent = await self._sender.send(incoming.channel, text, name)
            if sent is None:
                return
            self.record(discord_api.to_message(sent, self._own_id))

    async def _type(self, text: str, spent: float = 0.0, is_prompt: bool = False) -> None:
        await self._sleep(typing_seconds(text, self._dice.random(), spent, is_prompt))

    async def _is_answered_by_an_emoji(self, incoming: discord.Message, trigger: Trigger) -> bool:
        policy = self._policy_in_force()
        if policy is None or trigger.is_addressed:
            return False
        emoji = policy.habits.reaction(trigger.message, self._dice)
        if emoji is None:
            return False
        why = Why(Reason.CHANCE.value, 1.0, 0, 0, {})
        self._balance.spoke()
        if not self._shadow.takes(trigger.message, [emoji], why, "", time.monotonic()):
            await self._react(incoming, emoji)
        return True

    async def _react(self, incoming: discord.Message, emoji: str) -> None:
        try:
            await incoming.add_reaction(emoji)
        except discord.HTTPException as error:
            log.warning("no reaction to %d: HTTP %d", incoming.id, error.status)

    def _is_reply(self, trigger: Trigger, since: Sequence[Message]) -> bool:
        """Whether to send it as one of Discord's replies."""
        if manners.needs_link(trigger, since):
            return True
        policy, age = self._policy_in_force(), time.monotonic() - trigger.came_at
        habit = policy.habits.is_reply(0, age, self._dice) if policy else None
        return trigger.is_addressed if habit is None else habit

    async def _say_plainly(
        self, incoming: discord.Message, message: Message, text: str, reason: str
    ) -> None:
        """Say one of our own sentences."""
        started, why = time.monotonic(), Why(reason, 1.0, 0, 0, {})
        if self._shadow.takes(message, [text], why, "", started):
            return
        name = nonce(message.id, 0)
        if sent := await self._sender.send(incoming.channel, text, name, incoming):
            self._record_reply(sent, message, time.monotonic() - started, why)

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

    def _typing(self, incoming: discord.Message) -> contextlib.AbstractAsyncContextManager[None]:
        is_shown = not self._shadow.covers(incoming.id)
        return typing(incoming.channel) if is_shown else contextlib.nullcontext()

    def _probability(self, message: Message, reason: Reason | None) -> float:
        if reason and reason.is_addressed:
            return 1.0
        rate = database.settings(self._connection).response_rate
        said, policy = self._said(message), self._policy_in_force()
        return participation.chance(said, self._own_id, rate, policy, self._balance.shift)

    def _policy_in_force(self) -> Policy | None:
        is_learned = policies.chosen(self._connection) == policies.LEARNED
        return self._policy if is_learned else None

    def _said(self, message: Message) -> list[Message]:
        """What people and we said in the channel lately, `message` itself last."""
        recent = messages.recent(self._connection, message.channel_id, 2 * speaking.WINDOW)
        said = [m for m in recent if m.author_kind in ("member", "self") and m.id < message.id]
        return self._shadow.as_if_sent([*said, message])

    def _is_reply_to_us(self, message: Message) -> bool:
        answered = messages.by_ids(self._connection, [message.reply_to or 0])
        return any(m.author_id == self._own_id for m in answered)


def _own_name(incoming: discord.Message) -> str:
    """What the bot is called in the server."""
    return incoming.guild.me.display_name if incoming.guild else ""


def _emoji(incoming: discord.Message) -> dict[str, str]:
    """The server's own emoji that the bot may use, as they are written."""
    server = incoming.guild.emojis if incoming.guild else ()
    return {emoji.name: str(emoji) for emoji in server if emoji.is_usable()}
