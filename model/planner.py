"""What a training needs of memory, counted from the model's shape before anything is loaded.

The sums are within 15 % of what this trainer was measured to take on a processor, of torchtune's
published peaks for 3 and 8 billion parameters and of Qwen's for four bits at 2048 tokens; Qwen's
other rows are up to a third off. No GPU of ours has confirmed it. The rows: see the tests.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

from bot.config import UserError
from model.recipe import DPO, ORPO, Recipe
from model.shape import Shape

Device = Literal["cuda", "mps", "cpu"]
Steps = list[tuple[str, dict[str, Any]]]  # each: what to tell a person, and what it changes

WEIGHT_BITS = {"nf4": 4.127, "bf16": 16.0, "float32": 32.0}  # nf4 with its scales, and theirs
STATE_BYTES = {"paged_adamw_8bit": 2, "adamw": 8}  # of a trained number: its two means
GPU_BYTES = 600_000_000  # of any process that uses the GPU
LIBRARY_BYTES = 510_000_000  # Python with torch and transformers
HOARD = 0.6  # of the activations: freed, but not yet given back by the C library
CHUNK_BYTES = 64 * 2**20  # as in `model/losses.py`
CHUNK_COPIES = 6  # of a chunk's logits, see `python -m benchmarks loss`
SHORT = 512  # as in `model/loading.py`
SHORTEST = 128  # tokens: the shortest that is worth proposing
USABLE = 0.875  # of a memory: other programs have the rest

PARTS = {
    "weights": "the base model",
    "adapters": "what is trained of it",
    "gradients": "where that should move",
    "optimiser": "how that moved so far",
    "activations": "what the layers compute, kept for the way back",
    "logits": "the scores of all words",
    "overhead": "the libraries, and memory that is not given back at once",
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """What memory depends on besides the model's shape.

    `embeddings` are trained by an adapter ("lora"), as copies ("whole") or not at all. For the
    backward pass each layer's input is "kept", "offloaded" to main memory, or, "", kept with all
    that the layer computed. `is_upcast`: embeddings and layers' inputs are held in 32 bits.
    """

    rank: int
    batch_size: int
    length: int
    weights: Literal["nf4", "bf16", "float32"] = "nf4"
    optimiser: Literal["paged_adamw_8bit", "adamw"] = "paged_adamw_8bit"
    embeddings: Literal["", "lora", "whole"] = ""
    checkpointing: Literal["", "kept", "offloaded"] = "kept"
    loss: Literal["chunked", "full"] = "chunked"
    has_pairs: bool = False
    has_dropout: bool = False
    is_upcast: bool = False
    device: Device = "cuda"

    @property
    def tokens(self) -> int:
        """At a time; a pair is two sequences. What DPO compares with was computed before."""
        return self.batch_size * self.length * (2 if self.has_pairs else 1)

    @property
    def width(self) -> int:
        """Bytes of a number that a layer computes."""
        return 4 if self.device == "cpu" else 2


@dataclasses.dataclass(frozen=True)
class Needs:
    """Bytes, by what they are for, and what they were counted from."""

    shape: Shape
    settings: Settings
    weights: int
    adapters: int
    gradients: int
    optimiser: int
    activations: int
    logits: int
    overhead: int

    @property
    def total(self) -> int:
        return sum(getattr(self, part) for part in PARTS)


def of_recipe(shape: Shape, recipe: Recipe, stage: str, backend: str, precision: str) -> Settings:
    """How `model/loading.py` and `model/loop.py` train by a recipe on a backend of theirs.

    Raises `UserError` for what they refuse.
    """
    if recipe.embeddings and shape.is_tied:
        raise UserError(
            "This model uses one matrix as its input and its output embedding. Trained apart they "
            "could not be merged again, so leave out --embeddings: the rest suffices."
        )
    in_four_bits, is_unsloth = precision == "nf4", backend == "unsloth"
    device: Device = "cpu" if backend == "cpu" else "mps" if backend == "mps" else "cuda"
    return Settings(
        rank=recipe.rank,
        batch_size=recipe.batch_size,
        length=recipe.max_seq_length,
        device=device,
        weights="nf4" if in_four_bits else "float32" if device == "cpu" else "bf16",
        optimiser="paged_adamw_8bit" if in_four_bits else "adamw",
        embeddings="" if not recipe.embeddings else "whole" if is_unsloth else "lora",
        checkpointing="" if device == "cpu" else "offloaded" if is_unsloth else "kept",
        has_pairs=stage in (DPO, ORPO),
        has_dropout=recipe.dropout > 0,
        is_upcast=in_four_bits and not is_unsloth,
    )


def peak(
    shape: Shape, recipe: Recipe, stages: Sequence[str], backend: str, precision: str
) -> Needs:
    """Of a recipe's stages, what the one needs that needs the most."""
    settings = (of_recipe(shape, recipe, stage, backend, precision) for stage in stages)
    return max((estimate(shape, one) for one in settings), key=lambda needs: needs.total)


def estimate(shape: Shape, settings: Settings) -> Needs:
    """What such a training needs at its peak."""
    trained = _trained(shape, settings)
    activations = _activations(shape, settings)
    return Needs(
        shape=shape,
        settings=settings,
        weights=_weights(shape, settings),
        adapters=4 * trained,
        gradients=4 * trained,
        optimiser=STATE_BYTES[settings.optimiser] * trained,
        activations=activations,
        logits=_logits(shape, settings),
        overhead=LIBRARY_BYTES + int(HOARD * activations)
        if settings.device == "cpu"
        else GPU_BYTES,
    )


