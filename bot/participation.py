"""When to speak: pure decisions, handed the dice roll."""

import enum
import math
import re
import unicodedata
from collections.abc import Sequence

from data.speaking import SOON_SECONDS, Scene
from data.speaking_policy import Policy
from storage.messages import Message

EXCHANGE_ODDS = 6.0  # whom the bot talks with goes on talking to it
REST_ODDS = 0.5  # where others talk after the bot did, it leaves them room
MOST_OWED = 12.0  # answers
GAIN, MOST_SHIFT = 0.5, 2.0  # log odds for each answer owed, and at most
SHORTEST_NAME = 3  # letters: a shorter name is too often just a word

_NOT_SAID = re.compile(
    r"```.*?(?:```|\Z)|``.+?``|`[^`\n]+`"  # code
    r"|^>>> .*|^> [^\n]*"  # quotes: somebody else said it
    r"|<[^<>\s]*>|(?<!\w)\w{1,20}://\S+|(?<!\w)www\.\S+",  # mentions, emoji, timestamps and links
    re.DOTALL | re.MULTILINE,
)


class Reason(enum.Enum):
    """Why the bot answers a message."""

    MENTIONED = "mentioned"
    REPLIED_TO = "replied to"
    NAMED = "named"
    CHANCE = "chance"

    @property
    def is_addressed(self) -> bool:
        """Whether somebody expects an answer."""
        return self is not Reason.CHANCE


def decide(
    recent: Sequence[Message],
    *,
    own_id: int,
    own_name: str,
    is_reply_to_us: bool,
    rate: float,
    roll: float,
    policy: Policy | None = None,
    shift: float = 0.0,
) -> Reason | None:
    """Whether to answer the last of a channel's `recent` messages and why; oldest come first.

    `roll` is uniform in [0, 1); `shift` is a `Balance`'s. Without a `policy`, the bot speaks at an
    even rate.
    """
    message = recent[-1]
    if own_id in message.mentions:
        return Reason.MENTIONED
    if is_reply_to_us:
        return Reason.REPLIED_TO
    if is_named(message.content, own_name):
        return Reason.NAMED
    return Reason.CHANCE if roll < chance(recent, own_id, rate, policy, shift) else None


def chance(
    recent: Sequence[Message],
    own_id: int,
    rate: float,
    policy: Policy | None = None,
    shift: float = 0.0,
) -> float:
    """The chance that the bot speaks after the last message, which does not address it.

    `shift` is added to the log odds of what the policy, or the even rate, says.
    """
    wanted = policy.chance(recent, own_id, rate) if policy else rate
    odds = math.exp(shift) * (1.0 if policy else _odds(recent, own_id))
    return wanted * odds / (1 - wanted + wanted * odds)


class Balance:
    """Keeps the share of messages that the bot answers unasked at what the slider says.

    Bursts are answered once, and manners, staleness and what members do today take their part, too.
    So what is owed is counted, up to `MOST_OWED` answers, and moves the log odds.
    """

    def __init__(self) -> None:
        self._owed = 0.0

    @property
    def shift(self) -> float:
        """What to add to the log odds."""
        return max(-MOST_SHIFT, min(MOST_SHIFT, GAIN * self._owed))

    def heard(self, rate: float) -> None:
        """A message that the bot may answer unasked."""
        self._owed = min(self._owed + rate, MOST_OWED)

    def spoke(self) -> None:
        """One was answered."""
        self._owed = max(self._owed - 1, -MOST_OWED)


def is_named(text: str, name: str) -> bool:
    """Whether a message says the name as a word of its own: not in a link, in code or a quote."""
    name = " ".join(_folded(name).split())
    if len(name) < SHORTEST_NAME:
        return False
    said = _folded(_NOT_SAID.sub(" ", text))
    spaced = r"\s+".join(map(re.escape, name.split(" ")))
    before, after = r"(?<![\w/.\\-])(?<!\w@)", r"(?![\w/\\]|[.@-]\w)"
    return re.search(before + spaced + after, said) is not None


def _odds(recent: Sequence[Message], own_id: int) -> float:
    """How many times as likely it is, as odds, that the bot should speak here than elsewhere."""
    if Scene(recent).is_exchange(own_id):
        return EXCHANGE_ODDS
    now = recent[-1].sent_at
    spoke = any(m.author_id == own_id and now - m.sent_at < SOON_SECONDS for m in recent)
    return REST_ODDS if spoke else 1.0


def _folded(text: str) -> str:
    """A text as one that looks the same to people."""
    return unicodedata.normalize("NFKC", text).casefold()
