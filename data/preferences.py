"""What members liked: reactions, corrected for who had the chance to react.

An announcement, a popular author or a busy month gets more reactions without being better. So each
message is compared with what it could expect,

    expected = mean x channel x author x period x (1 - exp(-age / tau)),

the mean of a typical message and a factor for each place, person and 30 days (`data/rates.py` fits
them), and for the time there was to react: `tau` is a stated guess, `TAU_SECONDS`.

What this cannot see: Discord gives counts, so a reaction to one's own message, or several by one
person, count like any other; and who read a message is only guessed from its place and time.
"""

import dataclasses
import math
import random
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from data import emoji, rates
from storage import reactions
from storage.messages import Message, snowflake_time

FEWEST = 200  # pairs: below this a preference step learns its examples by heart
PERIOD_SECONDS = 30 * 86_400
TAU_SECONDS = 3 * 3600  # two thirds of the reactions come within three hours
PSEUDO_COUNT = 1.0
LEAST_WEIGHT = 0.01
LEAST_SURE = 0.1  # weight of a pair worth learning from: in a quiet place one like says little

CANNED = {
    "formal": (
        "Thank you for your message. I would be happy to assist you with this matter.",
        "I appreciate you sharing your perspective. Please let me know if I can be of help.",
        "That is an excellent question. There are several important factors to consider.",
        "Thank you for bringing this to my attention. I will gladly provide more information.",
        "I understand your concern. Could you please provide some additional details?",
    ),
    "generic": (
        "That's interesting, tell me more.",
        "I see what you mean.",
        "That makes sense.",
        "Good point.",
        "I'm not sure about that.",
    ),
}


class Judgement(NamedTuple):  # one for each of a million messages: faster than a dataclass
    """How a message was received.

    With net = positive - negative and k = `PSEUDO_COUNT`,

        score = ln((max(net, 0) + k) / (expected + k)) - ln(1 + max(-net, 0)):

    above 0 is liked beyond expectation, below 0 less than that or disliked. `weight`, in (0, 1],
    says how surely: 1 - exp(-evidence / dispersion), at least `LEAST_WEIGHT`, with the evidence

        (max(net, 0) + k) ln((max(net, 0) + k) / (expected + k)) - (max(net, 0) - expected),

    and 1 more for each vote below 0. For a Poisson count exp(-evidence) is Chernoff's bound on the
    chance to be that far off by luck (Mitzenmacher and Upfal, "Probability and Computing", 5.4).
    """

    positive: int
    negative: int
    expected: float
    score: float
    weight: float


@dataclasses.dataclass(frozen=True)
class Exposure:
    """What a message gets on average, by where, by whom and when it was written."""

    mean: float
    channels: rates.Factors
    authors: rates.Factors
    periods: rates.Factors
    dispersion: float
    newest_at: float

    @classmethod
    def fit(cls, connection: sqlite3.Connection) -> "Exposure":
        """Learn the factors from all that is stored; expect nothing where nobody reacts."""
        liked = [text for text in reactions.emoji(connection) if emoji.sign(text) > 0]
        names = ("channel", "author", "period", "messages", "received", "squares")
        shape = [(name, "i8" if name in names[:3] else "f8") for name in names]
        cells = np.fromiter(reactions.by_cell(connection, liked, PERIOD_SECONDS), np.dtype(shape))
        newest_at = snowflake_time(reactions.newest(connection))
        messages, received = cells["messages"], cells["received"]
        if not received.any():
            nothing = rates.Factors({}, 1.0)
            return cls(0.0, nothing, nothing, nothing, 1.0, newest_at)
        dispersion = rates.dispersion(messages, received, cells["squares"])
        kinds = [cells[name] for name in names[:3]]
        mean, (channels, authors, periods) = rates.fit(kinds, messages, received, dispersion)
        return cls(mean, channels, authors, periods, dispersion, newest_at)

    def expected(self, channel_id: int, author_id: int, sent_at: float, own: int = 0) -> float:
        """The positive reactions of such a message, by its like; `own` are its own, left out.

        `sent_at` is in seconds since 1970.
        """
        age = max(0.0, self.newest_at - sent_at)
        return (
            self.mean
            * self.channels.of(channel_id, own)
            * self.authors.of(author_id, own)
            * self.periods.of(int(sent_at // PERIOD_SECONDS), own)
            * (1 - math.exp(-age / TAU_SECONDS))
        )

    def judge(self, message: Message) -> Judgement:
        """Compare a message's reactions with what it could expect."""
        positive, negative = votes(message.reactions) if message.reactions else (0, 0)
        expected = self.expected(message.channel_id, message.author_id, message.sent_at, positive)
        net = max(positive - negative, 0)
        against = negative - positive + net
        surprise = math.log((net + PSEUDO_COUNT) / (expected + PSEUDO_COUNT))
        evidence = (net + PSEUDO_COUNT) * surprise - (net - expected) + against
        weight = max(LEAST_WEIGHT, 1 - math.exp(-evidence / self.dispersion))
        return Judgement(positive, negative, expected, surprise - math.log1p(against), weight)


def votes(counts: Mapping[str, int]) -> tuple[int, int]:
    """Positive and negative reactions among an emoji's counts; neutral emoji are neither."""
    signed = [emoji.sign(text) * count for text, count in counts.items() if count > 0]
    return sum(n for n in signed if n > 0), -sum(n for n in signed if n < 0)


def row(judgement: Judgement, chosen_row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of preferences.jsonl: the training row and its pair.

    `rejected` is None until training fills it in with the model's own reply.
    """
    pair = {"chosen": chosen_row["reply"], "rejected": None}
    return {**chosen_row, **pair, **judgement._asdict()}


def alternatives(text: str, dice: random.Random, style: str = "formal") -> str:
    """A canned reply, "formal" or "generic", that is not `text` itself."""
    return dice.choice([canned for canned in CANNED[style] if canned != text.strip()])


def sibling(chosen: Message, talk: Sequence[Message], exposure: Exposure) -> Message | None:
    """Somebody else's later answer to the same message, as exposed, that nobody liked.

    Only marked replies count, so that both truly answer the same, and only later ones, which are
    no part of the chosen one's context. None where there is none.
    """
    if chosen.reply_to is None:
        return None
    least = exposure.judge(chosen).expected / 2
    for other in talk:
        is_rival = other.reply_to == chosen.reply_to and other.author_id != chosen.author_id
        if is_rival and other.id > chosen.id:
            judgement = exposure.judge(other)
            if judgement.positive <= judgement.negative and judgement.expected >= least:
                return other
    return None


def advice(count: int) -> str | None:
    """What to do about too few pairs; None when there are enough."""
    if count >= FEWEST:
        return None
    return (
        f"Only {count} replies were liked beyond what their place and author usually get; learning "
        f"from preferences needs about {FEWEST}. Fetch more history, train with --method sft, or "
        "add pairs with canned alternatives or with replies that were passed over."
    )
