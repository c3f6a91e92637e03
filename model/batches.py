"""What a step of training takes: which examples, in which order, and as which tensors."""

import dataclasses
import random
from collections.abc import Sequence
from typing import TypedDict

import torch

from model.examples import Tokens

IGNORED = -100
MULTIPLE = 16  # of batches' lengths: torch makes and keeps kernels for each, which fills a memory


@dataclasses.dataclass(frozen=True)
class Row:
    """A reply to learn, and perhaps one to prefer it to.

    `reference` is ln p(chosen) - ln p(rejected) as the model saw it before; `weight` says how
    surely the chosen reply is the better one.
    """

    chosen: Tokens
    rejected: Tokens | None = None
    weight: float = 1.0
    reference: float = 0.0

    @property
    def length(self) -> int:
        return max(len(self.chosen.ids), len(self.rejected.ids) if self.rejected else 0)


class Batch(TypedDict):
    """`chosen` sequences and, after them, the rejected ones, padded at their end.

    `input_ids`, `attention_mask` and `labels` are (sequences, longest); `labels` are `IGNORED` but
    for replies. `better`, `weight` and `reference` are (rejected,): to which chosen sequence each
    rejected one belongs, and what its `Row` says.
    """

    input_ids: torch.Tensor
    attention_mask: torch.Tensor
    labels: torch.Tensor
    chosen: int
    better: torch.Tensor
    weight: torch.Tensor
    reference: torch.Tensor


def collate(rows: Sequence[Row], multiple: int = MULTIPLE) -> Batch:
    """The tensors of some rows, as long as the longest, rounded up to a multiple."""
    pairs = [(number, row) for number, row in enumerate(rows) if row.rejected]
    replies = [row.chosen for row in rows] + [row.rejected for _, row in pairs if row.rejected]
    longest = max(len(reply.ids) for reply in replies)
    longest += -longest % multiple
    ids = torch.zeros(len(replies), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, IGNORED)
    for row, reply in enumerate(replies):
        size, begin = len(reply.ids), len(reply.ids) - reply.reply_length
        ids[row, :size] = torch.tensor(reply.ids)
        mask[row, :size] = 1
        labels[row, begin:size] = ids[row, begin:size]
    return Batch(
        input_ids=ids,
        attention_mask=mask,
        labels=labels,
        chosen=len(rows),
        better=torch.tensor([number for number, _ in pairs], dtype=torch.long),
        weight=torch.tensor([row.weight for _, row in pairs]),
        reference=torch.tensor([row.reference for _, row in pairs]),
    )


def order(
    lengths: Sequence[int], size: int, epochs: float, max_steps: int = 0, seed: int = 0
) -> list[int]:
    """Which row comes when, over the whole training: `size` a step, those of a step of like length.

    The steps themselves come in random order, drawn anew each epoch; but the very first holds the
    longest row, so that a machine which is too small says so at once. Raises `ValueError` for fewer
    rows than one step takes.
    """
    dice = random.Random(seed)
    epoch_steps = len(lengths) // size
    if not epoch_steps:
        raise ValueError(f"{len(lengths)} examples do not fill one step of {size}")
    steps = max(1, round(epochs * epoch_steps))
    steps = min(steps, max_steps or steps)
    drawn: list[list[int]] = []
    while len(drawn) < steps:
        epoch = dice.sample(range(len(lengths)), epoch_steps * size)
        alike = sorted(epoch, key=lambda number: lengths[number] * dice.uniform(0.9, 1.1))
        batches = [alike[start : start + size] for start in range(0, len(alike), size)]
        dice.shuffle(batches)
        drawn += batches
    heaviest = max(range(epoch_steps), key=lambda step: max(lengths[i] for i in drawn[step]))
    drawn[0], drawn[heaviest] = drawn[heaviest], drawn[0]
    return [number for batch in drawn[:steps] for number in batch]
