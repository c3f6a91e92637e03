"""Values out of a JSON file of any size, one at a time, each as its raw bytes.

A parser that decodes the file as a whole stops for good at the first byte that is no UTF-8, and
yajl turns a lone surrogate into a question mark. Here brackets and strings are only counted, so a
message that cannot be decoded is one message lost, and its place in the file is known exactly.
"""

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, TypeVar

import orjson

from data.exports.source import FIELD_ERRORS, LONGEST_RECORD, MALFORMED, NO_JSON, Broken, Skip

_SPACE = re.compile(rb"\s*")
_SCALAR = re.compile(rb"[^\s,\]}]*")
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_UP_TO_BRACKET = re.compile(
    rb'[^"{}\[\]]*(?:"[^"\\]*(?:\\.[^"\\]*)*"[^"{}\[\]]*)*', re.DOTALL
)  # strings are stepped over, whatever brackets they hold

T = TypeVar("T")
Record = tuple[str, int, bytes]
"""Path, byte in the text, and raw JSON of a value."""


def records(chunks: Iterable[bytes], wanted: Collection[str]) -> Iterator[Record]:
    """Every value at one of the `wanted` paths; `messages.item` is each item of key `messages`.

    Raises `Broken` where the text ends too early or is no JSON any more.
    """
    scanner = _Scanner(chunks)
    try:
        yield from _walk(scanner, "", wanted)
    except Broken as broken:
        broken.at = scanner.position
        raise


def converted(raw: bytes, convert: Callable[[Any], T]) -> T | Skip:
    """What `convert` makes of raw JSON, or why it cannot."""
    try:
        return convert(orjson.loads(raw))
    except Skip as skip:
        return skip
    except orjson.JSONDecodeError:
        return Skip(NO_JSON)
    except FIELD_ERRORS:
        return Skip(MALFORMED)


def _walk(scanner: "_Scanner", path: str, wanted: Collection[str]) -> Iterator[Record]:
    first = scanner.peek()
    if path in wanted:
        yield path, scanner.position, scanner.take()
    elif first in (b"{", b"[") and any(name.startswith(path) for name in wanted):
        yield from _children(scanner, path, wanted)
    else:
        scanner.take()


def _children(scanner: "_Scanner", path: str, wanted: Collection[str]) -> Iterator[Record]:
    is_object = scanner.skip() == b"{"
    closing = b"}" if is_object else b"]"
    if scanner.peek() == closing:
        scanner.skip()
        return
    while True:
        name = scanner.key() if is_object else "item"
        yield from _walk(scanner, f"{path}.{name}" if path else name, wanted)
        separator = scanner.skip()
        if separator == closing:
            return
        if separator != b",":
            raise Broken("is no valid JSON")


class _Scanner:
    """A window on the text, moved forward chunk by chunk."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = iter(chunks)
        self._window = b""
        self._passed = 0  # bytes before the window
        self._at = 0

    @property
    def position(self) -> int:
        return self._passed + self._at

    def peek(self) -> bytes:
        """The next byte that is no space, which stays."""
        while True:
            if space := _SPACE.match(self._window, self._at):
                self._at = space.end()
            if self._at < len(self._window):
                return self._window[self._at : self._at + 1]
            self._widen()

    def skip(self) -> bytes:
        """The next byte that is no space, left behind."""
        byte = self.peek()
        self._at += 1
        return byte

    def key(self) -> str:
        """An object's key and its colon, left behind."""
        if self.peek() != b'"':
            raise Broken("is no valid JSON")
        raw = self.take()
        if self.skip() != b":":
            raise Broken("is no valid JSON")
        try:
            return str(orjson.loads(raw))
        except orjson.JSONDecodeError:
            raise Broken("is no valid JSON") from None

    def take(self) -> bytes:
        """The value that starts at the next byte, left behind."""
        first = self.peek()
        if first in (b"{", b"["):
            end = self._container_end()
        else:
            end = self._simple_end(_STRING if first == b'"' else _SCALAR)
        value = self._window[self._at : end]
        self._at = end
        return value

    def _simple_end(self, pattern: re.Pattern[bytes]) -> int:
        while True:
            match = pattern.match(self._window, self._at)
            if match and match.end() < len(self._window):
                if match.end() == self._at:
                    raise Broken("is no valid JSON")
                return match.end()
            self._widen()

    def _container_end(self) -> int:
        depth, at = 1, self._at + 1
        while depth:
            if span := _UP_TO_BRACKET.match(self._window, at):
                at = span.end()
            byte = self._window[at : at + 1]
            if not byte or byte == b'"':  # the window ends here, or within a string
                at -= self._widen()
                continue
            depth += 1 if byte in (b"{", b"[") else -1
            at += 1
        return at

    def _widen(self) -> int:
        """Read on, forgetting what was left behind; how many bytes were forgotten."""
        forgotten = self._at
        if len(self._window) - forgotten > LONGEST_RECORD:
            raise Broken(f"has a value of more than {LONGEST_RECORD >> 20} MiB")
        chunk = next(self._chunks, b"")
        if not chunk:
            raise Broken("is cut short")
        self._window = self._window[forgotten:] + chunk
        self._passed += forgotten
        self._at = 0
        return forgotten
