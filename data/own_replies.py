"""What was thought of the bot's own replies, as preferences.

    rejected   found bad by the owner, deleted on Discord within a day, or disliked by reactions:
               worse than what a member answered there, else than what the model says next time
    liked      reactions beyond what is usual: better than what the model says next time

A pair shows what the live prompt showed, the bot's own messages included, but for recalled ones and
for people who may not be learned from. What the bot wrote is compared, never imitated. Where a
channel is held out no member's answer is used either: nothing there is learned by heart.
"""

import dataclasses
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import Any

from data import conversations, links, preferences
from data.examples import REMEMBERED, Example, Renderer, Said
from data.plan import BURST_SECONDS
from data.preferences import Exposure, Judgement
from data.selection import Selection
from model.examples import LIKED
from storage import judgements, messages
from storage.judgements import BAD, DELETED, Received
from storage.messages import Message

MEMBERS, REJECTED = "members", "rejected"
SHARE = 0.25  # of all pairs, at most: the others are replies of members
SURE = {BAD: 1.0, DELETED: 0.5}  # a message may be deleted for more than being bad
UNTRIED = 0.5  # of the weight, where nobody knows whether the other reply is any better
ANSWER_SECONDS = 3600  # within which members may answer instead

_EMOJI = re.compile(r"<a?:\w+:\d+>|:\w+:")

Fit = Callable[[Example], Example | None]
"""The example, without oldest context that is too much; None where it cannot be made to fit."""


@dataclasses.dataclass(frozen=True)
class OwnPair:
    """A line of preferences.jsonl, and whose messages it shows: authors by message id."""

    row: dict[str, Any]
    trigger_id: int
    shown: dict[int, int]


