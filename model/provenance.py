"""From whose messages a model learned: hashes of ids, in a file beside the model.

models/training/NAME/data.json and models/finetuned/NAME/data.json are copies of the prepared
data's manifest, so that a model can be found again when somebody is erased.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

from model import runs

DATA = "data.json"
_ERASED = "erased"  # hashes of the ids of people who were erased since


def message_hash(number: int) -> str:
    """How a manifest names a message, or a person."""
    return hashlib.sha256(str(number).encode()).hexdigest()[:16]


def keep(source: Path, folder: Path) -> None:
    """Copy a manifest beside a model; a model without one has no answer to whom it learned from."""
    if source.exists():
        partial = folder / f"{DATA}.partial"
        shutil.copyfile(source, partial)
        os.replace(partial, folder / DATA)


def learned_from(models_dir: Path, ids: Collection[int]) -> list[Path]:
    """The folders of all models, finished or not, that learned from any of these.

    Ids are of messages, or of people: a model trained elsewhere may know somebody whose messages
    were never stored here.
    """
    wanted = set(map(message_hash, ids))
    return [path.parent for path in _manifests(models_dir) if wanted & _hashes(_read(path))]


def includes(manifest: Path, ids: Collection[int]) -> bool:
    """Whether prepared data was made of any of these messages, or of anything by these people."""
    return bool(set(map(message_hash, ids)) & _hashes(_read(manifest)))


def erased_people(folder: Path) -> int:
    """How many people whom this model learned from were erased since."""
    return len(_read(folder / DATA).get(_ERASED, ()))


def mark_erased(folder: Path, user_id: int) -> int:
    """Note that a person was erased; how many there are now. Noting it twice changes nothing."""
    facts = _read(folder / DATA)
    erased = sorted({*facts.get(_ERASED, ()), message_hash(user_id)})
    runs.write_json(folder / DATA, {**facts, _ERASED: erased})
    return len(erased)


def _manifests(models_dir: Path) -> list[Path]:
    return sorted(models_dir.glob(f"*/*/{DATA}"))


def _hashes(facts: dict[str, Any]) -> set[str]:
    return {*facts.get("message_hashes", ()), *facts.get("people_hashes", ())}


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}
