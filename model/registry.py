"""The fine-tuned models on this machine: what is known of each, and which may be deployed.

models/finetuned/NAME/ holds NAME.QUANT.gguf, manifest.json, and data.json (see provenance.py).
"""

import contextlib
import dataclasses
import json
import re
from collections.abc import Collection, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bot.config import UserError
from model import catalog, export, provenance, runs
from model.export import Exported
from storage import database, lock_file
from storage.database import Model

MANIFEST = "manifest.json"
SAMPLED = ("temperature", "top_p", "min_p", "repeat_penalty")  # what is tuned

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclasses.dataclass(frozen=True)
class File:
    """A quantisation of a model, as the manifest tells of it."""

    size: int
    sha256: str
    bits_per_char: float | None
    forced: str = ""  # why it should not have been deployed


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A model's manifest.json, checked; `facts` is all of it, `files` is by quantisation."""

    name: str
    base: str
    licence: str
    data_hash: str
    trained_at: float
    stages: tuple[str, ...]
    files: dict[str, File]
    facts: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A line of the list of models: one for each file. `size` None: the file is gone."""

    name: str
    quant: str
    path: Path
    base: str
    licence: str
    stages: tuple[str, ...]
    bits_per_char: float | None
    size: int | None
    trained_at: float
    remark: str


def sampling(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a model was tuned to (step 4, --tune); what makes no sense is left out."""
    tuned = metrics.get("sampling")
    found = {}
    for name in SAMPLED:
        with contextlib.suppress(KeyError, TypeError, ValueError):
            found[name] = database.check_setting(name, str(tuned[name]))  # type: ignore[index]
    return found


def lock(models_dir: Path) -> AbstractContextManager[None]:
    """Hold the right to write below models/finetuned. Raises `UserError` while another does."""
    return lock_file.held(
        models_dir / "finetuned" / ".lock",
        "Another deployment or installation is running. Wait until it is done.",
    )


def parse(text: bytes) -> Manifest:
    """Read a manifest.json from anywhere. Raises `ValueError` that says what is wrong with it."""
    try:
        facts = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("the manifest is no JSON") from None
    if not isinstance(facts, dict):
        raise ValueError("the manifest is no object")
    stages = facts.get("stages", [])
    if not isinstance(stages, list):
        raise ValueError("the stages are no list")
    return Manifest(
        name=_name(_text(facts, "name")),
        base=_text(facts, "base"),
        licence=_text(facts, "licence"),
        data_hash=_text(facts, "data_hash"),
        trained_at=_number(facts, "trained_at", 1e11),
        stages=tuple(_text({"stage": stage}, "stage") for stage in stages),
        files=files(facts.get("files")),
        facts=facts,
    )


def files(known: Any) -> dict[str, File]:
    """What a manifest tells of files. Raises `ValueError` as `parse` does."""
    if not isinstance(known, dict):
        raise ValueError("the manifest does not tell of files")
    return {_name(name): _file(facts) for name, facts in known.items()}


