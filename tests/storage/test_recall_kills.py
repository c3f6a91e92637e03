"""A process that is killed while it adds to the recall index, or tidies it, costs nothing."""

import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from bot.config import ROOT
from storage import database, embeddings, messages
from storage.embeddings import Embedder, Vector
from storage.messages import Message
from storage.vectordb import VectorStore

KILLS = 8
TEST = Embedder("test", "0" * 64, 8)
FIRST = messages.snowflake_at(1_700_000_000)
COUNT = 4000


def vector(number: int) -> Vector:
    return np.random.default_rng(number).normal(size=8).astype(np.float32)


def write(folder: Path) -> None:
    """Add, edit, delete and tidy until killed."""
    connection = database.connect(folder / "bot.sqlite3")
    store = VectorStore(folder / "lance", TEST)
    store.sync(connection)
    print("ready", flush=True)
    dice = random.Random()
    while True:
        some = dice.sample(range(COUNT), 3)
        store.add(connection, [FIRST + n for n in some], [vector(n) for n in some])
        connection.execute("DELETE FROM embeddings WHERE message_id = ?", (FIRST + some[0],))
        if dice.random() < 0.2:
            store.forget(connection)


def live_and_be_killed(folder: Path, seconds: float) -> None:
    code = f"from pathlib import Path; from {__name__} import write; write(Path({str(folder)!r}))"
    child = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE)
    assert child.stdout and child.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    assert child.poll() is None
    child.kill()
    child.wait()
    child.stdout.close()


def check(connection: sqlite3.Connection, folder: Path) -> int:
    """Whatever SQLite holds is found, and nothing else; how much that is."""
    store = VectorStore(folder / "lance", TEST)
    store.sync(connection)
    held = embeddings.ids(connection, TEST)
    found = store.search(connection, vector(1), COUNT)
    assert sorted(number for number, _ in found) == held
    nearest = max(held, key=lambda i: _cosine(vector(i - FIRST), vector(1)))
    assert found[0][0] == nearest
    return len(held)


def _cosine(one: Vector, other: Vector) -> float:
    return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))


def test_kills_leave_no_trace(tmp_path: Path) -> None:
    connection = database.connect(tmp_path / "bot.sqlite3")
    texts = (Message(FIRST + n, 1, 2, "a", "a text of some length") for n in range(COUNT))
    messages.save(connection, texts)
    dice, counts = random.Random(5), []
    for _ in range(KILLS):
        live_and_be_killed(tmp_path, dice.uniform(0.0, 0.6))
        counts.append(check(connection, tmp_path))
    assert counts == sorted(counts) and counts[-1] > counts[0]  # each life adds more than it drops
