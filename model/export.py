"""From a LoRA adapter to the GGUF that the bot runs: graft (`model/grafting.py`), then quantise.

Or the adapter as a file of its own, which llama.cpp adds to the base while it runs: a few megabytes
for each model that shares a base.
"""

import contextlib
import ctypes
import dataclasses
import json
import logging
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
from gguf import GGUFReader

from bot import logs
from bot.config import UserError
from model import catalog, grafting, provenance, runs
from model.runs import Run
from storage.database import Model

QUANTS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "Q4_0", "F16", catalog.ADAPTER)


@dataclasses.dataclass(frozen=True)
class Exported:
    """A fine-tuned model's file; `facts` is its folder's manifest."""

    name: str
    path: Path
    quant: str
    facts: dict[str, Any]

    @property
    def metrics(self) -> dict[str, Any]:
        """What script 4 measured of this very file; empty before."""
        return dict(self.facts["files"][self.quant]["metrics"])


def folder(models_dir: Path, name: str) -> Path:
    """Where the files of a fine-tuned model live."""
    return models_dir / "finetuned" / name


def export(run: Run, models_dir: Path, quant: str = "Q4_K_M") -> Exported:
    """The model's GGUF, made the first time. Raises `UserError` where that cannot be done."""
    with contextlib.suppress(UserError):
        return find(models_dir, run.name, quant)
    base = _open_base(models_dir / run.plan.base_gguf, run)
    target = folder(models_dir, run.name)
    if quant != catalog.ADAPTER:
        runs.check_space(sum(int(tensor.n_elements) for tensor in base.tensors), models_dir)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = target / f"{run.name}.{quant}.gguf"
    with _temporary(target / f"{run.name}.f16.partial", path.with_suffix(".partial")) as files:
        grafted, made = files
        if quant == catalog.ADAPTER:
            grafting.write_adapter(base, run.adapter, made, run.name)
        else:
            grafting.graft(base, run.adapter, grafted, run.name)
            if quant == "F16":
                made = grafted
            else:
                quantise(grafted, made, quant)
        facts = _facts(run, base, target, quant, made)
        os.replace(made, path)
    provenance.keep(run.folder / provenance.DATA, target)
    _write(target, facts)  # last: the manifest proves that the file is complete
    return Exported(run.name, path, quant, facts)


def find(models_dir: Path, name: str, quant: str = "Q4_K_M") -> Exported:
    """A model that was exported before. Raises `UserError` when there is none."""
    target = folder(models_dir, name)
    path = target / f"{name}.{quant}.gguf"
    facts = _manifest(target)
    known = facts.get("files", {}).get(quant)
    if not known or not path.exists() or path.stat().st_size != known["size"]:
        raise UserError(f"There is no exported model {name} ({quant}) in {target}.")
    return Exported(name, path, quant, facts)


def keep_metrics(exported: Exported, metrics: Mapping[str, Any]) -> Exported:
    """Write what was measured into the manifest."""
    facts = {**exported.facts}
    this = {**facts["files"][exported.quant], "metrics": dict(metrics)}
    facts["files"] = {**facts["files"], exported.quant: this}
    _write(exported.path.parent, facts)
    return dataclasses.replace(exported, facts=facts)


def row(exported: Exported) -> Model:
    """The model as the database keeps it."""
    facts = exported.facts
    return Model(
        name=exported.name,
        path=exported.path,
        base=facts["base"],
        data_hash=facts["data_hash"],
        metrics=exported.metrics,
        created_at=facts["trained_at"],
        erased_people=provenance.erased_people(exported.path.parent),
    )


def quantise(source: Path, target: Path, quant: str) -> None:
    """Write `source` in fewer bits. Raises `UserError` when llama.cpp cannot."""
    logging.getLogger("llama-cpp-python").setLevel(logging.CRITICAL)  # it warns by the page
    parameters = llama_cpp.llama_model_quantize_default_params()
    parameters.ftype = int(gguf.LlamaFileType[f"MOSTLY_{quant}"])
    logs.report(logs.Progress("quantise", 0, 0, None, quant))
    failed = llama_cpp.llama_model_quantize(
        os.fsencode(source), os.fsencode(target), ctypes.byref(parameters)
    )
    if failed:
        raise UserError(
            f"llama.cpp could not write {target} as {quant}. Check that the disk is not full, "
            "or try another --quant."
        )


def _open_base(base: Path, run: Run) -> GGUFReader:
    """The base. Raises `UserError` unless it is the file that the adapter was trained on."""
    catalog.check_gguf(base)
    if catalog.sha256(base) != run.plan.base_sha256:
        raise UserError(
            f"{base} has changed since {run.name} was trained on it. Put the old file back, or "
            "train again with scripts/3_train_model.py."
        )
    reader = GGUFReader(base)
    architecture = grafting.text(reader, "general.architecture")
    if architecture not in grafting.INTERLEAVED:
        raise UserError(
            f"Models of the family {architecture!r} cannot be exported yet; "
            f"these can: {', '.join(grafting.INTERLEAVED)}. Train one of those."
        )
    return reader


@contextlib.contextmanager
def _temporary(*files: Path) -> Iterator[tuple[Path, ...]]:
    try:
        yield files
    finally:
        for file in files:
            file.unlink(missing_ok=True)


def _facts(run: Run, base: GGUFReader, target: Path, quant: str, file: Path) -> dict[str, Any]:
    this = {
        "size": file.stat().st_size,
        "sha256": catalog.sha256(file),
        "made_at": time.time(),
        "metrics": {},
    }
    return {
        "name": run.name,
        "base": run.plan.base,
        "base_gguf": run.plan.base_gguf,
        "base_sha256": run.plan.base_sha256,
        "licence": _licence(base),
        "data_hash": run.plan.data_hash,
        "recipe": dataclasses.asdict(run.plan.recipe),
        "stages": list(run.plan.stages),
        "steps": run.steps,
        "first_loss": run.first_loss,
        "last_loss": run.last_loss,
        "trained_at": run.finished_at,
        "files": {**_manifest(target).get("files", {}), quant: this},
    }


def _licence(base: GGUFReader) -> str:
    field = base.fields.get("general.license")
    return str(field.contents()) if field else "unknown: see the base model"


def _manifest(target: Path) -> dict[str, Any]:
    try:
        facts = json.loads((target / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _write(target: Path, facts: Mapping[str, Any]) -> None:
    runs.write_json(target / "manifest.json", dict(facts))
