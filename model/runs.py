"""A training's folder: what was asked, how far it is, and the proof that it is complete.

models/training/NAME/
    plan.json      what was asked for; written first
    data.json      whom it learned from, see model/provenance.py
    loss.jsonl     one line a step
    checkpoints/   for --resume; removed at the end
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
from storage import lock_file

COMPLETE = "complete"  # the marker in a checkpoint's folder
TRAIN = "Run scripts/3_train_model.py first."

_QUANT = re.compile(r"[.-](?:i?q\d\w*|b?f16|f32)$", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,99}")
_LIMITS = {
    "learning_rate": (1e-7, 1.0),
    "rank": (1, 1024),
    "alpha": (1, 4096),
    "dropout": (0.0, 0.9),
    "batch_size": (1, 4096),
    "accumulation": (1, 4096),
    "max_seq_length": (64, 131_072),
    "epochs": (0.001, 1000),
    "max_steps": (0, 10_000_000),
    "warmup": (0.0, 1.0),
    "clip": (0.0, 1000.0),
    "seed": (0, 2**32 - 1),
}


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How to train. The defaults are measured: 60 steps of the small model on a CPU."""

    learning_rate: float = 1e-3
    rank: int = 16
    alpha: int = 32
    dropout: float = 0.0
    batch_size: int = 4  # at a time: twice as many take 1 to 2 GB more and no less time
    accumulation: int = 2
    max_seq_length: int = 192
    epochs: float = 1.0
    max_steps: int = 0  # 0: as many as `epochs` make
    warmup: float = 0.03
    clip: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _LIMITS.items():
            if not low <= getattr(self, name) <= high:
                flag = "--" + name.replace("_", "-")
                raise UserError(f"{flag} must be from {low:g} to {high:g}.")


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


@dataclasses.dataclass(frozen=True)
class Run:
    """A complete training. Losses are nats a token, over the first and last tenth of the steps."""

    name: str
    folder: Path
    plan: Plan
    steps: int
    first_loss: float
    last_loss: float
    seconds: float
    finished_at: float

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
    if not _NAME.fullmatch(name):
        raise UserError(f"{name!r} is no name for a model: use letters, digits, dots and dashes.")
    folder = root(models_dir) / name
    if folder.exists():
        raise UserError(
            f"A training named {name} exists. Add --resume to continue it, or choose another name."
        )
    return folder


def write_plan(folder: Path, plan: Plan) -> None:
    """Make the folder and keep what was asked for."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(folder / "plan.json", dataclasses.asdict(plan))


def read_plan(folder: Path) -> Plan:
    """What a training was asked to do. Raises `UserError` where that cannot be read."""
    fields = _read_json(folder / "plan.json")
    try:
        return Plan(**{**fields, "recipe": Recipe(**fields["recipe"])})
    except (KeyError, TypeError):
        raise UserError(f"{folder / 'plan.json'} is not from this release. {TRAIN}") from None


def finish(folder: Path, steps: int, losses: list[float], seconds: float) -> Run:
    """Write run.json, which makes the training complete, and drop its checkpoints."""
    tenth = max(1, len(losses) // 10)
    facts = {
        "steps": steps,
        "first_loss": sum(losses[:tenth]) / tenth,
        "last_loss": sum(losses[-tenth:]) / tenth,
        "seconds": round(seconds, 1),
        "finished_at": time.time(),
    }
    write_json(folder / "run.json", {**dataclasses.asdict(read_plan(folder)), **facts})
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    return read(folder)


def read(folder: Path) -> Run:
    """A complete training, from its folder."""
    facts = _read_json(folder / "run.json")
    names = ("steps", "first_loss", "last_loss", "seconds", "finished_at")
    return Run(folder.name, folder, read_plan(folder), *(facts[name] for name in names))


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
    """The newest complete checkpoint of a training; what was left incomplete is removed."""
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
