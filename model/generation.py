"""Many replies from one model at once, for measuring: read and drawn side by side."""

import contextlib
from collections.abc import Iterator, Sequence

from llama_cpp import Llama

from model.inference import Sampling
from model.scheduler import Job, Scheduler

PLACES = 8  # replies in progress
BATCH = 512  # tokens a decode


def replies(
    model: Llama, prompts: Sequence[Sequence[int]], sampling: Sampling, seeds: Sequence[int]
) -> Iterator[tuple[int, str]]:
    """The prompt's number and the reply to it, each as soon as it is complete.

    Each prompt has a seed, and is answered as the bot would. Raises `RuntimeError` when llama.cpp
    fails.
    """
    longest = max(map(len, prompts), default=0) + sampling.max_tokens + 1
    scheduler = Scheduler(model, longest, PLACES, BATCH, spill_bytes=0)
    with contextlib.closing(scheduler):
        for number, ids in enumerate(prompts):
            scheduler.add(Job(number, number, ids, sampling, seeds[number]))
        while scheduler.is_busy:
            for drawn in scheduler.step():
                if drawn.token is None:
                    text = model.detokenize(drawn.job.said).decode("utf-8", "ignore")
                    yield drawn.job.number, text
