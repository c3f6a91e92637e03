"""How long a member waits for the first word: with a cold cache, a warm one, and one read ahead.

    python -m benchmarks reply [--model PATH | --shape NAME] [--rounds N] [--history TOKENS]

A channel has so many tokens of history, somebody writes a message of a few words, and the engine's
worker is asked for a reply. All times are of one run, best of the rounds; the counts do not depend
on the machine.

    warm_over_cold         seconds to the first token in a channel whose history was read, over a
                           channel that is new
    prefill_over_cold      the same where the message was read along before the reply was asked for
    interleaved_over_cold  six channels in turn, through four slots
    per_token_overhead     a token of a reply, over the bare loop of llama.cpp's calls, minus 1
    evaluated_over_new     tokens read for a follow-up, over those that are new
    pipeline_ms_p50        from a message's arrival at the whole bot, in the sandbox, to the sending
                           of its reply, without the time that the model takes, or manners ask for
"""

import argparse
import asyncio
import dataclasses
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import Llama

from benchmarks import _bot, _shape
from model import context, drawing, resident
from model.inference import Sampling
from model.scheduler import Job, Scheduler

LENGTH = 2048
NEW = 12  # tokens of a message
SPOKEN = 48  # tokens of a reply
MESSAGES = 12  # to the whole bot
WORDS = tuple("lol the cat sat on that mat again and then it rained so we went home".split())  # noqa: SIM905


@dataclasses.dataclass
class Channel:
    """A conversation that grows at its end."""

    number: int
    told: list[int]
    evaluated: int = 0
    new: int = 0


class Bench:
    """A scheduler, and conversations in it."""

    def __init__(self, model: Llama, places: int = 4) -> None:
        self.model = model
        self.scheduler = Scheduler(model, LENGTH, places)
        self._dice = random.Random(7)
        self._numbers = 0

    def words(self, tokens: int) -> list[int]:
        """So many tokens of chat."""
        text = " ".join(self._dice.choices(WORDS, k=tokens + 8))
        return list(self.model.tokenize(text.encode(), add_bos=False))[:tokens]

    def channel(self, tokens: int) -> Channel:
        """A new conversation with so much history."""
        self._numbers += 1
        return Channel(self._numbers, self.words(tokens))

    def turn(self, channel: Channel, spoken: int, reads: bool = False) -> tuple[float, float]:
        """Somebody writes and is answered; seconds to the first token, and for each one after.

        `reads`: the message was read along before.
        """
        job = self.asked(channel, spoken)
        if reads:
            self._run(Job(0, channel.number, job.prompt[:-1], None))
        first, each = self._run(job)
        channel.evaluated += job.evaluated
        channel.new += NEW + 1  # and the last token of the reply before
        channel.told += job.said
        return first, each

    def asked(self, channel: Channel, spoken: int) -> Job:
        """Somebody writes a message of a few words that wants a reply."""
        channel.told += self.words(NEW)
        sampling = Sampling(temperature=0.0, max_tokens=spoken, repeat_penalty=1.0)
        return Job(channel.number, channel.number, list(channel.told), sampling)

    def _run(self, job: Job) -> tuple[float, float]:
        started = time.perf_counter()
        self.scheduler.add(job)
        times = []
        while self.scheduler.is_busy:
            for _ in self.scheduler.step():
                times.append(time.perf_counter())
        each = (times[-1] - times[0]) / max(1, len(job.said)) if times else 0.0
        return times[0] - started, each


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks reply")
    _shape.add_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--history", type=int, default=600, help="tokens")
    options = parser.parse_args(arguments)
    path = _shape.chosen(options)
    model = resident.load(path, 16)
    bench = Bench(model)
    try:
        cold, warm, ahead = _one_channel(bench, options.rounds, options.history)
        interleaved, evaluated = _six_channels(bench, options.rounds, options.history)
        each = min(bench.turn(bench.channel(32), SPOKEN)[1] for _ in range(options.rounds))
        bare = min(_bare(model, bench.words(32)) for _ in range(options.rounds))
    finally:
        bench.scheduler.close()
        model.close()
    pipeline = asyncio.run(_pipeline(path, MESSAGES))
    return {
        "model": path.name,
        "history_tokens": options.history,
        "cold_seconds": round(cold, 3),
        "warm_seconds": round(warm, 3),
        "warm_over_cold": round(warm / cold, 3),
        "prefill_over_cold": round(ahead / cold, 3),
        "interleaved_over_cold": round(interleaved / cold, 3),
        "evaluated_over_new": round(evaluated, 3),
        "per_token_ms": round(1000 * each, 2),
        "per_token_overhead": round(each / bare - 1, 3),
        **{name: pipeline[name] for name in ("pipeline_ms_p50", "pipeline_ms_p95")},
    }


def _one_channel(bench: Bench, rounds: int, history: int) -> tuple[float, float, float]:
    cold, warm, ahead = [], [], []
    for _ in range(rounds):
        channel = bench.channel(history)
        cold.append(bench.turn(channel, 8)[0])
        warm.append(bench.turn(channel, 8)[0])
        ahead.append(bench.turn(channel, 8, reads=True)[0])
    return min(cold), min(warm), min(ahead)


def _six_channels(bench: Bench, rounds: int, history: int) -> tuple[float, float]:
    """The median wait, and tokens read over new ones, once all were read."""
    channels = [bench.channel(history) for _ in range(6)]
    for channel in channels:
        bench.turn(channel, 8)
        channel.evaluated = channel.new = 0
    waits = [bench.turn(channel, 8)[0] for _ in range(rounds) for channel in channels]
    read, new = (sum(getattr(one, name) for one in channels) for name in ("evaluated", "new"))
    return statistics.median(waits), read / new


def _bare(model: Llama, prompt: list[int]) -> float:
    """Seconds a token of the shortest loop around llama.cpp's own calls."""
    chain = drawing.sampler(model, Sampling(temperature=0.0, repeat_penalty=1.0), 0)
    with context.context(model, LENGTH, 1, 64) as bare, context.batch(64) as batch:
        context.fill(batch, prompt, 0)
        llama_cpp.llama_decode(bare, batch)
        token = llama_cpp.llama_sampler_sample(chain.sampler, bare, -1)
        started = time.perf_counter()
        for place in range(len(prompt), len(prompt) + SPOKEN):
            context.fill(batch, [token], place)
            llama_cpp.llama_decode(bare, batch)
            token = llama_cpp.llama_sampler_sample(chain.sampler, bare, -1)
        seconds = time.perf_counter() - started
    chain.close()
    return seconds / SPOKEN


async def _pipeline(path: Path, count: int) -> dict[str, Any]:
    """What the whole bot's clocks show of so many mentions, one after another."""
    async with _bot.talking(path) as talk:
        for number in range(count):
            await talk.answered([await talk.mention(talk.places[0], f"and what about {number}?")])
    return talk.told
