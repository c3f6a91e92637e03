"""A tiny model: random weights, and the first words of the small model's vocabulary."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt

LAYERS, WIDTH, HIDDEN, HEADS, KV_HEADS, HEAD, WORDS = 2, 256, 512, 4, 2, 64, 4096
Array = npt.NDArray[Any]
_TEMPLATE = "tokenizer.chat_template"
_VOCABULARY = ("tokenizer.", "general.license")


def write(
    path: Path,
    vocabulary_of: Path,
    architecture: str = "llama",
    seed: int = 0,
    chat_template: str | None = None,
    is_tied: bool = True,
) -> Path:
    """Write the GGUF of a llama or qwen2 with random float16 matrices.

    `chat_template` replaces the other model's; an empty one leaves it out.
    """
    reader = gguf.GGUFReader(vocabulary_of)
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("tiny")
    writer.add_block_count(LAYERS)
    writer.add_context_length(1024)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(HEAD)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    words = reader.fields["tokenizer.ggml.tokens"].contents(slice(WORDS))
    for field in reader.fields.values():
        if chat_template is not None and field.name == _TEMPLATE:
            continue
        if field.name.startswith(_VOCABULARY):
            of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, _cut(field, words), field.types[0], sub_type=of)
    if chat_template:
        writer.add_chat_template(chat_template)
    writer.add_vocab_size(WORDS)
    for name, values in _tensors(WORDS, architecture, is_tied, np.random.default_rng(seed)):
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _cut(field: gguf.ReaderField, words: list[str]) -> Any:
    """The field's value for the words that are kept."""
    if field.name == "tokenizer.ggml.merges":
        known = set(words)
        return [pair for pair in field.contents() if pair.replace(" ", "", 1) in known]
    if field.name in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type"):
        return field.contents(slice(WORDS))
    return field.contents()


def _tensors(
    words: int, architecture: str, is_tied: bool, dice: np.random.Generator
) -> Iterator[tuple[str, Array]]:
    def matrix(outputs: int, inputs: int, gain: float = 1.0) -> Array:
        return dice.normal(0, gain / math.sqrt(inputs), (outputs, inputs)).astype(np.float16)

    def vector(size: int, around: float) -> Array:
        return dice.normal(around, 0.1, size).astype(np.float32)

    yield "token_embd.weight", matrix(words, WIDTH, gain=2.0)
    yield "output_norm.weight", vector(WIDTH, 1.0)
    if not is_tied:
        yield "output.weight", matrix(words, WIDTH, gain=2.0)
    for block in range(LAYERS):
        part = f"blk.{block}."
        yield part + "attn_norm.weight", vector(WIDTH, 1.0)
        yield part + "ffn_norm.weight", vector(WIDTH, 1.0)
        for name, outputs in (("q", HEADS * HEAD), ("k", KV_HEADS * HEAD), ("v", KV_HEADS * HEAD)):
            yield f"{part}attn_{name}.weight", matrix(outputs, WIDTH)
            if architecture == "qwen2":
                yield f"{part}attn_{name}.bias", vector(outputs, 0.0)
        yield part + "attn_output.weight", matrix(WIDTH, HEADS * HEAD)
        yield part + "ffn_gate.weight", matrix(HIDDEN, WIDTH)
        yield part + "ffn_up.weight", matrix(HIDDEN, WIDTH)
        yield part + "ffn_down.weight", matrix(WIDTH, HIDDEN)
