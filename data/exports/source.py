"""One file of an export, read in chunks, however it is packed and encoded."""

import codecs
import contextlib
import dataclasses
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import IO, cast

from storage.channels import Channel
from storage.messages import Message

CHUNK = 1 << 18
HEAD = 1 << 16
LONGEST_RECORD = 1 << 24  # Discord's largest messages are far below one MiB
MOST_UNPACKED = 200  # chat packs to a tenth; a thousandth is made to fill a disk
ALWAYS_FINE = 1 << 20


class Broken(Exception):
    """A file that cannot be read any further; its text says why, after the file's name.

    What is lost begins `at` this byte or line, where the reader knows better than its source.
    """

    at: int | None = None


class Skip(Exception):
    """Why one message is left out; its text holds nothing of the message."""


MALFORMED = "a field is missing or malformed"
NO_JSON = "not valid JSON in UTF-8"
FIELD_ERRORS = (KeyError, TypeError, ValueError, AttributeError, OverflowError)
"""What Python raises for a field that is missing or of another type than it should be."""

Item = Channel | Message | Skip
"""What a reader makes of a file, piece by piece."""


@dataclasses.dataclass(eq=False)
class Source:
    """A file or a member of a zip. `size` and `done` count its bytes as they are stored.

    `at` is what the reader is at, counted in `unit`s of the unpacked text.
    """

    name: str
    size: int
    open: Callable[[], IO[bytes]]
    unit: str = "byte"
    at: int = 0
    done: int = 0

    @property
    def place(self) -> str:
        """Where the reader is, for people: `general.json, byte 12,345`."""
        return f"{self.name}, {self.unit} {self.at:,}"

    def head(self) -> bytes:
        """The beginning of the text. Raises `Broken`, unless something could be read."""
        text = b""
        with contextlib.closing(self.chunks()) as chunks:
            try:
                while len(text) < HEAD:
                    text += next(chunks)
            except StopIteration:
                pass
            except Broken:
                if not text:
                    raise
        return text[:HEAD]

    def chunks(self) -> Generator[bytes, None, None]:
        """The text in UTF-8, without a byte order mark. Raises `Broken`."""
        self.at = written = 0
        try:
            with self.open() as stored:
                for chunk in _utf8(_unpacked(stored)):
                    self.done = stored.tell()
                    written += len(chunk)
                    if written > max(ALWAYS_FINE, MOST_UNPACKED * self.done):
                        raise Broken(f"unpacks to more than {MOST_UNPACKED} times its size")
                    if chunk:
                        yield chunk
        except EOFError:
            raise Broken("is cut short") from None
        except (OSError, zlib.error, zipfile.BadZipFile, RuntimeError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is damaged"
            raise Broken(f"cannot be read: {reason}") from None


def lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends; one without an end is the last. Raises `Broken`."""
    rest = b""
    for chunk in chunks:
        whole = (rest + chunk).splitlines(keepends=True)
        rest = b"" if whole[-1].endswith(b"\n") else whole.pop()
        yield from whole
        if len(rest) > LONGEST_RECORD:
            raise Broken(f"has a line of more than {LONGEST_RECORD >> 20} MiB")
    if rest:
        yield rest


def decoded(chunks: Iterable[bytes]) -> Iterator[str]:
    """The text; a byte that is no UTF-8 becomes a lone surrogate, which `storable` finds."""
    decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
    for chunk in chunks:
        yield decoder.decode(chunk)
    yield decoder.decode(b"", final=True)


def storable(text: str) -> str:
    """The text itself. Raises `Skip` where it is not Unicode that can be written as UTF-8."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Skip("text that is not valid UTF-8") from None
    return text


def _unpacked(stored: IO[bytes]) -> Iterator[bytes]:
    is_gzip = stored.read(2) == b"\x1f\x8b"
    stored.seek(0)
    # read1 hands over what came before a cut; read would lose up to a chunk of it
    plain = cast(io.BufferedReader, gzip.GzipFile(fileobj=stored) if is_gzip else stored)
    while chunk := plain.read1(CHUNK):
        yield chunk


def _utf8(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")("surrogatepass")
        yield decoder.decode(first).encode("utf-8", "surrogatepass")
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
        decoder.decode(b"", final=True)
        return
    yield first.removeprefix(codecs.BOM_UTF8)
    yield from chunks