def _weights(shape: Shape, settings: Settings) -> int:
    bits = WEIGHT_BITS[settings.weights]
    embedding_bytes = 4 if settings.is_upcast or settings.weights == "float32" else 2
    return int(shape.linear * bits / 8) + shape.embeddings * embedding_bytes


def _trained(shape: Shape, settings: Settings) -> int:
    """How many numbers are: an adapter of r has r for each that its layer reads or writes."""
    widths = shape.layers * sum(reads + writes for reads, writes in shape.linears)
    if settings.embeddings == "lora":
        widths += 2 * (shape.vocabulary + shape.hidden)
    copies = 2 * shape.embedding if settings.embeddings == "whole" else 0
    return settings.rank * widths + copies


def _activations(shape: Shape, settings: Settings) -> int:
    layer = _layer(shape, settings) * settings.width
    if not settings.checkpointing:
        return shape.layers * layer * settings.tokens
    kept = shape.hidden * (4 if settings.is_upcast else settings.width)
    kept = kept if settings.checkpointing == "kept" else 0
    return (shape.layers * kept + layer) * settings.tokens


def _layer(shape: Shape, settings: Settings) -> int:
    """How many numbers a layer keeps of a token until its backward pass.

    They are what both norms read and write; queries, keys, values and what attention makes of
    them; the gate before and after its function, the other branch and their product; and what the
    adapters' first halves write.
    """
    norms, attention = 4 * shape.hidden, 2 * shape.queries + 2 * shape.keys
    if (
        settings.device == "cpu" and settings.length <= SHORT
    ):  # not fused: keys for each head, all scores
        attention = 4 * shape.queries + shape.heads * settings.length
    kept = norms + attention + 4 * shape.intermediate + len(shape.linears) * settings.rank
    if settings.has_dropout:  # what was dropped, and what was left for the adapter
        kept += 2 * sum(reads for reads, _ in shape.linears)
    return kept


def _logits(shape: Shape, settings: Settings) -> int:
    """The logits, their logarithms and their gradient, as if all tokens were replies."""
    each = 12 if settings.device == "cpu" else 10
    needed = settings.tokens * shape.vocabulary * each
    if settings.loss == "chunked":
        needed = min(needed, CHUNK_COPIES * CHUNK_BYTES)
        if settings.embeddings == "lora":  # the head with its adapter, and the gradient of both
            needed += 12 * shape.embedding
    return needed


def describe(needs: Needs) -> list[str]:
    """What a training needs, for people, a line each."""
    shape, settings = needs.shape, needs.settings
    bits = {"nf4": "four", "bf16": "16", "float32": "32"}[settings.weights]
    s = "" if settings.batch_size == 1 else "s"
    rows = f"pair{s} of replies, each" if settings.has_pairs else f"example{s}"
    return [
        f"{shape.parameters / 1e6:,.0f} million numbers in {bits} bits, "
        f"{_trained(shape, settings) / 1e6:,.1f} million to train (rank {settings.rank})",
        f"{settings.batch_size} {rows} of up to {settings.length} tokens at a time",
        *(f"  {part:<12} {_size(getattr(needs, part)):>8}  {what}" for part, what in PARTS.items()),
        f"  {'together':<12} {_size(needs.total):>8}",
    ]


def fits(needs: Needs, memory_bytes: int, where: str = "this machine") -> None:
    """Raise `UserError`, saying why and what to change, unless a memory of so many bytes does."""
    usable = int(USABLE * memory_bytes)
    if needs.total <= usable:
        return
    part = max(PARTS, key=lambda name: getattr(needs, name))
    first, second = _ways_out(needs, usable)[:2]
    raise UserError(
        f"This training needs {_size(needs.total)} of memory; {where} has {_size(memory_bytes)}, "
        f"of which {_size(usable)} can be counted on. The largest part is {PARTS[part]}, "
        f"{_size(getattr(needs, part))}. Either {first}, or {second}."
    )


def _ways_out(needs: Needs, usable: int) -> list[str]:
    """What would make it fit: a change, or else several, or else another model or machine."""
    ways = [_least([steps], needs, usable) for steps in _changes(needs.settings)]
    several = "" if any(ways) else _least(_changes(needs.settings), needs, usable)
    other = ["take a smaller base model", "train on a machine with more memory"]
    return [way for way in (*ways, several, *other) if way]


def _least(changes: list[Steps], needs: Needs, usable: int) -> str:
    """How far to go with some changes, one after the other, until it fits; "" if it never does."""
    said: list[str] = []
    settings = needs.settings
    for steps in changes:
        for words, fields in steps:
            changed = dataclasses.replace(settings, **fields)
            total = estimate(needs.shape, changed).total
            if total <= usable:
                return f"{' and '.join([*said, words])} ({_size(total)})"
        said.append(words)
        settings = changed
    return ""


def _changes(settings: Settings) -> list[Steps]:
    """What a person can change, each from the least to the most."""
    changes: list[Steps] = []
    if settings.embeddings:
        changes.append([("leave out --embeddings", {"embeddings": ""})])
    if settings.device == "cuda" and settings.weights != "nf4":
        fields = {"weights": "nf4", "optimiser": "paged_adamw_8bit", "is_upcast": True}
        changes.append([("set --precision nf4", fields)])
    for option, name, least in (
        ("--batch-size", "batch_size", 1),
        ("--max-seq-length", "length", SHORTEST),
    ):
        sizes = _halves(getattr(settings, name), least)
        changes.append([(f"set {option} {size}", {name: size}) for size in sizes])
    return [steps for steps in changes if steps]


def _halves(size: int, least: int) -> list[int]:
    """Half of it, a quarter, and so on."""
    return [] if size // 2 < least else [size // 2, *_halves(size // 2, least)]


def _size(count: int) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.0f} MB"
