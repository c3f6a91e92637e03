"""DiscordChatExporter's JSON: one object a channel, with guild, channel and messages.

https://github.com/Tyrrrz/DiscordChatExporter (its `JsonMessageWriter` writes these fields).
"""

import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any

from data.exports import ids, json_stream
from data.exports.kinds import channel_kind, message_type
from data.exports.source import MALFORMED, Broken, Item, Skip, Source
from data.payloads import emoji
from storage.channels import Channel
from storage.messages import Message

WANTED = ("channel", "messages.item", "messageCount")


def read(source: Source, own_id: int) -> Iterator[Item]:
    """The channel, then its messages. Raises `Broken`."""
    place: Channel | None = None
    found, now = 0, time.time()
    for path, at, raw in json_stream.records(source.chunks(), WANTED):
        source.at = at
        if path == "channel":
            channel = json_stream.converted(raw, _channel)
            if isinstance(channel, Skip):
                raise Broken("names no channel that can be read")
            yield (place := channel)
        elif place is None:
            raise Broken("names no channel before its messages")
        elif path == "messages.item":
            found += 1
            convert = functools.partial(_message, channel_id=place.id, own_id=own_id, now=now)
            yield json_stream.converted(raw, convert)
        elif raw.isdigit() and int(raw) != found:
            raise Broken(f"holds {found:,} messages and claims {int(raw):,}")


def _channel(fields: Mapping[str, Any]) -> Channel:
    kind = channel_kind(fields.get("type"))
    parent = fields.get("categoryId") if kind.endswith("thread") else None
    return Channel(
        id=ids.number(fields["id"]),
        name=str(fields.get("name") or fields["id"]),
        kind=kind,
        parent_id=ids.number(parent) if parent else None,
    )


def _message(raw: Mapping[str, Any], *, channel_id: int, own_id: int, now: float) -> Message:
    ids.check_date(raw.get("timestamp"), now)
    author, edited = raw["author"], raw.get("timestampEdited")
    author_id = ids.number(author["id"])
    reference = raw.get("reference") or {}
    reply_to = None if reference.get("type") == "Forward" else reference.get("messageId")
    if not isinstance(raw["content"], str):
        raise Skip(MALFORMED)
    return Message(
        id=ids.number(raw["id"]),
        channel_id=channel_id,
        author_id=author_id,
        author_name=str(author.get("nickname") or author.get("name") or ""),
        content=raw["content"],
        author_kind="self" if author_id == own_id else _author_kind(author),
        kind=message_type(raw.get("type")),
        reply_to=ids.number(reply_to) if reply_to else None,
        mentions=tuple(ids.number(person["id"]) for person in raw.get("mentions") or ()),
        attachments=tuple((str(file["fileName"]), "") for file in raw.get("attachments") or ()),
        reactions={
            _emoji(reaction["emoji"]): ids.number(reaction.get("count", 1))
            for reaction in raw.get("reactions") or ()
        },
        edited_at=ids.seconds(edited) if edited else None,
    )


def _emoji(raw: Mapping[str, Any]) -> str:
    return emoji({**raw, "animated": raw.get("isAnimated")})


def _author_kind(author: Mapping[str, Any]) -> str:
    """A webhook is a bot without the four digits that every bot still has after its name."""
    if not author.get("isBot"):
        return "member"
    return "webhook" if author.get("discriminator") in ("0000", "0") else "bot"
