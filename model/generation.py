"""Many replies from one model at once, for measuring: read and drawn side by side.

A bot's worker answers one after the other; here a free place is given to the next prompt while the
others are still being answered (continuous batching, through llama.cpp's own calls).
"""

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import llama_cpp
from llama_cpp import Llama
from llama_cpp._internals import LlamaSampler

from model import worker
from model.inference import Sampling

PLACES = 8  # replies in progress
BATCH = 512  # tokens a decode


@dataclasses.dataclass
class _Reply:
    """A reply in progress: `unread` tokens come next, the last of them with its logits."""

    number: int
    unread: list[int]
    sampler: LlamaSampler
    position: int = 0
    said: list[int] = dataclasses.field(default_factory=list)


def replies(
    model: Llama, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
) -> Iterator[tuple[int, str]]:
    """The prompt's number and the reply to it, each as soon as it is complete.

    Each prompt has a seed, and is answered as the bot would. Raises `RuntimeError` when llama.cpp
    fails.
    """
    longest = max(map(len, prompts), default=0) + sampling.max_tokens + 1
    waiting = list(enumerate(prompts))[::-1]
    with _context(model, longest) as context, _batch() as batch:
        memory = llama_cpp.llama_get_memory(context)
        places: list[_Reply | None] = [None] * PLACES
        while waiting or any(places):
            for place, reply in enumerate(places):
                if reply is None and waiting:
                    number, ids = waiting.pop()
                    places[place] = _Reply(
                        number, list(ids), _sampler(model, sampling, seeds[number])
                    )
            for place, row in _decode(context, batch, places):
                reply = places[place]
                assert reply
                token = llama_cpp.llama_sampler_sample(reply.sampler.sampler, context, row)
                if not worker.is_end(model, token):
                    reply.said.append(token)
                    reply.unread = [token]
                    if len(reply.said) < sampling.max_tokens:
                        continue
                yield reply.number, model.detokenize(reply.said).decode("utf-8", "ignore")
                llama_cpp.llama_memory_seq_rm(memory, place, -1, -1)
                reply.sampler.close()
                places[place] = None


def _decode(context: Any, batch: Any, places: Sequence[_Reply | None]) -> Iterator[tuple[int, int]]:
    """Read what fits into one batch; the places that may speak now, and from which row each."""
    batch.n_tokens = 0
    speaking = []
    for place, reply in enumerate(places):
        if reply is None or batch.n_tokens == BATCH:
            continue
        taken, reply.unread = (
            reply.unread[: BATCH - batch.n_tokens],
            reply.unread[BATCH - batch.n_tokens :],
        )
        for token in taken:
            row = batch.n_tokens
            batch.token[row], batch.pos[row] = token, reply.position
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, place
            batch.logits[row] = False
            reply.position += 1
            batch.n_tokens += 1
        if not reply.unread:
            batch.logits[batch.n_tokens - 1] = True
            speaking.append((place, batch.n_tokens - 1))
    if failed := llama_cpp.llama_decode(context, batch):
        raise RuntimeError(f"llama_decode failed with {failed}")
    yield from speaking


def _sampler(model: Llama, sampling: Sampling, seed: int) -> LlamaSampler:
    """The chain that `Llama.generate` builds for the bot."""
    sampler = LlamaSampler()
    sampler.add_penalties(
        n_vocab=model.n_vocab(),
        penalty_last_n=model.last_n_tokens_size,
        penalty_repeat=sampling.repeat_penalty,
        penalty_freq=0.0,
        penalty_present=0.0,
    )
    if sampling.temperature <= 0:
        sampler.add_greedy()
        return sampler
    sampler.add_top_k(sampling.top_k)
    sampler.add_top_p(sampling.top_p, 1)
    sampler.add_min_p(sampling.min_p, 1)
    sampler.add_temp(sampling.temperature)
    sampler.add_dist(seed)
    return sampler


@contextlib.contextmanager
def _context(model: Llama, longest: int) -> Iterator[Any]:
    """A context in which as many sequences as there are places fit."""
    parameters = type(model.context_params).from_buffer_copy(model.context_params)
    parameters.n_ctx, parameters.n_batch = PLACES * longest, BATCH
    parameters.n_seq_max, parameters.kv_unified = PLACES, True
    context = llama_cpp.llama_init_from_model(model.model, parameters)
    if not context:
        raise RuntimeError("llama.cpp has no room for a context")
    try:
        yield context
    finally:
        llama_cpp.llama_free(context)


@contextlib.contextmanager
def _batch() -> Iterator[Any]:
    batch = llama_cpp.llama_batch_init(BATCH, 0, 1)
    try:
        yield batch
    finally:
        llama_cpp.llama_batch_free(batch)
