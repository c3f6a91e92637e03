"""What a GGUF file may say of itself, and what hostile ones say: read quickly, or a sentence."""

import contextlib
import ctypes
import random
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import gguf
import numpy as np
import pytest
from llama_cpp import llama_cpp as library

from bot.config import UserError
from model import catalog, gguf_header
from model.gguf_header import Array
from tests.model import tiny

HUGE = (2**31, 2**32 - 1, 2**62, 2**63, 2**64 - 1)
SLOWEST_SECONDS = 0.5  # of the processor's time, which others do not lengthen


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A whole GGUF with every kind of value, 2 KB of it header."""
    path = tmp_path / "small.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    for kind in gguf.GGUFValueType:
        if kind not in (gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.STRING):
            writer.add_key_value(f"one.{kind.name}", 1, kind)
            writer.add_key_value(f"some.{kind.name}", [1, 0, 1], gguf.GGUFValueType.ARRAY, kind)
    writer.add_chat_template("{{ messages }}")
    writer.add_token_list([f"w{number}" for number in range(16)])
    writer.add_token_scores([0.5] * 16)
    writer.add_token_types([1] * 16)
    for name, kind in (("token_embd.weight", np.float32), ("blk.0.attn_q.weight", np.float16)):
        writer.add_tensor(name, np.ones((4, 32), kind))
    writer.add_tensor("output_norm.weight", np.ones(33, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


def number(key: str, value: int) -> bytes:
    return text(key) + struct.pack("<II", gguf_header.UINT32, value)


def array(key: str, kind: int, length: int, content: bytes = b"") -> bytes:
    return text(key) + struct.pack("<IIQ", gguf_header.ARRAY, kind, length) + content


def tensor(name: str, *shape: int, kind: int = 0, offset: int = 0) -> bytes:
    place = struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)
    return text(name) + place


def header(
    keys: tuple[bytes, ...] = (),
    tensors: tuple[bytes, ...] = (),
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    counted = counts or (len(tensors), len(keys))
    return b"GGUF" + struct.pack("<IQQ", version, *counted) + b"".join((*keys, *tensors))


def refusal(path: Path, content: bytes) -> str:
    """Why it is refused; "" where it is not. Anything but a `UserError` fails, and so does time."""
    path.write_bytes(content)
    started = time.process_time()
    try:
        catalog.check_gguf(path)
    except UserError as error:
        return str(error)
    finally:
        assert time.process_time() - started < SLOWEST_SECONDS
    return ""


def test_a_header_says_what_ggufs_own_reader_says(tiny_model: Path, small: Path) -> None:
    for path in (tiny_model, small):
        found, expected = gguf_header.read(path), gguf.GGUFReader(path)
        told = {name: field for name, field in expected.fields.items() if name[:5] != "GGUF."}
        assert list(found.metadata) == list(told)
        for name, value in found.metadata.items():
            if isinstance(value, Array):
                assert value.kind == told[name].types[-1]
                assert value.length == len(told[name].contents())
                assert not value.values or list(value.values) == told[name].contents()
            else:
                assert value == told[name].contents()
        assert [
            (name, list(one.shape), one.kind, one.size) for name, one in found.tensors.items()
        ] == [(one.name, list(one.shape), one.tensor_type, one.n_bytes) for one in expected.tensors]
        first = expected.tensors[0].data_offset
        for one, theirs in zip(found.tensors.values(), expected.tensors, strict=True):
            assert one.offset == theirs.data_offset - first


def test_blocks_are_as_large_as_llama_cpp_has_them() -> None:
    numbers, size = library._lib.ggml_blck_size, library._lib.ggml_type_size
    numbers.restype, size.restype = ctypes.c_int64, ctypes.c_size_t
    known = {kind: (numbers(kind), size(kind)) for kind in range(library.GGML_TYPE_COUNT)}
    assert {kind: block for kind, block in known.items() if block[0]} == gguf_header.BLOCKS


def test_a_large_vocabulary_is_passed_quickly(tmp_path: Path) -> None:
    words = b"".join(text(f"word{number}") for number in range(151_936))
    path = tmp_path / "large.gguf"
    path.write_bytes(header((array("tokenizer.ggml.tokens", 8, 151_936, words),)))
    took = []
    for _ in range(5):
        started = time.process_time()
        found = gguf_header.read(path)
        took.append(time.process_time() - started)
    assert found.metadata["tokenizer.ggml.tokens"] == Array(gguf_header.TEXT, 151_936)
    assert min(took) < 0.2


GOOD = (tensor("a", 8), tensor("b", 8, offset=32))
TOKENS = array("tokenizer.ggml.tokens", 8, 2, text("a") + text("b"))


@pytest.mark.parametrize(
    ("content", "named"),
    [
        *((header(version=version), "version") for version in (0, 1, 4, 2**31 + 1)),
        (header(version=3 << 24), "big endian"),
        *((header(counts=(count, 0)), "tensors") for count in HUGE),
        *((header(counts=(0, count)), "keys") for count in HUGE),
        (header(counts=(1, 0)), "too early"),
        (header(counts=(0, 1)), "too early"),
        *((header((struct.pack("<Q", count),)), "too early") for count in HUGE),
        *((header((array("a", 8, count),)), "too early|texts") for count in HUGE),
        *((header((array("a", 4, count),)), "too early") for count in HUGE),
        (header((array("a", 8, 1, struct.pack("<Q", 2**63)),)), "too early"),
        (header((array("a", 9, 1, struct.pack("<IQ", 9, 1) * 9),)), "unusable type 9"),
        (header((array("a", 13, 1),)), "unusable type 13"),
        (header((text("a") + struct.pack("<I", 13),)), "unknown type 13"),
        (header((number("a", 1), number("a", 2))), "two entries"),
        (header(tensors=(tensor("a", 8), tensor("a", 8, offset=32))), "two entries"),
        *(
            (header((number("general.alignment", value),), GOOD), "alignment")
            for value in (0, 1, 4, 33, 2**32 - 1)
        ),
        (header((text("general.alignment") + struct.pack("<Iq", 11, 32),)), "alignment"),
        (header((array("general.alignment", 4, 0),)), "alignment"),
        (header(tensors=(tensor("a", 1, 1, 1, 1, 1),)), "5 dimensions"),
        (header(tensors=(text("a") + struct.pack("<I", 2**32 - 1),)), "dimensions"),
        (header(tensors=(tensor("a", 2**32, 2**32),)), "within the file"),
        (header(tensors=(tensor("a", 2**63, 2**63, 2**63, 2**63),)), "within the file"),
        (header(tensors=(tensor("a", 2**62 + 8, 4),)), "within the file"),
        (header(tensors=(tensor("a", 0),)), "of the shape"),
        (header(tensors=(tensor("a", 33, kind=2),)), "of the shape"),
        *(
            (header(tensors=(tensor("a", 8, kind=kind),)), "unknown type")
            for kind in (4, 31, 43, 2**32 - 1)
        ),
        *(
            (header(tensors=(tensor("a", 8), tensor("b", 8, offset=place))), "where it has to be")
            for place in (0, 1, 33, 64, 2**64 - 32)
        ),
        (header(tensors=(tensor("a", 8, offset=2**64 - 64),)), "where it has to be"),
        (header(tensors=(tensor("a", 8), tensor("b", 4096, offset=32))), "within the file"),
        (header((array("tokenizer.ggml.scores", 6, 1, bytes(4)), TOKENS)), "1 scores for 2 tokens"),
        (header((array("tokenizer.ggml.scores", 0, 2, bytes(2)), TOKENS)), "scores are not"),
        (header((array("tokenizer.ggml.token_type", 5, 9, bytes(36)),)), "9 token_type for 0"),
        (header((array("tokenizer.ggml.suppress_tokens", 0, 1, b"1"),)), "suppress_tokens are not"),
        (header((array("tokenizer.ggml.tokens", 0, 1, b"1"),)), "tokens are not"),
        (header((number("split.count", 3),)), "one of several parts"),
    ],
)
def test_a_hostile_header_is_a_sentence(tmp_path: Path, content: bytes, named: str) -> None:
    filled = content + (bytes(256) if "within" in named or "to be" in named else b"")
    said = refusal(tmp_path / "hostile.gguf", filled)
    assert any(one in said for one in named.split("|")), said


def test_what_is_whole_is_taken(tmp_path: Path) -> None:
    assert not refusal(tmp_path / "a.gguf", header((TOKENS,), GOOD) + bytes(96))
    assert not refusal(tmp_path / "b.gguf", header(version=2))
    aligned = header((number("general.alignment", 64),), (tensor("a", 1),)) + bytes(128)
    assert not refusal(tmp_path / "c.gguf", aligned)


def test_names_from_the_file_cannot_steer_a_terminal(tmp_path: Path) -> None:
    name = "\x1b[2J\u202e" + "x" * 5000
    said = refusal(tmp_path / "m.gguf", header(tensors=(tensor(name, 8), tensor(name, 8))))
    assert said.isprintable() and len(said) < 400


def test_a_file_cut_anywhere_is_refused(small: Path, tmp_path: Path) -> None:
    whole = small.read_bytes()
    last = gguf.GGUFReader(small).tensors[-1]
    end = last.data_offset + last.n_bytes
    for length in range(end):
        assert refusal(tmp_path / "cut.gguf", whole[:length])
    assert not refusal(tmp_path / "cut.gguf", whole[:end])


def test_a_huge_count_anywhere_is_a_sentence_or_does_no_harm(small: Path, tmp_path: Path) -> None:
    """At every place of the header, so in every field that counts something, too."""
    whole, begin = small.read_bytes(), gguf.GGUFReader(small).data_offset
    path = tmp_path / "huge.gguf"
    refused = 0
    for place in range(4, begin - 8):
        value = struct.pack("<Q", (2**63, len(whole) + 1)[place % 2])
        refused += bool(refusal(path, whole[:place] + value + whole[place + 8 :]))
    assert refused > begin / 2


def flip(data: bytearray, place: int, dice: random.Random) -> None:
    data[place] ^= 1 << dice.randrange(8)


def insert(data: bytearray, place: int, dice: random.Random) -> None:
    data.insert(place, dice.randrange(256))


def drop(data: bytearray, place: int, dice: random.Random) -> None:
    del data[place]


@pytest.mark.parametrize("damage", [flip, insert, drop])
def test_random_damage_is_a_sentence_or_does_no_harm(
    small: Path, tmp_path: Path, damage: Callable[[bytearray, int, random.Random], None]
) -> None:
    whole, begin = small.read_bytes(), gguf.GGUFReader(small).data_offset
    dice, path = random.Random(7), tmp_path / "damaged.gguf"
    refused = 0
    for _ in range(800):
        head = bytearray(whole[:begin])
        for _ in range(dice.randrange(1, 4)):
            damage(head, dice.randrange(4, len(head)), dice)
        refused += bool(refusal(path, bytes(head) + whole[begin:]))
    assert refused > 100


@pytest.mark.parametrize(
    "content",
    [
        header((array("a", 8, gguf_header.MOST_TEXTS),)),
        header((array("a", 8, 2**28),)),
        header((array("a", 0, 2**30),)),
        header((text("a") + struct.pack("<IQ", 8, 2**30),)),
        header(counts=(0, gguf_header.MOST_ENTRIES)),
    ],
)
def test_memory_and_time_stay_bounded(tmp_path: Path, content: bytes) -> None:
    """In a file that is large enough to hold what it claims to hold."""
    path = tmp_path / "sparse.gguf"
    path.write_bytes(content)
    with path.open("r+b") as file:
        file.truncate(2**32)
    tracemalloc.start()
    started = time.process_time()
    with contextlib.suppress(UserError):
        gguf_header.read(path)
    took, (_, peak) = time.process_time() - started, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
    assert took < 10  # most of it is the watching of memory


def test_every_model_that_is_made_here_is_taken(tiny_model: Path, tmp_path: Path) -> None:
    assert gguf_header.read(tiny_model).text("general.architecture") == "llama"
    untied = tiny.write(tmp_path / "q.gguf", tiny_model, "qwen2", is_tied=False)
    assert "output.weight" in gguf_header.read(untied).tensors
