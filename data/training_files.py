"""The files that step 2 writes: all of them new, or all of them as they were.

train.jsonl              examples to learn from
valid.jsonl              examples held out, the newest of each channel
preferences.jsonl        replies to learn from that people liked
valid_preferences.jsonl  the same of those held out
manifest.json            what they were made of, written last
"""

import hashlib
import os
from collections import Counter
from pathlib import Path
from typing import Any, BinaryIO

import orjson

NAMES = ("train", "valid", "preferences", "valid_preferences")


class TrainingFiles:
    """JSON lines, readable by the owner only, put in place together when complete."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._folder = folder
        self._files = {name: _create(self._partial(f"{name}.jsonl")) for name in NAMES}
        self._hashes = {name: hashlib.sha256() for name in NAMES}
        self.rows: Counter[str] = Counter()

    def write(self, name: str, row: dict[str, Any]) -> None:
        """Add a row to one of the files."""
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        self._files[name].write(line)
        self._hashes[name].update(line)
        self.rows[name] += 1

    def finish(self, manifest: dict[str, Any]) -> None:
        """Put the files in place; the manifest gets the hash of each, and one of all."""
        self.close()
        hashes = {f"{name}.jsonl": done.hexdigest() for name, done in self._hashes.items()}
        whole = hashlib.sha256("".join(hashes.values()).encode()).hexdigest()
        manifest = {**manifest, "file_hashes": hashes, "data_hash": whole}
        with _create(self._partial("manifest.json")) as file:
            file.write(orjson.dumps(manifest))
        (self._folder / "manifest.json").unlink(missing_ok=True)  # it is the proof of the others
        for name in (*(f"{name}.jsonl" for name in NAMES), "manifest.json"):
            os.replace(self._partial(name), self._folder / name)

    def close(self) -> None:
        """Let go of the files; what was not finished is overwritten by the next run."""
        for file in self._files.values():
            file.close()

    def _partial(self, name: str) -> Path:
        return self._folder / f"{name}.partial"


def _create(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
