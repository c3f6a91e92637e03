"""Which format a file is in, seen by how its text begins; names say nothing."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping

import orjson

from data.exports import chat_exporter, chat_exporter_html, data_package, json_lines, rest
from data.exports.source import HEAD, Item, Source

NAMES = (
    "DiscordChatExporter's JSON and HTML, Discord's data package (the zip, or its folder), "
    "Discord's own JSON, and JSON Lines"
)

Reader = Callable[[Source, int], Iterator[Item]]

_HTML = re.compile(rb"\s*(<!--.*?-->\s*)*<(!doctype html|html)", re.IGNORECASE | re.DOTALL)
_ONE_CHANNEL = re.compile(rb'\s*\{\s*"(guild|channel)"\s*:\s*\{')
_LIST = re.compile(rb"\s*\[\s*[\{\]]")
_THREADS = re.compile(rb'\s*\[\s*\{\s*"(thread|messages)"\s*:\s*[\{\[]')
_PACKAGE_JSON = re.compile(rb'\s*\[\s*(\]|\{\s*"(ID|Timestamp|Contents|Attachments)"\s*:)')
_PACKAGE_CSV = re.compile(rb'"?ID"?,"?Timestamp"?,"?Contents"?,"?Attachments"?\r?\n')
_PACKAGE_NAME = re.compile(r"(^|/)c?\d+/messages\.(json|csv)$", re.IGNORECASE)


def reader(source: Source, beside: Mapping[str, Source]) -> Reader | None:
    """What reads this file, None if it is no export. Raises `Broken` if it cannot be opened."""
    head = source.head()
    if _HTML.match(head):
        return chat_exporter_html.read if b"chatlog" in head else None
    if _ONE_CHANNEL.match(head):
        return chat_exporter.read
    if _PACKAGE_CSV.match(head):
        return functools.partial(data_package.read, rows=data_package.csv_rows, beside=beside)
    if _is_package_json(source, head):
        return functools.partial(data_package.read, rows=data_package.json_rows, beside=beside)
    if _LIST.match(head) and (list_reader := _list_reader(head)):
        return list_reader
    return json_lines.read if _has_message_line(head) else None


def _is_package_json(source: Source, head: bytes) -> bool:
    """An empty channel of a package is just a pair of brackets, so there the place decides."""
    match = _PACKAGE_JSON.match(head)
    return bool(match and (match[1] != b"]" or _PACKAGE_NAME.search(source.name)))


def _list_reader(head: bytes) -> Reader | None:
    if _THREADS.match(head):
        return rest.read_threads
    is_empty = head.split() in ([b"[]"], [b"[", b"]"])
    return rest.read_page if is_empty or (b'"author"' in head and b'"content"' in head) else None


def _has_message_line(head: bytes) -> bool:
    whole = head if len(head) < HEAD else head.rpartition(b"\n")[0]
    return any(map(_is_message, whole.splitlines()))


def _is_message(line: bytes) -> bool:
    try:
        fields = orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return isinstance(fields, dict) and fields.keys() >= {"id", "author_id", "content"}
