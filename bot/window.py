"""Which messages of a conversation the model is shown.

A window that slid by one with every message would begin elsewhere each time, and the whole prompt
would have to be read again. So it grows at its end, and is cut by several messages at a time.
"""

from collections.abc import Sequence

from storage.messages import Message

MOST, LEAST = 9, 6  # messages: at most as many as in the longest examples of the training


class Windows:
    """Remembers, for each channel, where its window begins."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def of(self, conversation: Sequence[Message]) -> list[Message]:
        """The end of a conversation, oldest first: the same beginning as long as it can be."""
        if not conversation:
            return []
        channel_id = conversation[-1].channel_id
        ids = [message.id for message in conversation]
        first = self._first.get(channel_id)
        begin = ids.index(first) if first in ids else 0
        if len(ids) - begin > MOST:
            begin = len(ids) - LEAST
        self._first[channel_id] = ids[begin]
        return list(conversation[begin:])
