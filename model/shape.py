"""The sizes of a model, as its config.json or its GGUF file tells them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from bot.config import UserError
from model import catalog
from model.gguf_header import Array, Value

_CONFIG = {
    "vocabulary": "vocab_size",
    "hidden": "hidden_size",
    "layers": "num_hidden_layers",
    "intermediate": "intermediate_size",
    "heads": "num_attention_heads",
}
_GGUF = {
    "hidden": "embedding_length",
    "layers": "block_count",
    "intermediate": "feed_forward_length",
    "heads": "attention.head_count",
}
_LARGEST = 2**24  # no size of a model comes near


@dataclasses.dataclass(frozen=True)
class Shape:
    """A decoder of the Llama family; `is_tied` if one matrix is its input and output embedding."""

    vocabulary: int
    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    is_tied: bool

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self)[:-1]:
            value = getattr(self, field.name)
            if type(value) is not int or not 0 < value < _LARGEST:
                raise UserError(
                    f"A model's {field.name} cannot be {value!r}: what describes it is damaged, or "
                    "of a kind that is not known here."
                )

    @classmethod
    def of(cls, config: dict[str, Any]) -> "Shape":
        """From a Hugging Face config.json. Raises `UserError` for anything else."""
        text = config.get("text_config", config) if isinstance(config, dict) else None
        if not isinstance(text, dict):  # text_config: that of a model that also sees
            raise UserError("The model's config.json is damaged: it describes no model.")
        sizes = {name: text.get(key) for name, key in _CONFIG.items()}
        is_tied = text.get("tie_word_embeddings", True)  # left out where it is so
        return _filled(sizes, text.get("num_key_value_heads"), text.get("head_dim"), bool(is_tied))

    @classmethod
    def of_folder(cls, folder: Path) -> "Shape":
        """From the config.json of a Hugging Face model. Raises `UserError` where there is none."""
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise UserError(
                f"Cannot read the shape of {folder}: {error}. Give a folder with a Hugging Face "
                "model, or a GGUF file of it to --base-gguf."
            ) from None
        return cls.of(config)

    @classmethod
    def of_gguf(cls, path: Path) -> "Shape":
        """From what a GGUF file says of itself. Raises `UserError` for any other file."""
        header = catalog.check_gguf(path)
        told, family = header.metadata, header.text("general.architecture")
        sizes = {name: _size(told.get(f"{family}.{key}")) for name, key in _GGUF.items()}
        heads = _size(told.get(f"{family}.attention.head_count_kv"))
        width = _size(told.get(f"{family}.attention.key_length"))
        embedding = header.tensors.get("token_embd.weight")
        sizes["vocabulary"] = embedding.shape[-1] if embedding and embedding.shape else None
        return _filled(sizes, heads, width, "output.weight" not in header.tensors)

    @property
    def queries(self) -> int:
        """The width of a layer's queries, of all heads together."""
        return self.heads * self.head_dim

    @property
    def keys(self) -> int:
        """The same of its keys, and of its values."""
        return self.kv_heads * self.head_dim

    @property
    def embedding(self) -> int:
        """The numbers in one embedding."""
        return self.vocabulary * self.hidden

    @property
    def embeddings(self) -> int:
        """The numbers in the embeddings there are."""
        return self.embedding * (1 if self.is_tied else 2)

    @property
    def linears(self) -> list[tuple[int, int]]:
        """What each linear layer of a block reads and writes: q, k, v, o, gate, up, down."""
        into = [(self.hidden, self.queries), (self.hidden, self.keys), (self.hidden, self.keys)]
        wide = [(self.hidden, self.intermediate)] * 2
        return [*into, (self.queries, self.hidden), *wide, (self.intermediate, self.hidden)]

    @property
    def linear(self) -> int:
        """The numbers in all linear layers of all blocks."""
        return self.layers * sum(reads * writes for reads, writes in self.linears)

    @property
    def parameters(self) -> int:
        """All numbers but those of the norms, which are too few to count."""
        return self.linear + self.embeddings


SMALL = Shape(49152, 576, 30, 1536, 9, 3, 64, is_tied=True)  # `catalog.small_model`, unfetched


def _filled(sizes: dict[str, Any], kv_heads: Any, head_dim: Any, is_tied: bool) -> Shape:
    """With what may be left out: as many heads of keys, and heads that share the width."""
    heads, hidden = sizes["heads"], sizes["hidden"]
    if head_dim is None and type(heads) is type(hidden) is int and heads > 0:
        head_dim = hidden // heads
    kv_heads = heads if kv_heads is None else kv_heads
    return Shape(**sizes, kv_heads=kv_heads, head_dim=head_dim, is_tied=is_tied)


def _size(value: Value | None) -> Any:
    """A field's value, the largest where layers differ; None where there is none."""
    return max(value.values, default=None) if isinstance(value, Array) else value
