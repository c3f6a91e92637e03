"""Tokens learned a second, ours beside a plain transformers `Trainer`, on the same examples.

    python -m benchmarks train [--model GGUF] [--examples N] [--rounds N] [--whole-precision]

The examples are the casual community's; both sides train the same LoRA on the same weights with
the same recipe, in turns. The plain side shuffles its rows, takes a step's in one batch, pads it to
its longest at the right, and leaves the loss to the model, as anybody would; it computes in 16 bits
where we do (`--whole-precision`: not, which is what `Trainer` does unless told).

    tokens_per_s            ours; real tokens, no padding
    baseline_tokens_per_s   the plain loop's
    ratio                   the median of the rounds' ratios
    padding, baseline_padding   share of what was computed that is padding
"""

import argparse
import dataclasses
import statistics
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PrinterCallback, Trainer, TrainingArguments

from benchmarks.ingest import COMMUNITIES
from bot.config import ROOT
from data import importer, preprocessor
from model import batches, catalog, examples, loading, recipe, resident
from model.batches import Row
from model.loop import Loop
from model.objectives import Objective
from storage import database

Side = tuple[float, int, int]  # seconds, real tokens, tokens with padding


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks train")
    parser.add_argument("--model", type=Path, help="the GGUF to train (default: the small model)")
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=4, help="turns that the two sides take")
    parser.add_argument("--whole-precision", action="store_true", help="a 32-bit plain side")
    options = parser.parse_args(arguments)
    gguf = (options.model or catalog.small_model(ROOT / "models")).resolve()
    place = loading.choose(gguf)
    plain = dataclasses.replace(place, precision="whole") if options.whole_precision else place
    each = options.examples // options.rounds
    rows = _rows(gguf, each * options.rounds)
    sides: list[tuple[Side, Side]] = []
    for start in range(0, len(rows), each):
        turn = rows[start : start + each]
        sides.append((_ours(gguf, place, turn), _plain(gguf, plain, turn)))
        print([f"{tokens / seconds:.0f}" for seconds, tokens, _ in sides[-1]], flush=True)
    ours, theirs = (_sum(side) for side in zip(*sides, strict=True))
    ratios = [_speed(own) / _speed(other) for own, other in sides]
    return {
        "examples": len(rows),
        "tokens_per_s": round(_speed(ours), 1),
        "baseline_tokens_per_s": round(_speed(theirs), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "padding": round(1 - ours[1] / ours[2], 3),
        "baseline_padding": round(1 - theirs[1] / theirs[2], 3),
    }


def _rows(gguf: Path, count: int) -> list[Row]:
    """The first so many examples that script 2 makes of the community, as script 3 reads them."""
    with tempfile.TemporaryDirectory() as name:
        connection = database.connect(Path(name) / "history.sqlite3")
        importer.load(connection, COMMUNITIES / "gitter-casual")
        preprocessor.prepare(connection, Path(name) / "training")
        connection.close()
        read = examples.read(Path(name) / "training" / "train.jsonl")[: 2 * count]
    model = resident.load(gguf, 512)
    tokens = examples.tokenise(read, resident.encoder(model), recipe.SMALL.max_seq_length)
    rows = [Row(one) for one in tokens if one][:count]
    model.close()
    return rows


def _ours(gguf: Path, place: loading.Place, rows: Sequence[Row]) -> Side:
    how, size = recipe.SMALL, recipe.SMALL.batch_size * recipe.SMALL.accumulation
    order = batches.order([row.length for row in rows], size, 1.0)
    model = loading.load(gguf, how, place)
    with tempfile.TemporaryDirectory() as folder:
        loop = Loop(
            folder=Path(folder),
            stage=recipe.SFT,
            recipe=how,
            place=place,
            model=model,
            rows=rows,
            held_out=(),
            order=order,
            step_size=size,
            objective=Objective(recipe.SFT),
            stop=threading.Event(),
        )
        started = time.perf_counter()
        loop.run()
        seconds = time.perf_counter() - started
    lengths = [rows[number].length for number in order]
    parts = [lengths[i : i + how.batch_size] for i in range(0, len(lengths), how.batch_size)]
    computed = sum(len(part) * -(-max(part) // batches.MULTIPLE) for part in parts)
    return seconds, sum(lengths), computed * batches.MULTIPLE


def _plain(gguf: Path, place: loading.Place, rows: Sequence[Row]) -> Side:
    how = recipe.SMALL
    seen: list[tuple[int, int]] = []

    def collate(picked: list[Row]) -> dict[str, Any]:
        batch = batches.collate(picked, multiple=1)
        seen.append((int(batch["attention_mask"].sum()), batch["attention_mask"].numel()))
        return {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}

    model = loading.load(gguf, how, place)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                num_train_epochs=1,
                per_device_train_batch_size=how.batch_size * how.accumulation,
                learning_rate=how.learning_rate,
                use_cpu=place.device == "cpu",
                bf16=place.mixed is not None and place.precision != "whole",
                save_strategy="no",
                logging_steps=1,
                remove_unused_columns=False,
                disable_tqdm=True,
                report_to=[],
            ),
            train_dataset=list(rows),
            data_collator=collate,
        )
        trainer.remove_callback(PrinterCallback)
        started = time.perf_counter()
        trainer.train()
        seconds = time.perf_counter() - started
    real, padded = (sum(column) for column in zip(*seen, strict=True))
    return seconds, real, padded


def _sum(sides: Sequence[Side]) -> Side:
    seconds, real, padded = zip(*sides, strict=True)
    return sum(seconds), sum(real), sum(padded)


def _speed(side: Side) -> float:
    return side[1] / side[0]
