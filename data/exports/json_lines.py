"""Our own JSON Lines: one message a line, from Discord or from any other chat.

Required: `id`, `author_id`, `content`, and a `timestamp` unless the id is Discord's. Optional:
`channel` (a name), `channel_id`, `author_name`, `bot`, `reply_to`, `type`, `mentions`,
`attachments` (names, or how many), `reactions` (`[{"emoji": ..., "count": ...}]`).
"""

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from data.exports import ids
from data.exports.kinds import message_type
from data.exports.source import FIELD_ERRORS, MALFORMED, NO_JSON, Broken, Item, Skip, Source, lines
from storage.channels import Channel
from storage.messages import Message

REMEMBERED = 50_000  # foreign ids that a reply can still refer to; Discord's need no memory
MOST_ATTACHMENTS = 10  # Discord's own limit


def read(source: Source, own_id: int) -> Iterator[Item]:
    """Each channel before its first message. Raises `Broken`."""
    reader = _Reader(own_id)
    source.unit = "line"
    for number, line in enumerate(lines(source.chunks()), 1):
        source.at = number
        try:
            fields = orjson.loads(line)
            message = reader.message(fields)
        except Skip as skip:
            yield skip
        except orjson.JSONDecodeError:
            if not line.endswith(b"\n"):
                raise Broken("is cut short") from None
            if not line.isspace():
                yield Skip(NO_JSON)
        except FIELD_ERRORS:
            yield Skip(MALFORMED)
        else:
            if message.channel_id not in reader.named:
                reader.named.add(message.channel_id)
                name = str(fields.get("channel") or message.channel_id)
                yield Channel(message.channel_id, name, "text")
            yield message


class _Reader:
    """Turns one line's fields into a message, knowing the lines before it."""

    def __init__(self, own_id: int) -> None:
        self.named: set[int] = set()
        self._own_id = own_id
        self._now = time.time()
        self._foreign: OrderedDict[str, int] = OrderedDict()

    def message(self, raw: Mapping[str, Any]) -> Message:
        """Raises `Skip`, or what Python raises for a field that is missing or of another type."""
        content, mentions, reactions = raw["content"], raw.get("mentions"), raw.get("reactions")
        if not isinstance(content, str):
            raise Skip(MALFORMED)
        author_id = _id("person", raw["author_id"])
        return Message(
            id=self._message_id(raw["id"], raw.get("timestamp")),
            channel_id=_id("channel", raw.get("channel_id") or raw["channel"]),
            author_id=author_id,
            author_name=str(raw.get("author_name") or ""),
            content=content,
            author_kind=self._author_kind(author_id, raw.get("bot")),
            kind=message_type(raw.get("type")),
            reply_to=self._reply_to(raw.get("reply_to")),
            mentions=tuple([_id("person", who) for who in mentions]) if mentions else (),
            attachments=_attachments(raw.get("attachments")),
            reactions=_reactions(reactions) if reactions else {},
        )

    def _author_kind(self, author_id: int, is_bot: object) -> str:
        if author_id == self._own_id:
            return "self"
        return "bot" if is_bot else "member"

    def _message_id(self, raw: object, timestamp: object) -> int:
        moment = ids.check_date(timestamp, self._now)
        text = _text(raw)
        if ids.is_snowflake(text):
            return int(text)
        if moment is None:
            raise Skip(MALFORMED)
        made = self._foreign[text] = ids.message_id(text, moment)
        if len(self._foreign) > REMEMBERED:
            self._foreign.popitem(last=False)
        return made

    def _reply_to(self, raw: object) -> int | None:
        if not raw:
            return None
        text = _text(raw)
        return int(text) if ids.is_snowflake(text) else self._foreign.get(text)


def _id(what: str, raw: object) -> int:
    """A person's or channel's id: Discord's, or one made of the name that stands for it."""
    text = _text(raw)
    return int(text) if text.isdecimal() else ids.made_up(what, text)


def _text(raw: object) -> str:
    if isinstance(raw, str):
        return raw
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    raise Skip(MALFORMED)


def _reactions(raw: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    return {str(each["emoji"]): ids.number(each.get("count", 1)) for each in raw}


def _attachments(raw: object) -> tuple[tuple[str, str], ...]:
    """Names, or no more than how many there were."""
    if not raw:
        return ()
    if isinstance(raw, list):
        return tuple((str(name), "") for name in raw)
    return (("", ""),) * min(ids.number(raw), MOST_ATTACHMENTS)
