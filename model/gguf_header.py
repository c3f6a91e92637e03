"""What a GGUF file says of itself, read within bounds before llama.cpp sees the file.

llama.cpp is native code, and hostile files have had it write where it must not. Here every count
and length is held against the file's size first. The format, versions 2 and 3, is described in
ggml's docs/gguf.md.
"""

import dataclasses
import math
import mmap
import os
import struct
from collections.abc import Mapping
from pathlib import Path

from bot.config import UserError

MOST_BYTES = 2**26  # of a header; those of the largest vocabularies take a quarter
MOST_ENTRIES = 2**16  # keys, and tensors; large models have a few thousand
MOST_TEXTS = 2**21  # in all lists together; the largest vocabularies have 800,000 with merges
KEPT = 1024  # numbers of a list: one for each layer, never one for each token
DIMENSIONS = 4
ALIGNMENT = 32  # unless the file says otherwise
_ALIGNMENTS = [2**power for power in range(3, 17)]

UINT8, INT8, UINT32, INT32, FLOAT32, TEXT, ARRAY = 0, 1, 4, 5, 6, 8, 9  # the format's numbers
_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"}
_NUMBERS |= {10: "Q", 11: "q", 12: "d"}
_READ = {kind: struct.Struct(f"<{letter}") for kind, letter in _NUMBERS.items()}
_SMALL, _LARGE = _READ[UINT32], _READ[10]

# lists that go with the vocabulary, and what they may hold
_FOR_EACH = ("scores", "token_type")
_OF_TOKENS = {
    "tokens": (TEXT,),
    "merges": (TEXT,),
    "scores": (FLOAT32,),
    "token_type": (INT32, UINT32),
    "suppress_tokens": (INT32, UINT32),
    "precompiled_charsmap": (UINT8, INT8),
}

# numbers in a block -> types of tensors with such blocks, and a block's bytes: ggml's `type_traits`
_BLOCKS = {
    1: {0: 4, 1: 2, 24: 1, 25: 2, 26: 4, 27: 8, 28: 8, 30: 2},
    32: {2: 18, 3: 20, 6: 22, 7: 24, 8: 34, 9: 36, 20: 18, 39: 17},
    64: {40: 36, 42: 18},
    128: {41: 18},
    256: {10: 84, 11: 110, 12: 144, 13: 176, 14: 210, 15: 292, 16: 66, 17: 74, 18: 98, 19: 50}
    | {21: 110, 22: 82, 23: 136, 29: 56, 34: 54, 35: 66},
}
BLOCKS = {kind: (block, size) for block, kinds in _BLOCKS.items() for kind, size in kinds.items()}


@dataclasses.dataclass(frozen=True)
class Array:
    """A list: the type and number of its elements, and these where they are few numbers."""

    kind: int
    length: int
    values: tuple[float, ...] = ()


Value = str | int | float | Array


@dataclasses.dataclass(frozen=True)
class Tensor:
    """`shape` begins with the length of a row; `offset` counts from where all data begins."""

    shape: tuple[int, ...]
    kind: int
    offset: int

    @property
    def elements(self) -> int:
        """How many numbers it has."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Its bytes."""
        block, size = BLOCKS[self.kind]
        return self.elements // block * size


@dataclasses.dataclass(frozen=True)
class Header:
    """All that stands before the weights; both by name, in the file's order."""

    metadata: Mapping[str, Value]
    tensors: Mapping[str, Tensor]

    def text(self, key: str) -> str:
        """A text of the metadata; "" where there is none of that name."""
        value = self.metadata.get(key)
        return value if isinstance(value, str) else ""


class _Damaged(Exception):
    """Why a file is refused."""


def read(path: Path) -> Header:
    """The header of a GGUF file that is there whole. Raises `UserError` for any other file."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:  # which cannot be mapped
                raise _Damaged("it is empty")
            length = min(size, MOST_BYTES)
            with mmap.mmap(file.fileno(), length, access=mmap.ACCESS_READ) as data:
                return _header(_Bytes(data), size)
    except _Damaged as error:
        raise UserError(
            f"The model {path} is damaged or incomplete: {error}. "
            "Delete it and fetch or train it again."
        ) from None
    except OSError as error:
        raise UserError(
            f"Cannot read the model {path}: {error.strerror}. Check the disk and its permissions."
        ) from None


class _Bytes:
    """Hands out what comes next. Raises `_Damaged` where there is no more."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data, self._texts = data, 0
        self.at = 0

    def skip(self, count: int) -> int:
        """Pass so many bytes; returns where they began."""
        start = self.at
        if count > len(self._data) - start:
            is_cut = len(self._data) < MOST_BYTES
            raise _Damaged("it ends too early" if is_cut else "what it says of itself has no end")
        self.at += count
        return start

    def number(self, kind: struct.Struct) -> int:
        value: int = kind.unpack_from(self._data, self.skip(kind.size))[0]
        return value

    def numbers(self, letter: str, count: int) -> tuple[float, ...]:
        kind = struct.Struct(f"<{count}{letter}")
        return kind.unpack_from(self._data, self.skip(kind.size))

    def text(self) -> str:
        start = self.skip(self.number(_LARGE))
        return self._data[start : self.at].decode("utf-8", "replace")

    def skip_texts(self, count: int) -> None:
        self._texts += count
        if self._texts > MOST_TEXTS:
            raise _Damaged(f"its lists have {self._texts:,} texts")
        data, at, end = self._data, self.at, len(self._data) - _LARGE.size
        length_at = _LARGE.unpack_from  # the loop is most of the time that a header takes
        for _ in range(count):
            if at > end:
                raise _Damaged("it ends too early")
            at += _LARGE.size + length_at(data, at)[0]
        self.skip(at - self.at)


