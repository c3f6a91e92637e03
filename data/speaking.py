"""When a person speaks in a chat: the facts that tell, as they stand after each message.

`Scene` looks at a channel's last messages, and at one person. It is asked about every active member
when a policy is fitted (`data/speaking_fit.py`), and about the bot when it decides
(`data/speaking_policy.py`): what was learned from and what is asked cannot drift apart.
"""

import math
import re
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import pairwise

from storage.messages import Message

WINDOW = 40  # messages that are looked at
LATEST = 20  # of which these say who leads the talk
TALK = 10  # and these, whether two people talk with each other
SOON_SECONDS = 600.0  # within which people talk with each other
LONGEST_SECONDS = 7 * 86_400.0  # as long ago as it gets

_NOBODY: frozenset[int] = frozenset()
_LINK = re.compile(r"https?://")


class Scene:
    """A channel after its last message; `messages` are oldest first.

    Only the last `WINDOW` count, so that who hands over more is told the same.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        window = messages[-WINDOW:]
        self._window, self._last = window, window[-1]
        self._authors = [message.author_id for message in window]
        by_id = {message.id: message.author_id for message in window}
        self._addressed = [
            _addressed(m, by_id) if m.mentions or m.reply_to is not None else _NOBODY
            for m in window
        ]
        now = self._last.id >> 22  # milliseconds: a snowflake's upper bits
        self._ages = [(now - (message.id >> 22)) / 1000 for message in window]
        self._before = self._place_before()
        self._shared = {**self._of_message(), **self._of_channel()}

    def facts(self, person: int) -> dict[str, float]:
        """What tells whether `person`, who did not write the last message, is the next to speak."""
        own = [place for place, author in enumerate(self._authors) if author == person]
        return {**self._shared, **self._of_person(person, own), **self._between(person, own)}

    def is_exchange(self, person: int) -> bool:
        """Whether the last message's author and the person talk: theirs was the turn before it."""
        return self._spoke_before(person) and self._ages[self._before] < SOON_SECONDS

    def _of_message(self) -> dict[str, float]:
        """Whom the message addresses, and what it asks for."""
        text = self._last.content
        return {
            "asks": float("?" in text),
            "shows": float(shows(self._last)),
            "log_length": math.log1p(len(text)),
            "addresses": float(bool(self._addressed[-1])),
            "log_run": math.log1p(len(self._authors) - 1 - self._before),
        }

    def _of_channel(self) -> dict[str, float]:
        """How lively it is, and at what time of the day (UTC)."""
        moment = datetime.fromtimestamp(self._last.sent_at, timezone.utc)
        angle = 2 * math.pi * (moment.hour + moment.minute / 60) / 24
        lately = [a for a, age in zip(self._authors, self._ages, strict=True) if age < SOON_SECONDS]
        latest = self._authors[-LATEST:]
        return {
            "hour_sin": math.sin(angle),
            "hour_cos": math.cos(angle),
            "log_gap": _log(self._ages[-2] if len(self._ages) > 1 else LONGEST_SECONDS),
            "log_span": _log(self._ages[-len(latest)]),
            "log_lately": math.log1p(len(lately)),
            "people_lately": float(len(set(lately))),
            "author_share": latest.count(self._last.author_id) / LATEST,
        }

    def _of_person(self, person: int, own: Sequence[int]) -> dict[str, float]:
        """How present the person is."""
        last = own[-1] if own else -1
        log_since = _log(self._ages[last] if own else LONGEST_SECONDS)
        since = len(self._authors) - 1 - last if own else WINDOW
        unanswered = self._addressed[last + 1 :]
        return {
            "log_since": log_since,
            "log_since_squared": log_since**2,
            "log_messages_since": math.log1p(since),
            "share": self._authors[-LATEST:].count(person) / LATEST,
            "log_spoke_lately": math.log1p(sum(self._ages[i] < SOON_SECONDS for i in own)),
            "is_called": float(any(person in addressed for addressed in unanswered)),
        }

    def _between(self, person: int, own: Sequence[int]) -> dict[str, float]:
        """What goes on between the person and the message's author."""
        author, addressed = self._last.author_id, self._addressed[-1]
        spoke_before = self._spoke_before(person)
        talk = [who for who in self._authors[-TALK:] if who in (person, author)]
        answered = [self._authors[i - 1] for i in own if i and self._authors[i - 1] != person]
        to_author = answered.count(author)
        return {
            "is_addressed": float(person in addressed),
            "is_addressed_back": float(person in addressed and spoke_before),
            "is_asked": float(person in addressed and "?" in self._last.content),
            "another_is_addressed": float(bool(addressed - {person})),
            "spoke_before": float(spoke_before),
            "spoke_before_soon": float(self.is_exchange(person)),
            "two_talk": len(talk) / TALK if person in talk else 0.0,
            "turns": float(sum(a != b for a, b in pairwise(talk))),
            "answers_author": to_author / (1 + len(answered)),
            "answers_of_author": to_author / (1 + self._authors.count(author)),
        }

    def _spoke_before(self, person: int) -> bool:
        """Whether the turn before the last one was the person's."""
        return self._before >= 0 and self._authors[self._before] == person

    def _place_before(self) -> int:
        """Where somebody other than the last message's author spoke last; -1: nowhere."""
        author = self._last.author_id
        places = range(len(self._authors) - 1, -1, -1)
        return next((place for place in places if self._authors[place] != author), -1)


def shows(message: Message) -> bool:
    """Whether a message shows something: a file or a link."""
    return bool(message.attachments) or _LINK.search(message.content) is not None


def _addressed(message: Message, authors: dict[int, int]) -> frozenset[int]:
    """Whom a message mentions, or replies to where that message is in sight."""
    found = set(message.mentions)
    if message.reply_to in authors:
        found.add(authors[message.reply_to])
    return frozenset(found - {message.author_id})


def _log(seconds: float) -> float:
    return math.log1p(min(max(0.0, seconds), LONGEST_SECONDS))


FACTS = tuple(Scene([Message(0, 0, 0, "", "")]).facts(1))
