"""How members answer: after how long, as a reply or plainly, in how many messages, or by an emoji.

All of it is counted in the server's own history. Whoever draws from it hands over the dice.
"""

import dataclasses
import math
import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from data.links import Linker
from data.speaking import Scene, shows
from storage.messages import Message

ANSWER_SECONDS = 1800.0  # what comes later begins something new
BURST_SECONDS = 180.0
LONGEST_BURST = 8
STEPS = 20  # of the distribution of delays
FEWEST = 20  # answers: fewer say nothing of their own
MOST_BETWEEN = 3
PATIENCE_SECONDS = (60.0, 600.0)
EMOJI = 24
LONGEST_EMOJI = 64  # characters: `<a:name:id>` has at most 56
PRIOR = 5.0  # observations that a cell with few of its own is given of the whole

KINDS = ("asks", "shows", "says")
Delays = tuple[float, ...]


@dataclasses.dataclass(frozen=True)
class Habits:
    """What members do, as shares and quantiles.

    The delays have `STEPS` + 1 quantiles, in seconds, within an exchange and otherwise. `replies`
    is the share of answers that are Discord replies, by how many messages stand between (0 to 3 or
    more) and how long ago the answered one was (`PATIENCE_SECONDS`); empty where the history knows
    no replies. `bursts` is the share of turns of 1, 2, ... messages. `reactions` is the share of
    answers that are an emoji and no words, by kind of message; `emoji` how often each was used.
    """

    exchange_delays: Delays
    delays: Delays
    replies: tuple[tuple[float, ...], ...]
    bursts: tuple[float, ...]
    reactions: Mapping[str, float]
    emoji: Mapping[str, float]

    def delay_seconds(self, is_exchange: bool, dice: random.Random) -> float:
        """How long to wait before an answer, from the message to the answer's first."""
        quantiles = self.exchange_delays if is_exchange else self.delays
        place = dice.random() * STEPS
        low = int(place)
        return quantiles[low] + (quantiles[low + 1] - quantiles[low]) * (place - low)

    def is_reply(self, between: int, seconds: float, dice: random.Random) -> bool | None:
        """Whether to answer as a Discord reply; None where the history does not tell.

        `between` messages came after the one that is answered, which is `seconds` old.
        """
        roll = dice.random()
        return roll < self.replies[_row(between)][_column(seconds)] if self.replies else None

    def reaction(self, message: Message, dice: random.Random) -> str | None:
        """The emoji that answers a message instead of words; None for words."""
        roll = dice.random()
        if not self.emoji or roll >= self.reactions[_kind(message)]:
            return None
        return dice.choices(list(self.emoji), list(self.emoji.values()))[0]

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> "Habits":
        """What a file holds. Raises `ValueError`, `TypeError` or `LookupError` for anything odd."""
        replies = tuple(tuple(map(_share, row)) for row in raw["replies"])
        if replies and {len(row) for row in replies} != {len(PATIENCE_SECONDS) + 1}:
            raise ValueError("replies")
        if len(replies) not in (0, MOST_BETWEEN + 1):
            raise ValueError("replies")
        bursts = tuple(map(_share, raw["bursts"]))
        if not 0 < len(bursts) <= LONGEST_BURST or not any(bursts):
            raise ValueError("bursts")
        return cls(
            exchange_delays=_quantiles(raw["exchange_delays"]),
            delays=_quantiles(raw["delays"]),
            replies=replies,
            bursts=bursts,
            reactions={kind: _share(raw["reactions"][kind]) for kind in KINDS},
            emoji=_emoji(raw["emoji"]),
        )


def measure(channels: Sequence[Sequence[Message]], linkers: Sequence[Linker]) -> Habits:
    """The habits of the members who wrote `channels`, each a channel's messages, oldest first.

    There is an unused linker for each. Raises `ValueError` when nobody ever answered anybody.
    """
    answers = [answer for channel in channels for answer in _answers(channel)]
    if not answers:
        raise ValueError("nobody answered anybody")
    whole = [seconds for seconds, _ in answers]
    parts = [[seconds for seconds, way in answers if way is wanted] for wanted in (True, False)]
    in_exchange, others = (part if len(part) >= FEWEST else whole for part in parts)
    return Habits(
        exchange_delays=_distribution(in_exchange),
        delays=_distribution(others),
        replies=_replies(channels, linkers),
        bursts=_bursts(channels),
        reactions=_reactions(channels),
        emoji=_used(channels),
    )


def _answers(channel: Sequence[Message]) -> Iterator[tuple[float, bool]]:
    """How long each answer took, and whether it came within an exchange."""
    for place, (before, message) in enumerate(pairwise(channel), 1):
        if _is_answer(message, before):
            is_exchange = Scene(channel[:place]).is_exchange(message.author_id)
            yield message.sent_at - before.sent_at, is_exchange


