"""Finding the nearest of many vectors: the bot's store beside LanceDB's own search and two peers.

    python -m benchmarks recall [--sizes N ...] [--queries N] [--adds N] [--stores NAME ...]

Random unit vectors of 384 numbers in clusters, and the five nearest of each query; embedding a text
comes on top. Every store and size is searched in a process of its own, after another one filled
it. faiss-cpu (flat) and sqlite-vec (through apsw) are measured where they are installed.

    query_p95_ms_10k, query_p95_ms_100k   ours; those of each store are in `stores`
    recall_at_5            of the five nearest by an exact comparison, how many were found
    after_adds_over_bulk   p95 after so many messages were added one by one, over that before
    add_ms                 one of these additions, with all that it takes to keep the store tidy
    rss_mb                 resident memory above Python with numpy, open and after the queries
    insert_s, open_s, disk_mb
"""

import argparse
import concurrent.futures
import importlib.util
import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks._stores import STORES, WIDTH, Vectors, chunks
from bot.config import ROOT

CLUSTERS = 1000
NEAREST = 5
Figures = dict[str, Any]


def main(arguments: Sequence[str]) -> Figures:
    parser = argparse.ArgumentParser(prog="benchmarks recall")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--adds", type=int, default=1000, help="messages, one by one, 10k only")
    parser.add_argument("--stores", nargs="+", choices=STORES, default=list(STORES))
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.one:
        return _measure(options.stores[0], options.sizes[0], options.queries, options.adds)
    headline: Figures = {}
    stores: dict[str, Figures] = {name: {} for name in options.stores}
    for size in options.sizes:
        short = f"{size // 1000}k"
        for name in options.stores:
            adds = options.adds if size == min(options.sizes) else 0
            found = stores[name][short] = _run(name, size, options.queries, adds)
            if name == "ours":
                headline[f"query_p95_ms_{short}"] = found["query_p95_ms"]
                headline.setdefault("after_adds_over_bulk", found.get("after_adds_over_bulk"))
    return {**headline, "stores": stores}


def _run(name: str, size: int, queries: int, adds: int) -> Figures:
    """One store, in a process of its own."""
    missing = [need for need in STORES[name].needs if importlib.util.find_spec(need) is None]
    if missing:
        return {"skipped": f"not installed: {', '.join(missing)}"}
    command = [sys.executable, "-m", "benchmarks", "recall", "--one", "--stores", name]
    for option, value in (("--sizes", size), ("--queries", queries), ("--adds", adds)):
        command += [option, str(value)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(name: str, size: int, queries: int, adds: int) -> Figures:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with concurrent.futures.ProcessPoolExecutor(
            1, multiprocessing.get_context("spawn")
        ) as other:
            asked, nearest = other.submit(_prepare, folder, size, queries).result()
            insert_seconds = other.submit(_fill, name, folder).result()
        (folder / "all.npy").unlink()
        process = psutil.Process()
        before = process.memory_info().rss
        started = time.perf_counter()
        store = STORES[name](folder)
        open_seconds = time.perf_counter() - started
        found, times = _timed(store, asked)
        figures = {
            "insert_s": round(insert_seconds, 2),
            "open_s": round(open_seconds, 2),
            "query_p50_ms": _percentile(times, 50),
            "query_p95_ms": _percentile(times, 95),
            "recall_at_5": _share(found, nearest),
            "rss_mb": round((process.memory_info().rss - before) / 1e6),
            "disk_mb": _disk_mb(folder),
        }
        return figures | (_after_adds(store, size, adds, asked, times) if adds else {})


def _after_adds(store: Any, size: int, adds: int, asked: Vectors, times: list[float]) -> Figures:
    added = _clustered(np.random.default_rng(3), adds)
    started = time.perf_counter()
    for number, vector in enumerate(added, size):
        store.add(number, vector)
    seconds = time.perf_counter() - started
    _, later = _timed(store, asked)
    found, _ = _timed(store, added[-50:])  # they were added just now
    ratio = float(np.percentile(later, 95) / np.percentile(times, 95))
    return {
        "add_ms": round(1000 * seconds / adds, 2),
        "after_adds_over_bulk": round(ratio, 2),
        "added_found": sum(size + adds - 50 + n in ids for n, ids in enumerate(found)) / 50,
    }


def _prepare(folder: Path, size: int, queries: int) -> tuple[Vectors, list[set[int]]]:
    """Write so many vectors to a file; some queries, and the nearest of each."""
    vectors = _clustered(np.random.default_rng(1), size)
    asked = _clustered(np.random.default_rng(2), queries)
    np.save(folder / "all.npy", vectors)
    best = (np.argsort(-(vectors @ query))[:NEAREST] for query in asked)
    return asked, [set(places.tolist()) for places in best]


def _fill(name: str, folder: Path) -> float:
    vectors = np.load(folder / "all.npy", mmap_mode="r")
    started = time.perf_counter()
    STORES[name].fill(folder, vectors)
    return time.perf_counter() - started


def _clustered(dice: np.random.Generator, count: int) -> Vectors:
    """Unit vectors around shared centres: of one cluster, two have a cosine of about a half."""
    centres = np.random.default_rng(0).normal(size=(CLUSTERS, WIDTH)).astype(np.float32)
    drawn = np.empty((count, WIDTH), np.float32)
    for start, part in chunks(drawn):
        noise = dice.normal(size=part.shape)
        drawn[start : start + len(part)] = centres[dice.integers(0, CLUSTERS, len(part))] + noise
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    return drawn


def _timed(store: Any, asked: Vectors) -> tuple[list[list[int]], list[float]]:
    """What each query finds, and its milliseconds."""
    store.search(asked[0], NEAREST)
    found, times = [], []
    for query in asked:
        started = time.perf_counter()
        found.append(store.search(query, NEAREST))
        times.append(1000 * (time.perf_counter() - started))
    return found, times


def _percentile(times: list[float], share: int) -> float:
    return round(float(np.percentile(times, share)), 2)


def _share(found: list[list[int]], nearest: list[set[int]]) -> float:
    hits = sum(len(set(ids) & best) for ids, best in zip(found, nearest, strict=True))
    return round(hits / (NEAREST * len(nearest)), 4)


def _disk_mb(folder: Path) -> float:
    return round(sum(p.stat().st_size for p in folder.rglob("*") if p.is_file()) / 1e6, 1)
