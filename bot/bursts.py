"""When a burst of messages is over, which of them is answered, and whose turn it is.

For the handler, in this order:

    bursts.heard(message)      every member's message, whatever is decided on it
    bursts.typed(channel, user)  every typing event, if any arrive; never our own
    trigger = await bursts.settled(message, is_addressed)   for one that may be answered
    if trigger is None: return      another one is answered instead
    try: ...                        one at a time in each channel
    finally: bursts.finished(trigger)

What one person says to the bot in a burst is answered once, at its last message. Each of several
people who address it gets an answer, one after the other. What nobody asked for gives way to all
that was asked, to anything newer, and to a reply that is under way.
"""

import asyncio
import collections
import dataclasses
import time
from collections.abc import Awaitable, Callable

from storage.messages import Message

QUIET_SECONDS = 2.0
TYPING_SECONDS = 5.0  # a client tells of it at the first key and then every ten seconds
LONGEST_SECONDS = 8.0  # nobody waits longer than this for the talk to pause
REMEMBERED = 500  # messages that had their turn: the gateway may tell of one twice
_LOOK_SECONDS = 0.5  # a talk may pause earlier than it seemed: who typed has sent it
_MOMENT_SECONDS = 0.05
UNASKED = 0  # in the place of who is to be answered


@dataclasses.dataclass(frozen=True)
class Trigger:
    """A message to answer; `came_at` is of the clock of its `Bursts`."""

    message: Message
    is_addressed: bool
    came_at: float
    waits_since: float  # the first message of the burst


class _Channel:
    """Who waits in a channel, and when it was last heard."""

    def __init__(self) -> None:
        self.turn = asyncio.Lock()
        self.waiting: dict[int, Trigger] = {}  # by who is to be answered
        self.heard_at = float("-inf")
        self.typing: dict[int, float] = {}

    def settles_at(self, trigger: Trigger) -> float:
        """When the talk has paused, as far as is known by now."""
        typed_at = max(self.typing.values(), default=float("-inf"))
        quiet_at = max(self.heard_at + QUIET_SECONDS, typed_at + TYPING_SECONDS)
        return min(quiet_at, trigger.waits_since + LONGEST_SECONDS)

    def is_next(self, trigger: Trigger) -> bool:
        """Whether nobody has waited longer."""
        first = min(
            self.waiting.values(), key=lambda t: (t.waits_since, t.message.id), default=None
        )
        return first is trigger


class Bursts:
    """Waits for each channel's talk to pause; handed a clock and a sleep by tests."""

    def __init__(
        self,
        clock: Callable[[], float] = lambda: time.monotonic(),
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._sleep = clock, sleep
        self._channels: dict[int, _Channel] = collections.defaultdict(_Channel)
        self._taken: collections.OrderedDict[int, None] = collections.OrderedDict()

    def heard(self, message: Message) -> None:
        """Somebody wrote: the talk goes on, and they type no more."""
        channel = self._channels[message.channel_id]
        channel.heard_at = self._clock()
        channel.typing.pop(message.author_id, None)

    def typed(self, channel_id: int, user_id: int) -> None:
        """Somebody types."""
        typing, now = self._channels[channel_id].typing, self._clock()
        for idle in [user for user, at in typing.items() if now - at > TYPING_SECONDS]:
            del typing[idle]
        typing[user_id] = now

    async def settled(self, message: Message, is_addressed: bool) -> Trigger | None:
        """Wait for the end of the burst and for our turn; None where it is not to be answered.

        Whoever gets a trigger owes a call of `finished`.
        """
        channel = self._channels[message.channel_id]
        trigger = self._enter(channel, message, is_addressed)
        if trigger is None:
            return None
        try:
            while (wait := channel.settles_at(trigger) - self._clock()) > 0:
                await self._sleep(min(wait, _LOOK_SECONDS))
                if not _is_waiting(channel, trigger):
                    return None
            await channel.turn.acquire()
            while not channel.is_next(trigger):
                channel.turn.release()
                if not _is_waiting(channel, trigger):
                    return None
                await self._sleep(_MOMENT_SECONDS)  # whoever waits longer is due as well
                await channel.turn.acquire()
            return trigger
        finally:
            if _is_waiting(channel, trigger):
                del channel.waiting[_place(trigger)]

    def finished(self, trigger: Trigger) -> None:
        """The answer is out, or there is none: the next one's turn."""
        self._channels[trigger.message.channel_id].turn.release()

    def _enter(self, channel: _Channel, message: Message, is_addressed: bool) -> Trigger | None:
        if message.id in self._taken:
            return None
        self._remember(message.id)
        if not is_addressed and (channel.turn.locked() or channel.waiting.keys() - {UNASKED}):
            return None
        now = self._clock()
        place = message.author_id if is_addressed else UNASKED
        replaced = [channel.waiting.pop(p) for p in (place, UNASKED) if p in channel.waiting]
        since = min([now, *(trigger.waits_since for trigger in replaced)])
        trigger = Trigger(message, is_addressed, now, since)
        channel.waiting[place] = trigger
        channel.heard_at = max(channel.heard_at, now)
        return trigger

    def _remember(self, message_id: int) -> None:
        self._taken[message_id] = None
        if len(self._taken) > REMEMBERED:
            self._taken.popitem(last=False)


def _place(trigger: Trigger) -> int:
    return trigger.message.author_id if trigger.is_addressed else UNASKED


def _is_waiting(channel: _Channel, trigger: Trigger) -> bool:
    """Whether no other message took its place."""
    return channel.waiting.get(_place(trigger)) is trigger
