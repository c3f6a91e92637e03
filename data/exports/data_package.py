"""What Discord sends a person who asks for their data: their own messages, a folder a channel.

`messages/c<channel id>/` holds `channel.json` and `messages.json`, or `messages.csv` in packages
made before 2024; `messages/index.json` names the channels, `account/user.json` the person. Direct
messages are left out: they were never said on a server.
"""

import csv
import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson

from data.exports import ids, json_stream
from data.exports.kinds import channel_kind
from data.exports.source import (
    FIELD_ERRORS,
    MALFORMED,
    Broken,
    Item,
    Skip,
    Source,
    lines,
    storable,
)
from storage.channels import Channel
from storage.messages import Message

SIDE_FILES = ("channel.json", "index.json", "user.json")
DIRECT = "a direct message, which is no server's"
LARGEST_SIDE_FILE = 1 << 24

Row = dict[str, Any]
Rows = Callable[[Source], Iterator[Row | Skip]]
Owner = tuple[int, str, str]
"""Id, name, and kind of author."""


def read(
    source: Source, own_id: int, *, rows: Rows, beside: Mapping[str, Source]
) -> Iterator[Item]:
    """The channel of one file of messages, then these. Raises `Broken`.

    `rows` is `json_rows` or `csv_rows`; `beside` is every file of the package by its name.
    """
    try:
        owner = _owner(source, beside, own_id)
        channel = _channel(source, beside)
    except (Skip, *FIELD_ERRORS):
        raise Broken("has a damaged account/user.json or channel.json beside it") from None
    if channel:
        yield channel
    now = time.time()
    for row in rows(source):
        if isinstance(row, Skip):
            yield row
        elif channel is None:
            yield Skip(DIRECT)
        else:
            yield _message_or_reason(row, channel.id, owner, now)


def json_rows(source: Source) -> Iterator[Row | Skip]:
    """Of `messages.json`."""
    for _, at, raw in json_stream.records(source.chunks(), ("item",)):
        source.at = at
        yield json_stream.converted(raw, dict)


def csv_rows(source: Source) -> Iterator[Row | Skip]:
    """Of `messages.csv`."""
    source.unit = "line"
    text = (line.decode("utf-8", "surrogateescape") for line in lines(source.chunks()))
    rows = csv.DictReader(text, strict=True)
    while True:
        item: Row | Skip
        try:
            item = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error):
                raise Broken("is cut short") from None
            item = Skip(MALFORMED)
        source.at = rows.line_num
        yield item


def _message_or_reason(row: Row, channel_id: int, owner: Owner, now: float) -> Message | Skip:
    try:
        ids.check_date(row.get("Timestamp"), now)
        author_id, name, author_kind = owner
        return Message(
            id=ids.number(row["ID"]),
            channel_id=channel_id,
            author_id=author_id,
            author_name=name,
            content=storable(row["Contents"]),
            author_kind=author_kind,
            attachments=tuple((_file_name(url), "") for url in row["Attachments"].split()),
        )
    except Skip as skip:
        return skip
    except FIELD_ERRORS:
        return Skip(MALFORMED)


def _owner(source: Source, beside: Mapping[str, Source], own_id: int) -> Owner:
    """Whose package it is: everything in it was written by one person."""
    package = "".join(f"{part}/" for part in source.name.split("/")[:-3])
    file = beside.get(f"{package}account/user.json") or beside.get(f"{package}Account/user.json")
    if file is None:
        raise Broken("is part of a data package; give the whole package, with account/user.json")
    fields = _object(file)
    author_id = ids.number(fields["id"])
    name = str(fields.get("global_name") or fields.get("username") or "")
    return author_id, name, "self" if author_id == own_id else "member"


def _channel(source: Source, beside: Mapping[str, Source]) -> Channel | None:
    """The channel of a file; None for a conversation between people."""
    folder = source.name.rpartition("/")[0]
    file = beside.get(f"{folder}/channel.json")
    fields = _object(file) if file else {}
    kind = channel_kind(fields.get("type"))
    if kind in ("private", "group") or "recipients" in fields:
        return None
    number = str(fields.get("id") or folder.rpartition("/")[2].lstrip("c"))
    index = beside.get(f"{folder.rpartition('/')[0]}/index.json")
    name = fields.get("name") or (_object(index).get(number) if index else None) or number
    return Channel(ids.number(number), str(name), kind)


@functools.lru_cache(maxsize=8)  # every channel asks for the same user.json and index.json
def _object(file: Source) -> Mapping[str, Any]:
    text = b""
    for chunk in file.chunks():
        text += chunk
        if len(text) > LARGEST_SIDE_FILE:
            raise ValueError(file.name)
    fields = orjson.loads(text)
    if not isinstance(fields, dict):
        raise TypeError(file.name)
    return fields


def _file_name(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]
