"""A burst is answered once, whoever asks is answered, and nobody twice."""

import asyncio
import heapq
import itertools
import random

from bot.bursts import LONGEST_SECONDS, Bursts, Trigger
from storage.messages import Message
from tests.bot.channel_talk import AMY, BEN, CAT, CHANNEL, said


class Time:
    """A clock that a test moves; whoever sleeps wakes at the right moment."""

    def __init__(self) -> None:
        self.now = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = itertools.count()

    async def sleep(self, seconds: float) -> None:
        waking: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.now + seconds, next(self._count), waking))
        await waking

    async def until(self, moment: float) -> None:
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= moment:
            self.now, _, waking = heapq.heappop(self._sleepers)
            if not waking.done():
                waking.set_result(None)
            await _settle()
        self.now = moment


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Talk:
    """Answers as a handler would, and keeps what was answered when."""

    def __init__(self, answer_seconds: float = 3.0) -> None:
        self.time = Time()
        self.bursts = Bursts(lambda: self.time.now, self.time.sleep)
        self.answered: list[tuple[float, int]] = []
        self.under_way = 0
        self._answer_seconds = answer_seconds
        self.tasks: list[asyncio.Task[None]] = []

    async def say(self, at: float, message: Message, is_addressed: bool = False) -> None:
        await self.time.until(at)
        self.bursts.heard(message)
        self.tasks.append(asyncio.create_task(self._handle(message, is_addressed)))
        await _settle()

    async def _handle(self, message: Message, is_addressed: bool) -> None:
        trigger = await self.bursts.settled(message, is_addressed)
        if trigger is None:
            return
        try:
            await self._answer(trigger)
        finally:
            self.bursts.finished(trigger)

    async def _answer(self, trigger: Trigger) -> None:
        self.under_way += 1
        assert self.under_way == 1, "two replies are under way in one channel"
        self.answered.append((self.time.now, trigger.message.id))
        await self.time.sleep(self._answer_seconds)
        self.under_way -= 1

    async def ends(self) -> list[tuple[float, int]]:
        await self.time.until(self.time.now + 1_000)
        assert all(task.done() for task in self.tasks)
        await asyncio.gather(*self.tasks)
        return self.answered


async def test_a_burst_is_answered_once_at_its_last_message() -> None:
    talk, burst = Talk(), [said(AMY, at=i) for i in range(3)]
    for at, message in enumerate(burst):
        await talk.say(at, message, is_addressed=True)
    assert await talk.ends() == [(4.0, burst[-1].id)]


async def test_a_talk_that_never_pauses_is_answered_after_eight_seconds() -> None:
    talk, first = Talk(answer_seconds=100), said(AMY)
    await talk.say(0, first, is_addressed=True)
    for at in range(1, 12):
        await talk.say(at, said(BEN, at=at))
    assert (await talk.ends())[0] == (LONGEST_SECONDS, first.id)


async def test_who_types_is_waited_for() -> None:
    talk, asked = Talk(), said(AMY)
    await talk.say(0, asked, is_addressed=True)
    talk.bursts.typed(CHANNEL, AMY)
    await talk.time.until(4)
    assert not talk.answered
    more = said(AMY, at=4)
    await talk.say(4, more, is_addressed=True)
    assert await talk.ends() == [(6.0, more.id)]  # with their message they type no more


async def test_the_talk_pauses_as_soon_as_the_typed_is_sent() -> None:
    talk, asked, other = Talk(), said(AMY), said(CAT, at=0.5)
    await talk.say(0, asked, is_addressed=True)
    talk.bursts.typed(CHANNEL, BEN)
    await talk.say(0.5, other, is_addressed=True)
    await talk.say(1, said(BEN, at=1))
    answered = await talk.ends()
    assert [message_id for _, message_id in answered] == [asked.id, other.id]
    assert answered[0][0] <= 3.5


async def test_typing_without_end_delays_no_longer_than_eight_seconds() -> None:
    talk, asked = Talk(), said(AMY)
    await talk.say(0, asked, is_addressed=True)
    for at in range(8):
        await talk.time.until(at)
        talk.bursts.typed(CHANNEL, BEN)
    assert await talk.ends() == [(LONGEST_SECONDS, asked.id)]


async def test_the_addressed_one_wins_else_the_newest() -> None:
    talk, asked = Talk(), said(BEN, at=1)
    await talk.say(0, said(AMY))
    await talk.say(1, asked, is_addressed=True)
    await talk.say(2, said(CAT, at=2))
    assert await talk.ends() == [(4.0, asked.id)]

    talk, newest = Talk(), said(CAT, at=1)
    await talk.say(0, said(AMY))
    await talk.say(1, newest)
    assert await talk.ends() == [(3.0, newest.id)]


async def test_who_asks_while_a_reply_is_under_way_is_answered_after_it() -> None:
    talk = Talk(answer_seconds=10)
    first, second, third = said(AMY), said(AMY, at=3), said(BEN, at=4)
    await talk.say(0, first, is_addressed=True)
    await talk.say(3, second, is_addressed=True)
    await talk.say(4, third, is_addressed=True)
    await talk.say(5, said(CAT, at=5))  # nobody asked for this one
    assert await talk.ends() == [(2.0, first.id), (12.0, second.id), (22.0, third.id)]


async def test_a_message_told_of_twice_has_one_turn() -> None:
    talk, message = Talk(), said(AMY)
    await talk.say(0, message, is_addressed=True)
    await talk.say(1, message, is_addressed=True)
    await talk.say(60, message, is_addressed=True)
    assert len(await talk.ends()) == 1


async def test_channels_do_not_wait_for_each_other() -> None:
    talk = Talk(answer_seconds=0)
    here, there = said(AMY), Message(99, CHANNEL + 1, AMY, "amy", "hi")
    await talk.say(0, here, is_addressed=True)
    await talk.say(1, there, is_addressed=True)
    assert await talk.ends() == [(2.0, here.id), (3.0, there.id)]


async def test_who_is_cut_off_leaves_the_turn_to_others() -> None:
    talk = Talk(answer_seconds=50)
    await talk.say(0, said(AMY), is_addressed=True)
    await talk.time.until(3)
    waiting, last = said(BEN, at=3), said(CAT, at=4)
    await talk.say(3, waiting, is_addressed=True)
    await talk.say(4, last, is_addressed=True)
    await talk.time.until(10)
    for task in talk.tasks[:2]:  # the one under way and the one that waits
        task.cancel()
    talk.under_way = 0
    await asyncio.gather(*talk.tasks[:2], return_exceptions=True)
    await talk.time.until(20)
    assert talk.answered[-1] == (10.0, last.id)


async def test_in_random_talks_everybody_who_asks_is_answered_and_no_message_twice() -> None:
    dice = random.Random(5)
    for _ in range(40):
        talk, at = Talk(answer_seconds=dice.uniform(0, 12)), 0.0
        asked: dict[int, Message] = {}
        for _ in range(25):
            at += dice.choice([0.3, 1.0, 2.5, 9.0])
            message, is_addressed = said(dice.choice([AMY, BEN, CAT]), at=at), dice.random() < 0.4
            if is_addressed:
                asked[message.author_id] = message
            await talk.say(at, message, is_addressed)
        ids = [message_id for _, message_id in await talk.ends()]
        assert len(ids) == len(set(ids))
        assert {message.id for message in asked.values()} <= set(ids)  # each one's last question
