"""Discord's own JSON: pages of message objects, and threads with their messages."""

import functools
import time
from collections.abc import Iterator, Mapping
from typing import Any

from data import payloads
from data.exports import ids, json_stream
from data.exports.kinds import channel_kind
from data.exports.source import MALFORMED, Item, Skip, Source
from storage.channels import Channel
from storage.messages import Message


def read_page(source: Source, own_id: int) -> Iterator[Item]:
    """A list of message objects. Raises `Broken`."""
    return _read(source, own_id, ("item",))


def read_threads(source: Source, own_id: int) -> Iterator[Item]:
    """A list of objects with a `thread` (a channel object) and its `messages`. Raises `Broken`."""
    return _read(source, own_id, ("item.thread", "item.messages.item"))


def _read(source: Source, own_id: int, wanted: tuple[str, ...]) -> Iterator[Item]:
    named: set[int] = set()
    convert = functools.partial(_message, own_id=own_id, now=time.time())
    for path, at, raw in json_stream.records(source.chunks(), wanted):
        source.at = at
        if path == "item.thread":
            item: Item = json_stream.converted(raw, _channel)
        else:
            item = json_stream.converted(raw, convert)
        if isinstance(item, Channel):
            named.add(item.id)
        elif isinstance(item, Message) and item.channel_id not in named:
            named.add(item.channel_id)
            yield Channel(item.channel_id, str(item.channel_id), "text")
        yield item


def _channel(fields: Mapping[str, Any]) -> Channel:
    parent = fields.get("parent_id")
    return Channel(
        id=ids.number(fields["id"]),
        name=str(fields.get("name") or fields["id"]),
        kind=channel_kind(fields.get("type")),
        parent_id=ids.number(parent) if parent else None,
    )


def _message(fields: Mapping[str, Any], *, own_id: int, now: float) -> Message:
    ids.check_date(fields.get("timestamp"), now)
    if not isinstance(fields["content"], str):
        raise Skip(MALFORMED)
    return payloads.message(fields, own_id)
