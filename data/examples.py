"""The planned bursts as rows of the training files: what was said before, and the reply.

Every message is read a second time here; of each conversation only the end is held in memory.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from data import secrets
from data.plan import LONGEST_BURST, ChannelPlan
from model import prompts
from storage.messages import snowflake_time

UNLIMITED = 2**31
REMEMBERED = 40  # messages of a conversation among which a reply's target is looked for

Stored = tuple[int, int, str, int]
"""A message as `storage.messages.texts` gives it."""


class Said(NamedTuple):  # one for each of a million messages: faster than a dataclass
    """A message as the model is shown it; `position` is its place in the channel's plan."""

    position: int
    id: int
    author_id: int
    text: str
    has_reactions: int


@dataclass(frozen=True)
class Example:
    """A burst in a channel, and the messages that it answers, oldest first."""

    channel_id: int
    context: Sequence[Said]
    reply: Sequence[Said]

    @property
    def text(self) -> str:
        """The reply's text."""
        return prompts.join([said.text for said in self.reply])


class Renderer:
    """Makes examples of a plan, with people's current names and without their secrets."""

    def __init__(self, names: Mapping[int, str], masks_secrets: bool) -> None:
        self._names = names
        self._clean_names = {person: prompts.clean_name(name) for person, name in names.items()}
        self._masks_secrets = masks_secrets
        self.masked: Counter[str] = Counter()

    def examples(
        self, plan: ChannelPlan, side: int, messages: Iterable[Stored]
    ) -> Iterator[Example]:
        """The examples of one side of a channel; `messages` holds at least all they need."""
        chosen = np.flatnonzero(plan.side == side)
        bursts = dict(zip(plan.last[chosen].tolist(), chosen.tolist(), strict=True))
        numbers = plan.conversations.tolist()
        ends = dict(zip(numbers, range(len(numbers)), strict=True))  # the last position wins
        talks: dict[int, list[Said]] = {}
        for said in self._said(plan, messages):
            number = numbers[said.position]
            talk = talks.get(number)
            if talk is None:
                talk = talks[number] = []
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
        first = example.reply[0]
        sent_at = int(snowflake_time(first.id))
        return {
            "turns": self._turns(example.context, first.author_id),
            "reply": [said.text for said in example.reply],
            "channel_id": example.channel_id,
            "message_id": first.id,
            "author_id": first.author_id,
            "reply_ids": [said.id for said in example.reply],
            "context_ids": [said.id for said in example.context],
            "sent_at": sent_at,
            "hour": sent_at // 3600 % 24,
            "weekday": (sent_at // 86_400 + 3) % 7,  # 1 January 1970 was a Thursday
        }

    def shortened(self, example: Example, encoder: prompts.Encoder, limit: int) -> Example | None:
        """The example in at most `limit` tokens, without its oldest context.

        None where the reply and what it answers do not fit: a reply is never cut.
        """
        persona = example.reply[0].author_id
        for begin in range(len(example.context)):
            context = example.context[begin:]
            turns = [prompts.Turn(**turn) for turn in self._turns(context, persona)]
            ids = prompts.encode_example(turns, example.text, encoder, UNLIMITED)
            if ids and len(ids[0]) <= limit:
                return Example(example.channel_id, context, example.reply)
        return None

    def text(self, content: str) -> str:
        """A message's text as members read it, its secrets masked."""
        if self._masks_secrets:
            content, found = secrets.mask(content)
            if found:
                self.masked.update(found)
        return prompts.readable(content, self._names) if "<" in content else content

    def _said(self, plan: ChannelPlan, messages: Iterable[Stored]) -> Iterator[Said]:
        """Those messages that the plan counts, in its order."""
        position, ids = -1, [*plan.ids.tolist(), 0]
        for message_id, author_id, content, has_reactions in messages:
            if position < 0:
                position = int(np.searchsorted(plan.ids, message_id))
            if message_id == ids[position]:
                yield Said(position, message_id, author_id, self.text(content), has_reactions)
                position += 1

    def _turns(self, context: Sequence[Said], persona: int) -> list[dict[str, Any]]:
        """Consecutive messages by one author are one turn; the persona's have no name."""
        turns: list[dict[str, Any]] = []
        speaker = context[0].author_id
        said: list[str] = []
        for _, _, author, text, _ in (*context, _END):
            if author != speaker:
                name = None if speaker == persona else self._clean_names.get(speaker, "someone")
                turns.append({"name": name, "text": prompts.join(said)})
                speaker, said = author, []
            said.append(text[: prompts.LONGEST_MESSAGE])
        return turns


_END = Said(-1, 0, -1, "", 0)


def _example(plan: ChannelPlan, burst: int, talk: list[Said]) -> Example:
    """The burst that ends a conversation so far; what it answers is among its context."""
    first = plan.first[burst]
    begin = len(talk) - 1
    while talk[begin].position > first:
        begin -= 1
    size = int(plan.size[burst])
    context = talk[max(0, begin - size) : begin]
    target = plan.targets[first]
    if target and target < context[0].id:
        older = talk[max(0, begin - REMEMBERED) : begin - len(context)]
        found = [said for said in older if said.id == target]
        context = found + context[len(found) :]
    return Example(plan.channel_id, context, talk[begin:])
