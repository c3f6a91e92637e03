"""What the whole bot takes of a laptop: memory, its growth, and the time until the model is there.

    python -m benchmarks footprint [--model PATH | --shape NAME] [--messages N]

The real bot in the sandbox reads so many messages, each of which gets a vector, and is mentioned
now and then. Memory is what the system counts as resident.

    bot_mb                the bot's own process, LanceDB in use
    worker_over_model_mb  the model's process, without the file and the keys and values
    growth                of both from the first tenth of the messages to the end, as a share
    load_over_read        seconds until the model is ready, over reading its file into memory
"""

import argparse
import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import _bot, _shape
from benchmarks._bot import Talk
from bot.config import Config
from model.scheduler import PLACES
from model.shape import Shape

MESSAGES = 10_000
EVERY = 500  # messages, a mention
BLOCK = 1 << 20
REST_SECONDS = 25.0  # until what was said last has its vectors, too
TEXT = "honestly the build failed again because somebody pinned numpy in the wrong file"


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks footprint")
    _shape.add_options(parser)
    parser.add_argument("--messages", type=int, default=MESSAGES)
    options = parser.parse_args(arguments)
    path = _shape.chosen(options)
    shape = Shape.of_gguf(path)
    cached = 2 * 2 * shape.layers * shape.keys * PLACES * Config.context_length
    read = min(_read(path) for _ in range(3))
    return {
        "model": path.name,
        "model_mb": round(path.stat().st_size / 1e6),
        "kv_mb": round(cached / 1e6),
        **asyncio.run(_live(path, options.messages, (path.stat().st_size + cached) / 1e6, read)),
    }


def _read(path: Path) -> float:
    """Seconds to read a file."""
    started, block = time.perf_counter(), bytearray(BLOCK)
    with path.open("rb", buffering=0) as file:
        while file.readinto(block):
            pass
    return time.perf_counter() - started


async def _live(path: Path, count: int, model_mb: float, read: float) -> dict[str, Any]:
    async with _bot.talking(path, known=1000, program="bot.main") as talk:
        loaded = await talk.logged("model loaded in")
        await _chat(talk, 0, count // 10)
        early = _memory(talk)
        await _chat(talk, count // 10, count)
        late = _memory(talk)
    seconds = float(loaded.split("model loaded in ")[1].split("s:")[0])
    return {
        "bot_mb": round(late[0]),
        "worker_mb": round(late[1]),
        "worker_over_model_mb": round(late[1] - model_mb),
        "growth": round(sum(late) / sum(early) - 1, 3),
        "bot_growth": round(late[0] / early[0] - 1, 3),
        "load_seconds": seconds,
        "load_seconds_per_gb": round(seconds / (path.stat().st_size / 1e9), 2),
        "load_over_read": round(seconds / read, 2),
    }


async def _chat(talk: Talk, begin: int, end: int) -> None:
    """So many messages, and a mention now and then; then wait for the vectors."""
    for number in range(begin, end):
        text = f"{TEXT[number % 40 :]} {number}"
        if number % EVERY == 0:
            await talk.answered([await talk.mention(talk.places[0], text)])
        else:
            await talk.say(talk.places[0], text)
    await asyncio.sleep(REST_SECONDS + (end - begin) / 200)


def _memory(talk: Talk) -> tuple[float, float]:
    """Of the bot and of the worker, in MB."""
    return talk.bot.memory_info().rss / 1e6, talk.worker.memory_info().rss / 1e6