def manifest(models_dir: Path, name: str) -> Manifest | None:
    """The manifest of a model that is here; None where there is none, or it is garbage."""
    try:
        found = parse((export.folder(models_dir, name) / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return found if found.name == name else None


def newest(models_dir: Path) -> str:
    """The name of the model that was trained last, here or elsewhere.

    Raises `UserError` when there is none at all.
    """
    dates = {known.name: known.trained_at for known in _manifests(models_dir)}
    try:
        run = runs.find(models_dir)
    except UserError:
        if not dates:
            raise
    else:
        dates[run.name] = run.finished_at
    return max(dates, key=lambda name: dates[name])


def entries(models_dir: Path, rows: Iterable[Model], barred: Collection[int]) -> list[Entry]:
    """Every model in models/finetuned or in the database, newest first; `barred` as below."""
    found = {
        export.folder(models_dir, known.name) / f"{known.name}.{quant}.gguf": (known, quant)
        for known in _manifests(models_dir)
        for quant in known.files
    }
    listed = [_entry(path, known, quant, barred) for path, (known, quant) in found.items()]
    listed += [_entry_of_row(row, barred) for row in rows if row.path not in found]
    return sorted(listed, key=lambda entry: entry.trained_at, reverse=True)


def check_people(name: str, folder: Path, barred: Collection[int], otherwise: str = "") -> None:
    """Raise `UserError` if the model in a folder learned from somebody whom it should not have.

    `barred` are the ids of people and of messages that may not be learned from; `otherwise` is
    another way out.
    """
    if reason := concern(folder, barred):
        raise UserError(
            f"{name} {reason}, and a model cannot forget. Run steps 2 and 3 again, and use the "
            f"new model{otherwise}."
        )


def check_file(exported: Exported) -> None:
    """Raise `UserError` unless a model's file is the very one that its manifest tells of."""
    if catalog.sha256(exported.path) != exported.facts["files"][exported.quant]["sha256"]:
        raise damaged(exported)


def damaged(exported: Exported) -> UserError:
    """What to say of a file that was changed since it was written."""
    return UserError(
        f"{exported.path} is not the file that was written: its sha256 is not the manifest's. "
        f"Delete the folder {exported.path.parent} and deploy or install the model again."
    )


def concern(folder: Path, barred: Collection[int]) -> str:
    """Whom a model should not have learned from, as what one says of it; "" for nobody."""
    if erased := _erased(provenance.erased_people(folder)):
        return erased
    is_barred = provenance.includes(folder / provenance.DATA, barred)
    return "learned from somebody who is excluded" if is_barred else ""


def _manifests(models_dir: Path) -> list[Manifest]:
    folders = sorted(path.parent for path in (models_dir / "finetuned").glob(f"*/{MANIFEST}"))
    found = (manifest(models_dir, folder.name) for folder in folders)
    return [known for known in found if known]


def _entry(path: Path, known: Manifest, quant: str, barred: Collection[int]) -> Entry:
    file, size = known.files[quant], path.stat().st_size if path.exists() else None
    remarks = [concern(path.parent, barred)]
    if file.forced:
        remarks.append(f"deployed by force: {file.forced}")
    if size != file.size:
        remarks.append("its file is gone" if size is None else "its file is damaged")
    return Entry(
        name=known.name,
        quant=quant,
        path=path,
        base=known.base,
        licence=known.licence,
        stages=known.stages,
        bits_per_char=file.bits_per_char,
        size=size,
        trained_at=known.trained_at,
        remark="; ".join(filter(None, remarks)),
    )


def _entry_of_row(row: Model, barred: Collection[int]) -> Entry:
    """What the database alone knows of."""
    size = row.path.stat().st_size if row.path.exists() else None
    remarks = [
        _erased(row.erased_people) or concern(row.path.parent, barred),
        "it has no manifest" if size else "its file is gone",
    ]
    return Entry(
        name=row.name,
        quant="",
        path=row.path,
        base=row.base,
        licence="",
        stages=(),
        bits_per_char=row.metrics.get("bits_per_char"),
        size=size,
        trained_at=row.created_at,
        remark="; ".join(filter(None, remarks)),
    )


def _erased(people: int) -> str:
    if not people:
        return ""
    return f"learned from {people} who {'was' if people == 1 else 'were'} erased since"


def _name(text: str) -> str:
    if not runs.NAME.fullmatch(text):
        raise ValueError("a name in the manifest is none")
    return text


def _file(known: Any) -> File:
    known = known if isinstance(known, dict) else {}
    metrics, digest = known.get("metrics", {}), known.get("sha256")
    if not isinstance(metrics, dict):
        raise ValueError("the metrics are no metrics")
    if not isinstance(digest, str) or not _SHA256.fullmatch(digest):
        raise ValueError("a file has no sha256")
    is_measured = metrics.get("bits_per_char") is not None
    return File(
        size=int(_number(known, "size", 1e15)),
        sha256=digest,
        bits_per_char=_number(metrics, "bits_per_char", 1e6) if is_measured else None,
        forced=str(metrics.get("forced", ""))[:500],
    )


def _text(facts: dict[str, Any], key: str) -> str:
    value = facts.get(key)
    if not isinstance(value, str) or len(value) > 1000 or not value.isprintable():
        raise ValueError(f"{key} is no plain text")
    return value


def _number(facts: dict[str, Any], key: str, most: float) -> float:
    value = facts.get(key)
    if not isinstance(value, (int, float)) or not 0 <= value <= most:  # nor is NaN
        raise ValueError(f"{key} is no number that can be")
    return float(value)