def _header(data: _Bytes, size: int) -> Header:
    data.skip(4)  # "GGUF"
    _check_version(data.number(_SMALL))
    tensor_count, key_count = data.number(_LARGE), data.number(_LARGE)
    for count, what in ((tensor_count, "tensors"), (key_count, "keys")):
        if count > MOST_ENTRIES:
            raise _Damaged(f"it has {count:,} {what}")
    metadata: dict[str, Value] = {}
    alignment = ALIGNMENT
    for _ in range(key_count):
        key, kind = _new(data.text(), metadata), data.number(_SMALL)
        metadata[key] = value = _value(data, kind)
        if key == "general.alignment":
            alignment = _alignment(kind, value)
    _check_vocabulary(metadata)
    tensors: dict[str, Tensor] = {}
    for _ in range(tensor_count):
        name = _new(data.text(), tensors)
        tensors[name] = _tensor(data, name)
    _check_places(tensors, data.at, alignment, size)
    return Header(metadata, tensors)


def _check_version(version: int) -> None:
    if version and not version & 0xFFFF:
        raise _Damaged("it was made for computers of the other byte order (big endian)")
    if version not in (2, 3):
        raise _Damaged(f"it is of version {version} of the format, and 2 and 3 are known")


def _new(name: str, known: Mapping[str, object]) -> str:
    if name in known:
        raise _Damaged(f"it has two entries named {_shown(name)}")
    return name


def _shown(name: str) -> str:
    """As it may stand in a sentence, whatever is in it."""
    return ascii(name[:60])


def _value(data: _Bytes, kind: int) -> Value:
    if kind == TEXT:
        return data.text()
    if kind == ARRAY:
        return _array(data)
    if kind not in _READ:
        raise _Damaged(f"it has a value of the unknown type {kind}")
    return data.number(_READ[kind])


def _array(data: _Bytes) -> Array:
    kind, length = data.number(_SMALL), data.number(_LARGE)
    if kind == TEXT:
        data.skip_texts(length)
    elif kind not in _READ:  # llama.cpp has no lists of lists either
        raise _Damaged(f"it has a list of the unusable type {kind}")
    elif length <= KEPT:
        return Array(kind, length, data.numbers(_NUMBERS[kind], length))
    else:
        data.skip(length * _READ[kind].size)
    return Array(kind, length)


def _alignment(kind: int, value: Value) -> int:
    if kind == UINT32 and isinstance(value, int) and value in _ALIGNMENTS:
        return value
    raise _Damaged(f"its alignment cannot be {str(value)[:20]}")


def _check_vocabulary(metadata: Mapping[str, Value]) -> None:
    """What llama.cpp reads for each token has to be there, as wide as it reads it."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    length = tokens.length if isinstance(tokens, Array) else 0
    for name, kinds in _OF_TOKENS.items():
        found = metadata.get(f"tokenizer.ggml.{name}")
        if found is not None and not (isinstance(found, Array) and found.kind in kinds):
            raise _Damaged(f"its {name} are not of the type that they have to be")
        if isinstance(found, Array) and name in _FOR_EACH and found.length != length:
            raise _Damaged(f"it has {found.length:,} {name} for {length:,} tokens")


def _tensor(data: _Bytes, name: str) -> Tensor:
    dimensions = data.number(_SMALL)
    if dimensions > DIMENSIONS:
        raise _Damaged(f"its tensor {_shown(name)} has {dimensions:,} dimensions")
    shape = tuple(data.number(_LARGE) for _ in range(dimensions))
    kind, offset = data.number(_SMALL), data.number(_LARGE)
    if kind not in BLOCKS:
        raise _Damaged(f"its tensor {_shown(name)} is of the unknown type {kind}")
    if 0 in shape or (shape or (1,))[0] % BLOCKS[kind][0]:
        raise _Damaged(f"its tensor {_shown(name)} cannot be of the shape {shape}")
    return Tensor(shape, kind, offset)


def _check_places(tensors: Mapping[str, Tensor], end: int, alignment: int, size: int) -> None:
    """Each tensor begins where the one before it ends, as llama.cpp wants it, and all are there."""
    start, expected = _aligned(end, alignment), 0
    for name, tensor in tensors.items():
        if tensor.offset != expected:
            raise _Damaged(f"its tensor {_shown(name)} is not where it has to be")
        if start + expected + tensor.size > size:
            raise _Damaged(f"its tensor {_shown(name)} does not end within the file")
        expected = _aligned(expected + tensor.size, alignment)


def _aligned(place: int, alignment: int) -> int:
    return -(-place // alignment) * alignment
