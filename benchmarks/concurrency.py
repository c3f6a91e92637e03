"""How several channels fare at once, against the same engine answering one after another.

    python -m benchmarks concurrency [--model PATH | --shape NAME] [--rounds N] [--mentions N]

Each channel has 600 tokens of history that were read before, and is asked something of a few
words. The waits of the scheduler are of one run, the best of the rounds; the last three figures are
of the whole bot, in the sandbox.

    burst_over_serial       the slowest of four replies asked for at once, over one after another
    burst_ttft_over_serial  the same until the last has its first token
    eight_over_two_fours    eight at once, over two rounds of four
    rows_N                  tokens a second of N replies that share each decode
    wait_over_prefill       how long a mention waits that comes while a prompt of 500 tokens is read
                            for somebody else, over reading that prompt
    lag_p99_ms              by how much the event loop is late, during a burst of mentions
    lost                    mentions of that burst without an answer
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _bot, _shape
from benchmarks.reply import Bench, Channel
from model import resident
from model.inference import Sampling
from model.scheduler import Job

HISTORY, LONG = 600, 500  # tokens
SPOKEN = 16
ROWS = (1, 2, 3, 4, 6, 8)
PLACES = 20  # channels of the burst of mentions


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks concurrency")
    _shape.add_options(parser)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mentions", type=int, default=200)
    options = parser.parse_args(arguments)
    path = _shape.chosen(options)
    model = resident.load(path, 16)
    figures: dict[str, Any] = {"model": path.name}
    bench = Bench(model)
    try:
        figures |= _bursts(bench, options.rounds)
        figures["wait_over_prefill"] = round(_wait(bench, options.rounds), 3)
    finally:
        bench.scheduler.close()
    for rows in ROWS:
        figures[f"rows_{rows}"] = round(_rate(Bench(model, places=rows), rows, options.rounds), 1)
    model.close()
    return figures | asyncio.run(_mentions(path, options.mentions))


def _bursts(bench: Bench, rounds: int) -> dict[str, float]:
    channels = [bench.channel(HISTORY) for _ in range(4)]
    others = [bench.channel(HISTORY) for _ in range(4)]
    for channel in (*channels, *others):
        bench.turn(channel, 1)
    serial, burst, eight, twice = [], [], [], []
    for _ in range(rounds):
        serial.append(_ask(bench, channels, at_once=1))
        burst.append(_ask(bench, channels, at_once=4))
        eight.append(_ask(bench, [*channels, *others], at_once=8))
        fours = [_ask(bench, some, at_once=4) for some in (channels, others)]
        twice.append((0.0, sum(last for _, last in fours)))
    (first, last), (first_at_once, last_at_once) = _best(serial), _best(burst)
    return {
        "burst_over_serial": round(last_at_once / last, 3),
        "burst_ttft_over_serial": round(first_at_once / first, 3),
        "eight_over_two_fours": round(_best(eight)[1] / _best(twice)[1], 3),
    }


def _best(rounds: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The least of the first figures, and of the second ones."""
    return min(first for first, _ in rounds), min(last for _, last in rounds)


def _ask(bench: Bench, channels: Sequence[Channel], at_once: int) -> tuple[float, float]:
    """Ask all channels something; when the last had its first token, and when all were done."""
    waiting = [bench.asked(channel, SPOKEN) for channel in channels]
    asked = {job.number: channel for job, channel in zip(waiting, channels, strict=True)}
    begun: dict[int, float] = {}
    busy: set[int] = set()
    started = time.perf_counter()
    while waiting or bench.scheduler.is_busy:
        while waiting and len(busy) < at_once:
            job = waiting.pop(0)
            busy.add(job.number)
            bench.scheduler.add(job)
        for drawn in bench.scheduler.step():
            number = drawn.job.number
            begun.setdefault(number, time.perf_counter())
            if drawn.token is None:
                busy.discard(number)
                asked[number].told += drawn.job.said
    return max(begun.values()) - started, time.perf_counter() - started


def _wait(bench: Bench, rounds: int) -> float:
    """The worst moment to come is right after a decode began, so the clock starts there."""
    warm, alone, waits = bench.channel(HISTORY), [], []
    bench.turn(warm, 1)
    for _ in range(rounds):
        alone.append(bench.turn(bench.channel(LONG), 1)[0])
        bench.scheduler.add(bench.asked(bench.channel(LONG), 1))
        job = bench.asked(warm, 1)
        started = time.perf_counter()
        list(bench.scheduler.step())
        bench.scheduler.add(job)
        while not job.said:
            list(bench.scheduler.step())
        waits.append(time.perf_counter() - started)
        warm.told += job.said
        while bench.scheduler.is_busy:
            list(bench.scheduler.step())
    return min(waits) / min(alone)


def _rate(bench: Bench, rows: int, rounds: int) -> float:
    """Tokens a second of so many replies side by side."""
    best = float("inf")
    sampling = Sampling(temperature=0.0, max_tokens=SPOKEN, repeat_penalty=1.0)
    for _ in range(rounds):
        jobs = [Job(n, n, bench.words(8), sampling) for n in range(rows)]
        for job in jobs:
            bench.scheduler.add(job)
        while not all(job.said for job in jobs):
            list(bench.scheduler.step())
        before, started = sum(len(job.said) for job in jobs), time.perf_counter()
        while all(len(job.said) < SPOKEN for job in jobs) and bench.scheduler.is_busy:
            list(bench.scheduler.step())
        spoken = sum(len(job.said) for job in jobs) - before
        best = min(best, (time.perf_counter() - started) / max(1, spoken))
        while bench.scheduler.is_busy:
            list(bench.scheduler.step())
    bench.scheduler.close()
    return 1 / best


async def _mentions(path: Path, count: int) -> dict[str, Any]:
    """So many mentions of the whole bot, each by another member of its channel, all at once."""
    async with _bot.talking(path, PLACES) as talk:
        await talk.answered([await talk.mention(talk.places[0], "hi")])
        places = [talk.places[number % PLACES] for number in range(count)]
        asked = await asyncio.gather(
            *(
                talk.mention(place, f"what about {n}?", n // PLACES)
                for n, place in enumerate(places)
            )
        )
        answered = await talk.answered(asked)
        errors = talk.errors()
    print(*errors, sep="\n")
    return {"lag_p99_ms": talk.told["lag_p99_ms"], "mentions": count, "lost": count - answered}
