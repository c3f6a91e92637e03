"""What an evaluation costs: seconds to draw the replies, seconds to judge them, memory.

    python -m benchmarks evaluate [--model GGUF] [--contexts N]

The casual community's newest messages are answered by the model, and judged beside other members
and a Markov chain, as in step 4.

    generation_seconds   to draw one reply a context, many side by side
    one_by_one           the same for replies one after the other, over `generation_seconds`
    metrics_seconds      for every figure of the three sides
    peak_mb              the most memory that the process held
"""

import argparse
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.ingest import COMMUNITIES
from bot.config import ROOT
from data import importer, preprocessor
from model import (
    assessment,
    catalog,
    embeddings,
    evaluation,
    examples,
    generation,
    resident,
    sources,
)
from model.examples import Example
from model.inference import Sampling
from model.sides import CANDIDATE, MARKOV, OTHERS
from storage import database

SAMPLE = 16  # replies that are drawn one by one


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks evaluate")
    parser.add_argument("--model", type=Path, help="which GGUF (default: the small model)")
    parser.add_argument("--contexts", type=int, default=500)
    options = parser.parse_args(arguments)
    gguf = options.model or catalog.small_model(ROOT / "models")
    memory = _Peak()
    with tempfile.TemporaryDirectory() as name:
        rows, pool, known = _rows(Path(name), options.contexts)
        started = time.perf_counter()
        said = sources.bot(gguf, rows, Sampling(), Path(name) / "evaluation")
        spoken = time.perf_counter()
        slow = _one_by_one(gguf, rows[:SAMPLE]) * len(rows) / SAMPLE
    sides = {
        OTHERS: sources.others(rows, pool, 0),
        CANDIDATE: said,
        MARKOV: sources.markov(rows, known, 0),
    }
    embed = embeddings.Embedder(embeddings.minilm(ROOT / "models"))
    begun = time.perf_counter()
    found = assessment.assess(rows, sides, known, embed, lambda text: 0)
    return {
        "contexts": len(rows),
        "generation_seconds": round(spoken - started, 1),
        "one_by_one": round(slow / (spoken - started), 2),
        "metrics_seconds": round(time.perf_counter() - begun, 1),
        "peak_mb": memory.stop(),
        "auc": {name: round(side.detection.auc, 3) for name, side in found.items()},
    }


def _rows(folder: Path, count: int) -> tuple[list[Example], list[Example], list[str]]:
    """Held-out contexts, other replies by members, and the replies learned from."""
    connection = database.connect(folder / "history.sqlite3")
    importer.load(connection, COMMUNITIES / "gitter-casual")
    settings = preprocessor.Settings(held_out=0.4)  # the sample is small: enough to judge by
    preprocessor.prepare(connection, folder / "training", settings)
    connection.close()
    held_out = examples.read(folder / "training" / "valid.jsonl")
    rows = evaluation.sample(examples.test(held_out), count, 0)
    known = [row.reply for row in examples.read(folder / "training" / "train.jsonl")]
    return rows, examples.development(held_out), known


def _one_by_one(gguf: Path, rows: Sequence[Example]) -> float:
    """Seconds to answer the rows with a single place for a reply."""
    places, generation.PLACES = generation.PLACES, 1
    try:
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            sources.bot(gguf, rows, Sampling(), Path(folder), resident.load)
            return time.perf_counter() - started
    finally:
        generation.PLACES = places


class _Peak:
    """The most memory that this process held, in MB."""

    def __init__(self) -> None:
        self._most, self._done = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self._most >> 20

    def _watch(self) -> None:
        process = psutil.Process()
        while not self._done.wait(0.1):
            self._most = max(self._most, int(process.memory_info().rss))
