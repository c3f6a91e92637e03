"""A million messages imported and prepared, beside `json.loads` of the same lines.

    python -m benchmarks ingest [--messages N] [--keep FOLDER]

The history is made up, over 20 channels: authors, lengths, words, reply distances and reactions are
drawn from the two sample communities; a text of more than three words is put together from single
ones, so that there are no more copies than in life. Each step runs in a process of its own.

    import_over_floor    seconds of the import over those of `json.loads` line by line
    prepare_over_floor   the same for untangling and writing the training files
    messages_per_s       through both steps
    peak_mb              the larger step's peak of resident memory
"""

import argparse
import gzip
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import psutil

from bot.config import ROOT
from data import importer, preprocessor
from storage import database, messages

COMMUNITIES = ROOT / "sandbox" / "communities"
CHANNELS = 20
BEGIN = datetime(2021, 1, 1, tzinfo=timezone.utc).timestamp()
SECONDS = 4 * 365 * 86_400
REACH = 40  # messages a reply can go back


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks ingest")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--keep", type=Path, help="work in this folder, and leave it there")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.step:
        return STEPS[options.step](options.keep)
    if options.keep:
        return _measure(options.keep, options.messages)
    with tempfile.TemporaryDirectory() as folder:
        return _measure(Path(folder), options.messages)


def _measure(folder: Path, count: int) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "history.jsonl").open("w", encoding="utf-8") as file:
        for row in generate(count):
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    floor, imported, prepared = (_run(step, folder) for step in STEPS)
    seconds = imported["seconds"] + prepared["seconds"]
    return {
        "messages": count,
        "import_over_floor": round(imported["seconds"] / floor["seconds"], 2),
        "prepare_over_floor": round(prepared["seconds"] / floor["seconds"], 2),
        "messages_per_s": round(count / seconds),
        "peak_mb": max(imported["peak_mb"], prepared["peak_mb"]),
        "floor_seconds": floor["seconds"],
        "import_peak_mb": imported["peak_mb"],
        "prepare_peak_mb": prepared["peak_mb"],
        "examples": prepared["examples"],
    }


def _run(step: str, folder: Path) -> dict[str, Any]:
    """One step in a process of its own, with its peak memory."""
    command = [sys.executable, "-m", "benchmarks", "ingest", "--step", step, "--keep", str(folder)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as child:
        peak = _peak(child)
        output = child.stdout.read() if child.stdout else ""
    figures: dict[str, Any] = json.loads(output.splitlines()[-1])
    return {**figures, "peak_mb": peak}


def _peak(child: "subprocess.Popen[str]") -> int:
    """The most memory, in MB, that a process held until it ended."""
    process, peak = psutil.Process(child.pid), 0
    while child.poll() is None:
        try:
            peak = max(peak, process.memory_info().rss)
        except psutil.Error:
            break
        time.sleep(0.05)
    return peak >> 20


def _floor(folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    with (folder / "history.jsonl").open(encoding="utf-8") as file:
        for line in file:
            json.loads(line)
    return {"seconds": round(time.perf_counter() - started, 3)}


def _import(folder: Path) -> dict[str, Any]:
    for old in folder.glob("history.sqlite3*"):
        old.unlink()
    started = time.perf_counter()
    connection = database.connect(folder / "history.sqlite3")
    importer.load(connection, folder / "history.jsonl")
    return {"seconds": round(time.perf_counter() - started, 3), "rows": messages.count(connection)}


def _prepare(folder: Path) -> dict[str, Any]:
    started = time.perf_counter()
    connection = database.connect(folder / "history.sqlite3")
    summary = preprocessor.prepare(connection, folder / "training")
    seconds = round(time.perf_counter() - started, 3)
    return {"seconds": seconds, "examples": summary.train + summary.valid}


STEPS = {"floor": _floor, "import": _import, "prepare": _prepare}


def generate(count: int, seed: int = 0) -> Iterator[dict[str, Any]]:
    """Messages in the order they were sent, as the JSON Lines that the importer reads."""
    dice = random.Random(seed)
    samples = [row for name in ("gitter-casual", "pyscript-discord") for row in _sample(name)]
    distances = _reply_distances()
    words = [word for row in samples for word in row["content"].split(" ")]
    reacted = [row["reactions"] for row in _sample("pyscript-discord")]
    is_reply = len(distances) / len(reacted)
    recent: list[deque[str]] = [deque(maxlen=REACH) for _ in range(CHANNELS)]
    for number in range(count):
        sample = dice.choice(samples)
        channel = min(int(dice.expovariate(0.3)), CHANNELS - 1)
        sent_at = BEGIN + SECONDS * (number + dice.random()) / count
        own_id = str((int(sent_at * 1000) - messages.DISCORD_EPOCH_MS << 22) | number & 0x3FFFFF)
        distance = dice.choice(distances) if dice.random() < is_reply else 0
        before = recent[channel]
        yield {
            "id": own_id,
            "channel": f"channel-{channel}",
            "author_id": sample["author_id"],
            "author_name": sample["author_name"],
            "bot": sample["bot"],
            "timestamp": datetime.fromtimestamp(sent_at, timezone.utc).isoformat(),
            "content": _text(sample["content"], words, dice),
            "reply_to": before[-distance] if 0 < distance <= len(before) else None,
            "reactions": dice.choice(reacted),
            "type": "Reply" if 0 < distance <= len(before) else "Default",
            "mentions": sample["mentions"],
            "attachments": sample["attachments"],
        }
        before.append(own_id)


def _text(sample: str, words: Sequence[str], dice: random.Random) -> str:
    count = sample.count(" ") + 1
    return sample if count <= 3 else " ".join(dice.choices(words, k=count))


def _sample(name: str) -> list[dict[str, Any]]:
    with gzip.open(COMMUNITIES / name / "messages.jsonl.gz", "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def _reply_distances() -> list[int]:
    """How many messages back each marked reply goes."""
    places: dict[str, int] = {}
    sizes: dict[str, int] = {}
    distances = []
    for row in _sample("pyscript-discord"):
        place = sizes[row["channel"]] = sizes.get(row["channel"], 0) + 1
        if row["reply_to"] in places:
            distances.append(min(place - places[row["reply_to"]], REACH))
        places[row["id"]] = place
    return distances
