"""How a model runs best on this machine: measured when it is first loaded, then remembered.

What helps one processor hinders another: hyperthreads, flash attention, and weights copied into an
order of their own, which costs seconds at every start and the memory of the mapped file.
"""

import contextlib
import dataclasses
import gc
import hashlib
import json
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import psutil
from llama_cpp import Llama

from model import catalog, context, estimate, resident
from model.resident import Way

log = logging.getLogger(__name__)

REMEMBERED = estimate.REMEMBERED
READ, WRITTEN = 32, 8  # tokens of a turn as it is measured: a message, and a few words in reply
ROUNDS = 3
WORTH = 0.95  # of the time, to leave what is simpler
WORTH_REPACKING = 0.8  # it costs seconds at every start, and memory that others cannot share
SHORT_OF_MEMORY = 0.125  # of what is free, taken by the keys and values


def way(path: Path, folder: Path, threads: int = 0) -> Way:
    """The best way to run a model here, from what the models folder remembers or measured now.

    `threads` other than 0 are somebody's own choice. Raises `UserError` as `resident.load` does.
    """
    catalog.check_gguf(path)
    file = folder / REMEMBERED
    key, known = _key(path, threads), estimate.read(file)
    with contextlib.suppress(AttributeError, KeyError, TypeError):
        found = Way(**{name: value for name, value in known[key].items() if name != "pace"})
        if found.kv in resident.KV_TYPES:
            return found
    started = time.monotonic()
    plain = dataclasses.asdict(Way(threads))
    _write(file, {**known, key: plain})  # should llama.cpp not survive what is tried
    best = measure(path, threads)
    log.info("measured %s in %.1fs: %s", path.name, time.monotonic() - started, best)
    _write(file, {**known, key: {**dataclasses.asdict(best), "pace": pace(path, best)}})
    return best


def measure(path: Path, threads: int = 0) -> Way:
    """Try one thing after the other, and keep what is clearly faster."""
    best = Way(threads or resident.cores())
    with _loaded(path, best) as model:
        seconds = turn_seconds(model, best.threads)
        for count in [] if threads else _thread_counts():
            took = turn_seconds(model, count)
            if took < WORTH * seconds:
                best, seconds = dataclasses.replace(best, threads=count), took
    flash = dataclasses.replace(best, is_flash=True)
    with _loaded(path, flash) as model:
        took = turn_seconds(model, flash.threads)
        if took < WORTH * seconds:
            best, seconds = flash, took
    repacked = dataclasses.replace(best, is_repacked=True)
    with _loaded(path, repacked) as model:
        if turn_seconds(model, repacked.threads) < WORTH_REPACKING * seconds:
            best = repacked
    return best


def pace(path: Path, way: Way) -> dict[str, Any]:
    """How many tokens a second it reads and writes, run in that way, for `model/estimate.py`."""
    with _loaded(path, way) as model:
        read, written = turn(model, way.threads)
    size = sum(file.stat().st_size for file in (path, catalog.base_of(path)) if file)
    return estimate.entry(size, READ / read, WRITTEN / written)


def spare_memory(model: Llama, tokens: int) -> None:
    """Have keys and values kept in eight bits, where those of so many tokens would crowd memory."""
    taken = kv_bytes(model, tokens)
    if taken > SHORT_OF_MEMORY * psutil.virtual_memory().available:
        log.info("keys and values in eight bits: %d MB are too many in sixteen", taken / 1e6)
        model.context_params.type_k = model.context_params.type_v = resident.KV_TYPES["q8_0"]
        model.context_params.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED


def kv_bytes(model: Llama, tokens: int) -> int:
    """What the keys and values of so many tokens take in sixteen bits."""
    handle = model.model
    head = llama_cpp.llama_model_n_embd(handle) // llama_cpp.llama_model_n_head(handle)
    width = head * llama_cpp.llama_model_n_head_kv(handle)
    return int(2 * 2 * llama_cpp.llama_model_n_layer(handle) * width * tokens)


def turn_seconds(model: Llama, threads: int) -> float:
    """How long a message takes to read and a few words to write; the best of some rounds."""
    return sum(turn(model, threads))


def turn(model: Llama, threads: int) -> tuple[float, float]:
    """The same apart: the seconds to read, and those to write."""
    prompt = [(7 * number) % model.n_vocab() for number in range(READ)]
    times = []
    with context.context(model, READ + WRITTEN, 1, READ) as made, context.batch(READ) as batch:
        llama_cpp.llama_set_n_threads(made, threads, threads)
        for _ in range(ROUNDS):
            llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(made), False)
            started = time.perf_counter()
            context.fill(batch, prompt, 0)
            failed = llama_cpp.llama_decode(made, batch)
            llama_cpp.llama_synchronize(made)
            half_way = time.perf_counter()
            for place in range(READ, READ + WRITTEN):
                context.fill(batch, prompt[:1], place)
                failed = failed or llama_cpp.llama_decode(made, batch)
            llama_cpp.llama_synchronize(made)
            over = time.perf_counter()
            times.append((half_way - started, float("inf") if failed else over - half_way))
    return min(times, key=sum)


@contextlib.contextmanager
def _loaded(path: Path, way: Way) -> Iterator[Llama]:
    model = resident.load(path, READ, way=way)
    try:
        yield model
    finally:
        model.close()
        del model
        gc.collect()  # before the next one is loaded beside it


def _thread_counts() -> list[int]:
    """Other numbers of threads to try: with hyperthreads, and half, where cores are unequal."""
    cores, logical = resident.cores(), os.cpu_count() or 1
    return [*([logical] if logical > cores else []), *([cores // 2] if cores >= 8 else [])]


def _key(path: Path, threads: int) -> str:
    """A model, a machine and a llama.cpp."""
    about = llama_cpp.llama_print_system_info() + f"{os.cpu_count()} {threads}".encode()
    machine = hashlib.sha256(about).hexdigest()[:12]
    return f"{path.name} {path.stat().st_size} {llama_cpp.__version__} {machine}"


def _write(file: Path, known: dict[str, Any]) -> None:
    partial = file.with_suffix(".partial")
    try:
        partial.write_text(json.dumps(known, indent=1), "utf-8")
        os.replace(partial, file)
    except OSError as error:
        log.warning("cannot remember what was measured: %s", error.strerror)