class OwnReplies:
    """Makes pairs of what the bot replied.

    `lines` says with which id the held-out part of each channel that is learned from begins;
    `most` is how many messages are shown; `common` are the words that tell nothing.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        selection: Selection,
        exposure: Exposure,
        renderer: Renderer,
        lines: Mapping[int, int],
        most: int,
        common: Set[str] = frozenset(),
    ) -> None:
        self._connection, self._selection = connection, selection
        self._exposure, self._renderer = exposure, renderer
        self._lines, self._most, self._common = lines, most, common

    def pairs(self, fit: Fit) -> Iterator[OwnPair]:
        """A pair for each reply that was clearly rejected or liked, oldest first."""
        for reply in judgements.received(self._connection):
            if reply.channel_id not in self._lines or not has_words(reply.reply):
                continue
            judged = self._judge(reply)
            pair = self._pair(reply, *judged, fit) if judged else None
            if pair:
                yield pair

    def _judge(self, reply: Received) -> tuple[str, Judgement] | None:
        """Whether it was rejected or liked, and how surely; None where that is open."""
        counts: Counter[str] = Counter()
        for message in messages.by_ids(self._connection, list(reply.texts)):
            counts.update(message.reactions)
        judged = self._exposure.judge(_message(reply, counts))
        is_disliked = judged.negative > judged.positive
        if reply.verdict:
            weight = max(SURE[reply.verdict], judged.weight if is_disliked else 0.0)
            return REJECTED, judged._replace(weight=weight)
        if judged.weight < preferences.LEAST_SURE or not (is_disliked or judged.score > 0):
            return None
        return (REJECTED if is_disliked else LIKED), judged

    def _pair(self, reply: Received, source: str, judged: Judgement, fit: Fit) -> OwnPair | None:
        talk = self._talk(reply)
        if not talk:
            return None
        context = conversations.latest(talk, self._common)[-self._most :]
        burst = self._said(reply.texts.items(), reply.own_id)
        shown = [said for m in context for said in self._said([(m.id, m.content)], m.author_id)]
        example = fit(Example(reply.channel_id, shown, burst))
        if not example:
            return None
        answer = self._answer(reply, talk) if source == REJECTED else []
        ours = self._said([(m.id, m.content) for m in answer], reply.own_id)
        fitting = fit(dataclasses.replace(example, reply=ours)) if ours else None
        if fitting:
            example = dataclasses.replace(example, context=fitting.context)
        else:
            answer, ours = [], []
        row = self._row(example, source, judged, ours)
        if row["chosen"] == row["rejected"]:
            return None
        people = {said.id: said.author_id for said in example.context}
        people |= {message.id: message.author_id for message in answer}
        members = {number: who for number, who in people.items() if who != reply.own_id}
        return OwnPair(row, reply.trigger_id, members)

    def _row(
        self, example: Example, source: str, judged: Judgement, answer: Sequence[Said]
    ) -> dict[str, Any]:
        """A line of preferences.jsonl; a side that is None is the model's own."""
        row = {**preferences.row(judged, self._renderer.row(example)), "source": source}
        if source == LIKED:
            return row
        if answer:
            texts = [said.text for said in answer]
            return {**row, "reply": texts, "chosen": texts, "rejected": row["reply"]}
        weight = judged.weight * UNTRIED
        return {**row, "reply": None, "chosen": None, "rejected": row["reply"], "weight": weight}

    def _talk(self, reply: Received) -> list[Message]:
        """What was said up to what the bot answered, as it was read then; empty without that."""
        before = messages.recent(
            self._connection, reply.channel_id, REMEMBERED, through=reply.trigger_id
        )
        talk = [message for message in before if self._is_shown(message)]
        is_there = talk and talk[-1].id == reply.trigger_id and talk[-1].content.strip()
        return talk if is_there else []

    def _answer(self, reply: Received, talk: Sequence[Message]) -> list[Message]:
        """What a member said to the same message, which is not held out; empty if nobody did."""
        trigger = talk[-1]
        end = messages.snowflake_at(trigger.sent_at + ANSWER_SECONDS)
        end = min(end, self._lines[reply.channel_id] - 1)
        later = messages.history(self._connection, trigger.channel_id, trigger.id + 1, end)
        after = [m for m in islice(later, links.LAGS) if self._is_shown(m)]
        after = [m for m in after if m.id not in reply.texts]
        after = sorted([*after, _message(reply)], key=lambda message: message.id)
        targets = links.Linker(self._common).link([*talk, *after])[len(talk) :].tolist()
        for place, (message, target) in enumerate(zip(after, targets, strict=True)):
            if target == trigger.id and self._may_answer(message, trigger, reply.own_id):
                return list(self._burst(after[place:]))
        return []

    def _burst(self, messages_: Sequence[Message]) -> Iterator[Message]:
        """The first message, and those with which its author goes on."""
        before = messages_[0]
        yield before
        for message in messages_[1:]:
            is_same = message.author_id == before.author_id and message.reply_to is None
            is_soon = message.sent_at - before.sent_at <= BURST_SECONDS
            if not (is_same and is_soon and self._selection.reason_to_leave_out(message) is None):
                return
            yield message
            before = message

    def _may_answer(self, message: Message, trigger: Message, own_id: int) -> bool:
        """Whether somebody else's message may be learned from and does not speak to the bot."""
        is_learned = self._selection.reason_to_leave_out(message) is None
        is_others = message.author_id != trigger.author_id
        return is_learned and is_others and own_id not in message.mentions

    def _is_shown(self, message: Message) -> bool:
        return message.author_kind == "self" or self._selection.allows(message)

    def _said(self, texts: Iterable[tuple[int, str]], author_id: int) -> list[Said]:
        return [Said(0, number, author_id, self._renderer.text(text), 0) for number, text in texts]


def has_words(text: str) -> bool:
    """Whether a text is more than emoji and punctuation."""
    return any(character.isalnum() for character in _EMOJI.sub("", text))


def most(members: int) -> int:
    """How many pairs of the bot's own replies there may be beside so many of members'."""
    return int(members * SHARE / (1 - SHARE))


def surest(pairs: Sequence[OwnPair], count: int) -> list[OwnPair]:
    """So many of the pairs, those with the greatest weight, the newest of equal ones."""
    newest_first = sorted(pairs, key=lambda pair: -pair.trigger_id)
    return sorted(newest_first, key=lambda pair: -pair.row["weight"])[:count]


def _message(reply: Received, reactions: Mapping[str, int] | None = None) -> Message:
    """A reply as one message, whether or not Discord still has it."""
    return Message(
        reply.reply_id,
        reply.channel_id,
        reply.own_id,
        "",
        reply.reply,
        "self",
        reply_to=reply.trigger_id,
        reactions=dict(reactions or {}),
    )
