"""Fine-tuned models without a training: folders as export and the trainer leave them."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import safetensors.numpy

from model import catalog, export, provenance, runs
from model.recipe import Recipe
from model.runs import Plan, Run

FIRST = 1_100_000_000_000_000_000  # the id of the first message that these models learned from


def exported(
    models_dir: Path, gguf: Path, name: str = "amber", trained_at: float = 1.7e9
) -> export.Exported:
    """A model in models/finetuned whose file is a copy of `gguf`."""
    folder = export.folder(models_dir, name)
    folder.mkdir(parents=True)
    path = folder / f"{name}.Q4_K_M.gguf"
    path.write_bytes(gguf.read_bytes())
    known = {"size": path.stat().st_size, "sha256": catalog.sha256(path), "made_at": trained_at}
    facts = {
        "name": name,
        "base": "SmolLM2-135M-Instruct",
        "base_sha256": "0" * 64,
        "licence": "apache-2.0",
        "data_hash": "abc",
        "recipe": dataclasses.asdict(Recipe()),
        "stages": ["sft", "dpo"],
        "trained_at": trained_at,
        "files": {"Q4_K_M": {**known, "metrics": {"bits_per_char": 1.5}}},
    }
    runs.write_json(folder / "manifest.json", facts)
    _write_data(folder)
    return export.find(models_dir, name)


def trained(models_dir: Path, base: Path, name: str = "amber") -> Run:
    """A complete training in models/training whose adapter changes little."""
    folder = runs.root(models_dir) / name
    plan = Plan("tiny", str(base), "", catalog.sha256(base), "abc", Recipe(rank=2), 1.0)
    runs.write_plan(folder, plan)
    _write_data(folder)
    adapter = folder / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 2, "lora_alpha": 2}')
    key = "base_model.model.model.layers.0.self_attn.o_proj.lora_"
    weights = {f"{key}A.weight": np.ones((2, 256)), f"{key}B.weight": np.zeros((256, 2))}
    safetensors.numpy.save_file(weights, adapter / "adapter_model.safetensors")
    facts = {"steps": 3, "first_loss": 2.0, "last_loss": 1.0, "seconds": 1.0}
    runs.finish_stage(folder, "sft", facts)
    return runs.finish(folder, plan)


def _write_data(folder: Path) -> None:
    hashes = [provenance.message_hash(FIRST + number) for number in range(20)]
    (folder / provenance.DATA).write_text(json.dumps({"train": 20, "message_hashes": hashes}))
