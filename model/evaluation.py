"""How well a model foresees what members really said: bits a character of held-out replies.

    bits per character = sum of -log2 p(token) / sum of characters
    perplexity         = exp(sum of -ln p(token) / number of tokens)

over the tokens of the replies, the one that ends each included, given the prompt that the bot would
have had. Characters do not depend on a tokeniser, so models of different families can be compared.
"""

import dataclasses
import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt
from llama_cpp import Llama

from model import examples, resident
from model.examples import Example, Tokens

RESAMPLES = 2000

Array = npt.NDArray[Any]


@dataclasses.dataclass(frozen=True)
class Score:
    """What a model made of each reply: bits it cost, its tokens and its characters."""

    bits: Array
    tokens: Array
    characters: Array

    @property
    def bits_per_char(self) -> float:
        return float(self.bits.sum() / self.characters.sum())

    @property
    def perplexity(self) -> float:
        return float(2 ** (self.bits.sum() / self.tokens.sum()))


def sample(rows: Sequence[Example], limit: int, seed: int) -> list[Example]:
    """At most `limit` of the rows that have text, drawn evenly, in their own order."""
    rows = [row for row in rows if row.reply]
    if len(rows) <= limit:
        return rows
    return [rows[number] for number in sorted(random.Random(seed).sample(range(len(rows)), limit))]


def score(model: Llama, rows: Sequence[Example], progress: Callable[[int], None]) -> Score:
    """Score the rows; a reply that alone overfills the context counts with 0 bits and characters.

    `progress` is called with the number of rows done.
    """
    reader = _Reader(model)
    encoded = examples.tokenise(rows, resident.encoder(model), model.n_ctx())
    found = []
    for done, (row, tokens) in enumerate(zip(rows, encoded, strict=True), 1):
        found.append(
            (reader.bits(tokens), tokens.reply_length, len(row.reply)) if tokens else _NONE
        )
        progress(done)
    bits, lengths, characters = (np.array(column) for column in zip(*found, strict=True))
    return Score(bits, lengths, characters)


def interval(
    model: Score, base: Score, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """95 % of the bootstrap's differences, model minus base, in bits per character.

    Whole examples are drawn again, for both models alike (paired percentile bootstrap).
    """
    dice = np.random.default_rng(seed)
    drawn = dice.integers(0, len(model.bits), (resamples, len(model.bits)))
    gained = (model.bits - base.bits)[drawn].sum(1) / model.characters[drawn].sum(1)
    low, high = np.percentile(gained, (2.5, 97.5))
    return float(low), float(high)


_NONE = (0.0, 0, 0)


class _Reader:
    """Feeds llama.cpp by hand, asking for the logits of reply tokens only.

    What a prompt has in common with the one before it is not computed again.
    """

    def __init__(self, model: Llama) -> None:
        self._context = model.ctx
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._vocabulary = model.n_vocab()
        self._batch_size = model.n_batch
        self._seen: list[int] = []

    def bits(self, tokens: Tokens) -> float:
        """What the reply costs: the sum of -log2 p over its tokens."""
        ids, first = tokens.ids, len(tokens.ids) - tokens.reply_length
        shared = min(_common(self._seen, ids), first - 1)
        llama_cpp.llama_memory_seq_rm(self._memory, 0, shared, -1)
        nats = 0.0
        for position, logits in self._logits(ids[:-1], shared, first - 1):
            nats += _log_sum_exp(logits) - float(logits[ids[position + 1]])
        self._seen = ids[:-1]
        return nats / math.log(2)

    def _logits(self, ids: list[int], start: int, wanted: int) -> Iterator[tuple[int, Array]]:
        """Read `ids` from `start` on; the position and logits of each from `wanted` on."""
        for begin in range(start, len(ids), self._batch_size):
            end = min(begin + self._batch_size, len(ids))
            self._decode(ids, begin, end, wanted)
            for position in range(max(begin, wanted), end):
                row = llama_cpp.llama_get_logits_ith(self._context, position - begin)
                yield position, np.ctypeslib.as_array(row, (self._vocabulary,))

    def _decode(self, ids: list[int], begin: int, end: int, wanted: int) -> None:
        batch = llama_cpp.llama_batch_init(end - begin, 0, 1)
        batch.n_tokens = end - begin
        for place, position in enumerate(range(begin, end)):
            batch.token[place] = ids[position]
            batch.pos[place] = position
            batch.n_seq_id[place] = 1
            batch.seq_id[place][0] = 0
            batch.logits[place] = position >= wanted
        failed = llama_cpp.llama_decode(self._context, batch)
        llama_cpp.llama_batch_free(batch)
        if failed:
            raise RuntimeError(f"llama_decode failed with {failed}")


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """The length of the prefix that two lists share."""
    for place, (left, right) in enumerate(zip(one, other, strict=False)):
        if left != right:
            return place
    return min(len(one), len(other))


def _log_sum_exp(logits: Array) -> float:
    highest = float(logits.max())
    return highest + math.log(float(np.exp(logits - highest, dtype=np.float64).sum()))
