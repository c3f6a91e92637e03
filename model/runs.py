"""A training's folder: what was asked, how far it is, and the proof that it is complete.

models/training/NAME/
    plan.json      what was asked for; written first
    data.json      whom it learned from, see model/provenance.py
    loss.jsonl     one line a step, and one for each look at held-out replies
    sft/           a stage: replies/, checkpoints/ for --resume, best/ the weights it comes to,
    dpo/           and stage.json, written last; removed when all stages are complete
    adapter/       the LoRA weights
    run.json       written last: its presence proves that the rest is complete
"""

import dataclasses
import json
import os
import re
import shutil
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from bot.config import UserError
from model.recipe import SFT, Recipe
from storage import lock_file

COMPLETE = "complete"  # the marker in a checkpoint's folder
TRAIN = "Run scripts/3_train_model.py first."
NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")  # of a model: no path, and not hidden

_QUANT = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32)$", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training was asked to do; `base_weights` "" means the weights of `base_gguf`."""

    base: str
    base_gguf: str
    base_weights: str
    base_sha256: str
    data_hash: str
    recipe: Recipe
    started_at: float
    stages: tuple[str, ...] = (SFT,)


@dataclasses.dataclass(frozen=True)
class Run:
    """A complete training; the losses are the first stage's over its first and last tenth.

    `stages` has what each stage came to: steps, losses, and what held-out replies said of it.
    """

    name: str
    folder: Path
    plan: Plan
    steps: int
    first_loss: float
    last_loss: float
    seconds: float
    finished_at: float
    stages: dict[str, Any]

    @property
    def adapter(self) -> Path:
        return self.folder / "adapter"


def root(models_dir: Path) -> Path:
    """Where trainings live."""
    return models_dir / "training"


def title(gguf: Path) -> str:
    """A model's name from its file's: without the ending that names the quantisation."""
    return _QUANT.sub("", gguf.stem)


def new_folder(models_dir: Path, base: str, name: str | None) -> Path:
    """A folder for a new training, not made yet. Raises `UserError` for a name that is taken."""
    name = name or f"{base}-{time.strftime('%Y%m%d-%H%M%S')}"
    if not NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a model: use letters, digits, dots and dashes.")
    folder = root(models_dir) / name
    if folder.exists():
        raise UserError(
            f"A training named {name} exists. Add --resume to continue it, or choose another name."
        )
    return folder


def check_space(parameters: int, models_dir: Path) -> None:
    """Raise `UserError` unless the exported model fits beside its float16 copy."""
    models_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    needed, free = 3 * parameters, shutil.disk_usage(models_dir).free
    if free < needed:
        raise UserError(
            f"A trained model of this size needs {needed / 1e9:.1f} GB of disk space while it is "
            f"exported, and {models_dir} has {free / 1e9:.1f} GB. Make room and run this again."
        )


def write_plan(folder: Path, plan: Plan) -> None:
    """Make the folder and keep what was asked for."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(folder / "plan.json", dataclasses.asdict(plan))


def read_plan(folder: Path) -> Plan:
    """What a training was asked to do. Raises `UserError` where that cannot be read."""
    fields = _read_json(folder / "plan.json")
    try:
        recipe = Recipe(**fields["recipe"])
        return Plan(**{**fields, "recipe": recipe, "stages": tuple(fields["stages"])})
    except (KeyError, TypeError):
        raise UserError(f"{folder / 'plan.json'} is not from this release. {TRAIN}") from None


def stage_facts(folder: Path, stage: str) -> dict[str, Any] | None:
    """What a stage came to; None while it is not complete."""
    path = folder / stage / "stage.json"
    return _read_json(path) if path.exists() else None


def finish_stage(folder: Path, stage: str, facts: dict[str, Any]) -> None:
    """Make a stage complete, and drop its checkpoints."""
    (folder / stage).mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(folder / stage / "stage.json", facts)
    shutil.rmtree(folder / stage / "checkpoints", ignore_errors=True)


def finish(folder: Path, plan: Plan) -> Run:
    """Write run.json, which makes the training complete, and drop what only led to it."""
    stages = {stage: stage_facts(folder, stage) or {} for stage in plan.stages}
    first, *_ = stages.values()
    facts = {
        "steps": sum(facts["steps"] for facts in stages.values()),
        "first_loss": first["first_loss"],
        "last_loss": first["last_loss"],
        "seconds": round(sum(facts["seconds"] for facts in stages.values()), 1),
        "finished_at": time.time(),
        "stages": stages,
    }
    best = folder / plan.stages[-1] / "best"
    if best.exists():  # not if this was interrupted right here before
        shutil.rmtree(folder / "adapter", ignore_errors=True)
        os.replace(best, folder / "adapter")
    write_json(folder / "run.json", {**dataclasses.asdict(plan), **facts})
    for stage in plan.stages:
        shutil.rmtree(folder / stage, ignore_errors=True)
    return read(folder)


def read(folder: Path) -> Run:
    """A complete training, from its folder."""
    facts = _read_json(folder / "run.json")
    names = ("steps", "first_loss", "last_loss", "seconds", "finished_at")
    numbers = {name: facts[name] for name in names}
    return Run(folder.name, folder, read_plan(folder), **numbers, stages=facts.get("stages", {}))


def find(models_dir: Path, name: str | None = None) -> Run:
    """A complete training by name, else the newest. Raises `UserError` when there is none."""
    complete = sorted(root(models_dir).glob("*/run.json"), key=lambda path: path.stat().st_mtime)
    if name is None and complete:
        return read(complete[-1].parent)
    for path in complete:
        if path.parent.name == name:
            return read(path.parent)
    known = ", ".join(path.parent.name for path in complete) or "none yet"
    wanted = f"no trained model named {name}" if name else "no trained model"
    raise UserError(f"There is {wanted} in {root(models_dir)} (there: {known}). {TRAIN}")


def find_unfinished(models_dir: Path, name: str | None = None) -> Path:
    """The training to resume: by name, else the newest that is not complete."""
    plans = sorted(root(models_dir).glob("*/plan.json"), key=lambda path: path.stat().st_mtime)
    for path in reversed(plans):
        if name in (None, path.parent.name) and not (path.parent / "run.json").exists():
            return path.parent
    raise UserError("There is no unfinished training to resume. Run this without --resume.")


def checkpoint(folder: Path) -> Path | None:
    """The newest complete checkpoint of a stage; what was left incomplete is removed."""
    complete = []
    for path in (folder / "checkpoints").glob("checkpoint-*"):
        if (path / COMPLETE).exists():
            complete.append(path)
        else:
            shutil.rmtree(path, ignore_errors=True)
    return max(complete, key=lambda path: int(path.name.partition("-")[2]), default=None)


def lock(models_dir: Path) -> AbstractContextManager[None]:
    """Hold the right to train. Raises `UserError` while another process holds it."""
    return lock_file.held(
        root(models_dir) / ".lock",
        "Another training is running. Wait until it is done, or stop it first.",
    )


def write_json(path: Path, value: Any) -> None:
    """Write a file that is either the old one or the whole new one."""
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", "utf-8")
    os.replace(partial, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {path}: {error}. {TRAIN}") from None
    if not isinstance(fields, dict):
        raise UserError(f"{path} is damaged. {TRAIN}")
    return fields
