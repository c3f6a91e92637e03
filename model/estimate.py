"""How long a model of some size would take to reply on this machine, before it is here.

To write a token, the processor passes all weights through memory once; to read one, it calculates
with all of them. Both go with the size of the file. So what `model/speed.py` measured of one model
tells of all; until it has measured one, the speed of memory tells roughly.
"""

import dataclasses
import functools
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeGuard

import psutil

REMEMBERED = "measured.json"  # in the models folder
READ, WRITTEN = 32, 16  # tokens of a short reply: what was said since the last one, and its words
BESIDES = 100_000_000  # bytes: as if a model were so much larger, since not all is weights

# Until a model was measured: what two cores with AVX2 did, with models of 0.1 and 2 GB.
READ_BY_A_CORE = 20e9  # bytes of weights times tokens, a second
WRITTEN_OF_COPIED = 1.5  # weights pass so much faster than one core copies memory
COPIED_BYTES = 1 << 26  # more than caches hold
COPY_SECONDS = 0.1


@dataclasses.dataclass(frozen=True)
class Pace:
    """Bytes of weights times tokens, a second: as a prompt is read, and as a reply is written."""

    read: float
    written: float

    @classmethod
    def of(cls, size_bytes: int, read: float, written: float) -> "Pace":
        """From the tokens a second of a model of that size."""
        return cls(read * (size_bytes + BESIDES), written * (size_bytes + BESIDES))

    def reply_seconds(self, size_bytes: int) -> float:
        """What a model of that size takes for a short reply."""
        return (size_bytes + BESIDES) * (READ / self.read + WRITTEN / self.written)


@dataclasses.dataclass(frozen=True)
class Estimate:
    """The pace of each model that was measured, by its file, and that expected of the others."""

    measured: Mapping[str, Pace]
    others: Pace
    basis: str  # a sentence for people

    def reply_seconds(self, file: str, size_bytes: int) -> float:
        """What a model takes for a short reply in a conversation that it follows."""
        return self.measured.get(file, self.others).reply_seconds(size_bytes)


def look(models_dir: Path) -> Estimate:
    """From what was measured here, else from memory's speed, which takes a fraction of a second."""
    found = _measured(read(models_dir / REMEMBERED))
    paces = {file: pace for file, (_, pace) in found.items()}
    if found:
        # the largest is most like those that one would rather have
        largest = max(found, key=lambda file: found[file][0])
        return Estimate(paces, paces[largest], f"Judged by {largest}, as it was measured here.")
    speed = copied_per_second()
    cores = psutil.cpu_count(logical=False) or os.cpu_count() or 1
    basis = f"A guess from memory that moves {speed / 1e9:.0f} GB/s, until a model has run here."
    return Estimate({}, Pace(cores * READ_BY_A_CORE, WRITTEN_OF_COPIED * speed), basis)


def entry(size_bytes: int, read: float, written: float) -> dict[str, Any]:
    """What is remembered of a model that reads and writes so many tokens a second."""
    return {"bytes": size_bytes, "read": read, "written": written, "machine": _machine()}


def read(file: Path) -> dict[str, Any]:
    """What was measured; nothing where the file is not there or damaged."""
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def shown(seconds: float) -> str:
    """As people say it."""
    if seconds < 1:
        return "under 1 s"
    return f"about {seconds:.0f} s" if seconds < 100 else "minutes"


@functools.cache
def copied_per_second() -> float:
    """Bytes that one core reads and writes a second while it copies memory."""
    source, target = (bytearray(b"\1") * COPIED_BYTES for _ in range(2))
    view, copied, end = memoryview(target), 0, time.perf_counter() + COPY_SECONDS
    started = time.thread_time()  # others may be using the core, too
    while not copied or time.perf_counter() < end:
        view[:] = source
        copied += 2 * COPIED_BYTES
    return copied / max(time.thread_time() - started, 1e-3)


def _measured(known: Mapping[str, Any]) -> dict[str, tuple[int, Pace]]:
    """Size and pace of each model that was measured on this machine, by the name of its file."""
    found = {}
    for key, value in known.items():
        pace = value.get("pace") if isinstance(value, dict) else None
        if not isinstance(pace, dict) or pace.get("machine") != _machine():
            continue
        size, read, written = (pace.get(name) for name in ("bytes", "read", "written"))
        if type(size) is int and 0 < size < 2**60 and _is_rate(read) and _is_rate(written):
            found[key.rsplit(" ", 3)[0]] = (size, Pace.of(size, read, written))
    return found


def _is_rate(value: Any) -> TypeGuard[float]:
    return type(value) in (int, float) and 1e-3 < value < 1e15  # NaN is neither


def _machine() -> str:
    """Tells whether a models folder came from another computer."""
    return f"{os.cpu_count()} cores, {psutil.virtual_memory().total >> 30} GB"
