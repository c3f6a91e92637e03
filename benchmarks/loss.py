"""The memory of a loss over a large vocabulary: chunk by chunk, beside all logits at once.

    python -m benchmarks loss [--words N] [--width N] [--tokens N] [--rounds N]

Both sides score the same tokens in float32 and go back to the gradient of the hidden states; the
output matrix is not trained, as it is not by default. Each runs in a process of its own.

    peak_mb            the chunked side's peak of resident memory, above what it held at the start
    baseline_peak_mb   the same with all logits at once
    ratio              peak_mb over baseline_peak_mb
    seconds            forward and backward, chunked; the median of the rounds
    baseline_seconds   the same with all logits at once
    largest_gradient_difference   over the largest gradient
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, linear

from bot.config import ROOT
from model import losses


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks loss")
    parser.add_argument("--words", type=int, default=151_936, help="Qwen2.5's vocabulary")
    parser.add_argument("--width", type=int, default=512, help="of a hidden state")
    parser.add_argument("--tokens", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--gradient", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.side:
        return _measure(options)
    with tempfile.TemporaryDirectory() as name:
        paths = {side: Path(name) / f"{side}.npy" for side in SIDES}
        ours, theirs = (_run(arguments, side, path) for side, path in paths.items())
        gradient, expected = (np.load(path) for path in paths.values())
    difference = np.abs(gradient - expected).max() / np.abs(expected).max()
    return {
        "words": options.words,
        "width": options.width,
        "tokens": options.tokens,
        "peak_mb": ours["peak_mb"],
        "baseline_peak_mb": theirs["peak_mb"],
        "ratio": round(ours["peak_mb"] / theirs["peak_mb"], 3),
        "seconds": ours["seconds"],
        "baseline_seconds": theirs["seconds"],
        "largest_gradient_difference": float(f"{difference:.1e}"),
    }


def _run(arguments: Sequence[str], side: str, gradient: Path) -> dict[str, Any]:
    """One side, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks", "loss", *arguments]
    command += ["--side", side, "--gradient", str(gradient)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _measure(options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    hidden = torch.randn(options.tokens, options.width, requires_grad=True)
    head = torch.randn(options.words, options.width) / options.width**0.5
    targets = torch.randint(0, options.words, (options.tokens,))
    seconds = []
    with _memory() as peak:
        for _ in range(options.rounds):
            started = time.perf_counter()
            loss = SIDES[options.side](hidden, head, targets)
            (gradient,) = torch.autograd.grad(loss, hidden)
            seconds.append(time.perf_counter() - started)
    np.save(options.gradient, gradient.numpy())
    return {
        "seconds": round(statistics.median(seconds), 2),
        "peak_mb": round(max(peak) / 1e6, 1),
    }


def _chunked(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return -losses.token_log_probs(hidden, head, targets).mean()


def _full(hidden: Tensor, head: Tensor, targets: Tensor) -> Tensor:
    return cross_entropy(linear(hidden, head), targets)


@contextlib.contextmanager
def _memory() -> Iterator[list[int]]:
    """Bytes that this process holds more than at the start, looked up every few milliseconds."""
    process, done = psutil.Process(), threading.Event()
    start = process.memory_info().rss
    seen: list[int] = []

    def watch() -> None:
        while not done.wait(0.002):
            seen.append(process.memory_info().rss - start)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


SIDES = {"chunked": _chunked, "full": _full}
