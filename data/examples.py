"""The planned bursts as rows of the training files: what was said before, and the reply.

Every message is read a second time here; of each conversation only the end is held in memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import Any

import numpy as np

from data import secrets
from data.plan import LONGEST_BURST, ChannelPlan
from model import prompts
from storage.messages import Message

REMEMBERED = 40  # messages of a conversation among which a reply's target is looked for


@dataclass(frozen=True)
class Said:
    """A message as the model is shown it; `position` is its place in the channel's plan."""

    position: int
    text: str
    message: Message


@dataclass(frozen=True)
class Example:
    """A burst, and the messages that it answers, oldest first."""

    context: Sequence[Said]
    reply: Sequence[Said]

    @property
    def text(self) -> str:
        """The reply's text."""
        return prompts.join(said.text for said in self.reply)


class Renderer:
    """Makes examples of a plan, with people's current names and without their secrets."""

    def __init__(self, names: Mapping[int, str], masks_secrets: bool) -> None:
        self._names = names
        self._clean_names = {person: prompts.clean_name(name) for person, name in names.items()}
        self._masks_secrets = masks_secrets
        self.masked: Counter[str] = Counter()

    def examples(
        self, plan: ChannelPlan, side: int, messages: Iterable[Message]
    ) -> Iterator[Example]:
        """The examples of one side of a channel; `messages` holds at least all they need."""
        chosen = np.flatnonzero(plan.side == side)
        bursts = dict(zip(plan.last[chosen].tolist(), chosen.tolist(), strict=True))
        numbers = plan.conversations.tolist()
        ends = dict(zip(numbers, range(len(numbers)), strict=True))  # the last position wins
        talks: dict[int, list[Said]] = {}
        for said in self._said(plan, messages):
            number = numbers[said.position]
            talk = talks.setdefault(number, [])
            talk.append(said)
            burst = bursts.get(said.position)
            if burst is not None:
                yield _example(plan, burst, talk)
            if ends[number] == said.position:
                del talks[number]
            elif len(talk) > 2 * (REMEMBERED + LONGEST_BURST):
                del talk[: -REMEMBERED - LONGEST_BURST]

    def row(self, example: Example) -> dict[str, Any]:
        """An example as a line of `train.jsonl`. Hour and weekday (0: Monday) are UTC."""
        reply = [said.message for said in example.reply]
        first = reply[0]
        sent_at = int(first.sent_at)
        return {
            "turns": self._turns(example.context, first.author_id),
            "reply": [said.text for said in example.reply],
            "channel_id": first.channel_id,
            "message_id": first.id,
            "author_id": first.author_id,
            "reply_ids": [message.id for message in reply],
            "context_ids": [said.message.id for said in example.context],
            "sent_at": sent_at,
            "hour": sent_at // 3600 % 24,
            "weekday": (sent_at // 86_400 + 3) % 7,  # 1 January 1970 was a Thursday
        }

    def _said(self, plan: ChannelPlan, messages: Iterable[Message]) -> Iterator[Said]:
        """Those messages that the plan counts, in its order."""
        ids = plan.ids.tolist()
        position = -1
        for message in messages:
            if position < 0:
                position = int(np.searchsorted(plan.ids, message.id))
            if position == len(ids):
                return
            if message.id == ids[position]:
                yield Said(position, self.text(message), message)
                position += 1

    def text(self, message: Message) -> str:
        """A message as members read it, its secrets masked."""
        text = message.content
        if self._masks_secrets:
            text, found = secrets.mask(text)
            if found:
                self.masked.update(found)
        return prompts.readable(text, self._names) if "<" in text else text

    def _turns(self, context: Sequence[Said], persona: int) -> list[dict[str, str | None]]:
        """Consecutive messages by one author are one turn; the persona's have no name."""
        turns = []
        for author, burst in groupby(context, attrgetter("message.author_id")):
            name = None if author == persona else self._clean_names.get(author, "someone")
            text = prompts.join(said.text[: prompts.LONGEST_MESSAGE] for said in burst)
            turns.append({"name": name, "text": text})
        return turns


def _example(plan: ChannelPlan, burst: int, talk: list[Said]) -> Example:
    """The burst that ends a conversation so far; what it answers is among its context."""
    first = plan.first[burst]
    begin = next(i for i in range(len(talk) - 1, -1, -1) if talk[i].position <= first)
    size = int(plan.size[burst])
    context = talk[max(0, begin - size) : begin]
    target = plan.targets[first]
    if target and not any(said.message.id == target for said in context):
        older = talk[max(0, begin - REMEMBERED) : begin]
        found = [said for said in older if said.message.id == target]
        context = found + context[len(found) :]
    return Example(context, talk[begin:])