def _is_answer(message: Message, before: Message) -> bool:
    """Whether a member's message answers the one before it: it is another's, and not long ago."""
    is_soon = message.sent_at - before.sent_at <= ANSWER_SECONDS
    return is_soon and message.author_kind == "member" and message.author_id != before.author_id


def _distribution(seconds: Sequence[float]) -> Delays:
    ordered = sorted(seconds)
    places = (round(step / STEPS * (len(ordered) - 1)) for step in range(STEPS + 1))
    return tuple(round(ordered[place], 1) for place in places)


def _replies(
    channels: Sequence[Sequence[Message]], linkers: Sequence[Linker]
) -> tuple[tuple[float, ...], ...]:
    """The share of replies in each cell; a plain message answers what the linker says."""
    counts, marked = Counter[tuple[int, int]](), Counter[tuple[int, int]]()
    for channel, linker in zip(channels, linkers, strict=True):
        for cell, is_marked in _targets(channel, linker):
            counts[cell] += 1
            marked[cell] += is_marked
    if not marked.total():
        return ()
    usual = marked.total() / counts.total()
    return tuple(
        tuple(
            round((marked[row, column] + PRIOR * usual) / (counts[row, column] + PRIOR), 4)
            for column in range(len(PATIENCE_SECONDS) + 1)
        )
        for row in range(MOST_BETWEEN + 1)
    )


def _targets(channel: Sequence[Message], linker: Linker) -> Iterator[tuple[tuple[int, int], bool]]:
    """For each message that answers another's its cell, and whether it is a reply."""
    places = {message.id: place for place, message in enumerate(channel)}
    targets = linker.link(channel).tolist()
    for place, (message, target) in enumerate(zip(channel, targets, strict=True)):
        answered = places.get(target)
        if answered is None or message.author_kind != "member":
            continue
        if channel[answered].author_id != message.author_id:
            seconds = message.sent_at - channel[answered].sent_at
            cell = _row(place - answered - 1), _column(seconds)
            yield cell, message.reply_to is not None


def _row(between: int) -> int:
    return min(max(0, between), MOST_BETWEEN)


def _column(seconds: float) -> int:
    return sum(seconds > limit for limit in PATIENCE_SECONDS)


def _bursts(channels: Sequence[Sequence[Message]]) -> tuple[float, ...]:
    sizes = Counter[int]()
    for channel in channels:
        run = 0
        for message, after in zip(channel, (*channel[1:], None), strict=True):
            run += 1
            if after is None or not goes_on(message, after):
                sizes[min(run, LONGEST_BURST)] += message.author_kind == "member"
                run = 0
    return tuple(round(sizes[n] / sizes.total(), 4) for n in range(1, LONGEST_BURST + 1))


def goes_on(before: Message, message: Message) -> bool:
    """Whether a message goes on with the turn that the one before it is of."""
    is_same = before.author_id == message.author_id
    return is_same and message.sent_at - before.sent_at <= BURST_SECONDS


def _reactions(channels: Sequence[Sequence[Message]]) -> dict[str, float]:
    """The share of emoji among the answers to a message, by its kind.

    Discord says how many reacted, not who: a message with reactions and words after it counts half
    for each, and one with forty reactions no more than one with one.
    """
    emoji, answered = dict.fromkeys(KINDS, 0.0), dict.fromkeys(KINDS, 0.0)
    for channel in channels:
        for message, after in zip(channel, (*channel[1:], None), strict=True):
            has_words = after is not None and _is_answer(after, message)
            if message.reactions or has_words:
                answered[_kind(message)] += 1
            if message.reactions:
                emoji[_kind(message)] += 0.5 if has_words else 1
    return {kind: round(emoji[kind] / max(1.0, answered[kind]), 4) for kind in KINDS}


def _used(channels: Sequence[Sequence[Message]]) -> dict[str, float]:
    """How many messages each of the most usual emoji stands under."""
    used = Counter(emoji for channel in channels for m in channel for emoji in m.reactions)
    return {e: float(n) for e, n in used.most_common(EMOJI) if len(e) <= LONGEST_EMOJI}


def _kind(message: Message) -> str:
    if shows(message):
        return "shows"
    return "asks" if "?" in message.content else "says"


def _quantiles(raw: Sequence[Any]) -> Delays:
    seconds = tuple(map(float, raw))
    rises = all(low <= high for low, high in pairwise(seconds))
    if (
        len(seconds) != STEPS + 1
        or not rises
        or not 0 <= seconds[0] <= seconds[-1] <= ANSWER_SECONDS
    ):
        raise ValueError("delays")
    return seconds


def _share(raw: Any) -> float:
    if not 0 <= raw <= 1:
        raise ValueError("a share")
    return float(raw)


def _emoji(raw: Mapping[str, Any]) -> dict[str, float]:
    emoji = {str(name): float(count) for name, count in raw.items()}
    if len(emoji) > EMOJI or any(len(name) > LONGEST_EMOJI for name in emoji):
        raise ValueError("emoji")
    if not all(0 < count < math.inf for count in emoji.values()):
        raise ValueError("emoji")
    return emoji
