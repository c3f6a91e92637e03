"""How likely a model holds each token of a reply, without the logits of all of them at once.

A vocabulary of 150,000 words makes the logits of a batch larger than the model. Here they are made
for a few tokens at a time, and once more when their gradient is wanted.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear
from torch.utils.checkpoint import checkpoint

CHUNK_BYTES = 64 * 2**20  # of one chunk's float32 logits


def token_log_probs(
    hidden: Tensor, head: Tensor, targets: Tensor, softcap: float | None = None, rows: int = 0
) -> Tensor:
    """ln p of each of `targets` (n,), given the last hidden states (n, width).

    `head` is the output matrix, (words, width); `softcap` is what some models squash their logits
    by; `rows` are taken at a time, 0: as many as `CHUNK_BYTES` allow. Shape (n,), in float32.
    """
    rows = rows or max(16, CHUNK_BYTES // (4 * len(head)))
    if len(hidden) <= rows:
        return _log_probs(hidden, head, targets, softcap)
    parts = [
        checkpoint(
            _log_probs,
            hidden[start : start + rows],
            head,
            targets[start : start + rows],
            softcap,
            use_reentrant=False,
        )
        for start in range(0, len(hidden), rows)
    ]
    return torch.cat(parts)


def _log_probs(hidden: Tensor, head: Tensor, targets: Tensor, softcap: float | None) -> Tensor:
    logits = linear(hidden, head).float()
    if softcap:
        logits = softcap * torch.tanh(logits / softcap)
    return -cross_entropy(logits, targets, reduction="none")
