"""Which messages are learned from, and why the others are not.

Left out are bots, webhooks, notices, people who are excluded or did not agree, messages without
text or with nothing but links, and what quotes the bot itself: it must not learn from its echo.
Everything else stays as it is: one letter, typos, repeats, emoji, capitals.
"""

import re
from collections.abc import Iterable

from data import privacy
from data.privacy import Audience
from storage.messages import Message

QUOTE_WORDS, QUOTE_LENGTH = 4, 20  # a text this short may be anybody's

_LINK = re.compile(r"<?https?://\S+>?")
_WORD = re.compile(r"\w+")
_QUOTED = re.compile(r"^> ?(.+)$", re.MULTILINE)


class Selection:
    """Decides message by message; `own` are the bot's own messages."""

    def __init__(self, audience: Audience, own: Iterable[Message] = ()) -> None:
        self._audience = audience
        self._lines: dict[str, int] = {}  # what the bot said -> when, as the id of the first
        self._openings: dict[tuple[str, ...], list[tuple[int, str]]] = {}
        for message in own:
            self._remember(message.id, message.content.strip())

    def allows(self, message: Message) -> bool:
        """Whether a message may at least be shown: written by somebody who may be learned from."""
        return privacy.is_allowed(message, ()) and self._audience.allows(message.author_id)

    def reason_to_leave_out(self, message: Message) -> str | None:
        """Why a message is not learned from, None for one that is."""
        if message.author_kind != "member":
            return message.author_kind
        if not self._audience.allows(message.author_id):
            return "person not included"
        if not privacy.is_allowed(message, ()):
            return "notice"
        text = message.content
        if not text.strip():
            return "no text"
        if "http" in text and not _LINK.sub("", text).strip():
            return "only links"
        if self._lines and self._quotes_the_bot(message):
            return "quotes the bot"
        return None

    def _remember(self, message_id: int, text: str) -> None:
        for line in {text, *text.splitlines()}:
            self._lines.setdefault(line.strip(), message_id)
        words = _WORD.findall(text.lower())
        if len(words) >= QUOTE_WORDS and len(text) >= QUOTE_LENGTH:
            opening = tuple(words[:QUOTE_WORDS])
            self._openings.setdefault(opening, []).append((message_id, text.lower()))

    def _quotes_the_bot(self, message: Message) -> bool:
        """Whether it holds, verbatim and later, a message of the bot's or quotes one's line."""
        text = message.content
        if ">" in text:
            said = (self._lines.get(line.strip()) for line in _QUOTED.findall(text))
            if any(when is not None and when < message.id for when in said):
                return True
        if len(text) < QUOTE_LENGTH:
            return False
        text = text.lower()
        words = _WORD.findall(text)
        for start in range(len(words) - QUOTE_WORDS + 1):
            for when, own in self._openings.get(tuple(words[start : start + QUOTE_WORDS]), ()):
                if when < message.id and own in text:
                    return True
        return False
