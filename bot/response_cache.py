"""Replies to the same words in the same channel, said again for a while instead of written anew.

Off unless RESPONSE_CACHE_SECONDS in .env says for how long. It spares a slow laptop work, and costs
what the bot is for: who gets the same words for the same question knows at once what they talk to,
and what was said in between is not heard.
"""

import collections

from bot.writing import Draft
from storage.messages import Message

MOST = 256  # replies
Key = tuple[int, str]


class ResponseCache:
    """The last replies; handed the time, in seconds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._drafts: collections.OrderedDict[Key, tuple[float, Draft]] = collections.OrderedDict()

    def find(self, message: Message, now: float) -> Draft | None:
        """What was said to the same words, unless that is too long ago."""
        written_at, draft = self._drafts.get(_key(message), (float("-inf"), None))
        return draft if now - written_at < self._seconds else None

    def keep(self, message: Message, draft: Draft, now: float) -> None:
        """Remember a reply."""
        if self._seconds:
            self._drafts[_key(message)] = now, draft
            self._drafts.move_to_end(_key(message))
            if len(self._drafts) > MOST:
                self._drafts.popitem(last=False)


def _key(message: Message) -> Key:
    return message.channel_id, " ".join(message.content.casefold().split())
