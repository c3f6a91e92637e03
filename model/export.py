"""From a LoRA adapter to the GGUF that the bot runs: graft, then quantise.

The adapter's product is added to the tensors of the base GGUF itself. Tokeniser, template and
hyperparameters are carried over unchanged, so nothing is converted that could be converted wrongly,
and neither torch nor the base's original weights are needed.
"""

import contextlib
import ctypes
import dataclasses
import json
import logging
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gguf
import llama_cpp
import numpy as np
import numpy.typing as npt
import safetensors.numpy
from gguf import GGUFReader, GGUFWriter

from bot import logs
from bot.config import UserError
from model import catalog, provenance, runs
from model.runs import Run
from storage.database import Model

Matrix = npt.NDArray[Any]

QUANTS = ("Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0", "Q4_0", "F16")

# Whether llama.cpp's converter interleaves the rows of q and k for an architecture's rope.
_INTERLEAVED = {"llama": True, "qwen2": False, "qwen3": False, "gemma3": False}
_WRITTEN_BY_GGUF = ("GGUF.", "general.architecture", "general.quantization_version")


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


@dataclasses.dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight matrix: `b @ a`, of shape (outputs, inputs)."""

    a: Matrix
    b: Matrix


def folder(models_dir: Path, name: str) -> Path:
    """Where the files of a fine-tuned model live."""
    return models_dir / "finetuned" / name


def export(run: Run, models_dir: Path, quant: str = "Q4_K_M") -> Exported:
    """The model's GGUF, made the first time. Raises `UserError` where that cannot be done."""
    with contextlib.suppress(UserError):
        return find(models_dir, run.name, quant)
    base = _open_base(models_dir / run.plan.base_gguf, run)
    target = folder(models_dir, run.name)
    _check_space(base, models_dir)
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = target / f"{run.name}.{quant}.gguf"
    with _temporary(target / f"{run.name}.f16.partial", path.with_suffix(".partial")) as files:
        grafted, quantised = files
        graft(base, run.adapter, grafted, run.name)
        if quant == "F16":
            quantised = grafted
        else:
            quantise(grafted, quantised, quant)
        facts = _facts(run, base, target, quant, quantised)
        os.replace(quantised, path)
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


def graft(reader: GGUFReader, adapter: Path, target: Path, name: str) -> None:
    """Write the base with the adapter added, its matrices in float16, to `target`."""
    deltas = load_adapter(adapter, reader)
    writer = GGUFWriter(target, _text(reader, "general.architecture"))
    _copy_metadata(reader, writer, name)
    for tensor in reader.tensors:
        shape = [int(size) for size in reversed(tensor.shape)]
        kind = np.dtype(np.float16 if len(shape) > 1 else np.float32)
        writer.add_tensor_info(tensor.name, shape, kind, math.prod(shape) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in logs.track("export", reader.tensors, len(reader.tensors)):
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        if delta := deltas.pop(tensor.name, None):
            values = values + delta.b @ delta.a
        writer.write_tensor_data(values.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.close()


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


def load_adapter(adapter: Path, reader: GGUFReader) -> dict[str, Delta]:
    """The adapter's change of each tensor, by the tensor's name in the base and in its layout."""
    settings = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    divisor = math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]
    scale = settings["lora_alpha"] / divisor
    weights = safetensors.numpy.load_file(adapter / "adapter_model.safetensors")
    names = _tensor_names(reader)
    deltas = {}
    for key in sorted(weights):
        module, _, rest = key.removeprefix("base_model.model.").partition(".lora_A")
        if rest:
            target = f"{names[module]}.weight"
            b = weights[key.replace(".lora_A", ".lora_B")].astype(np.float32)
            b = interleave(b, _heads(reader, target)) if _is_interleaved(reader, target) else b
            deltas[target] = Delta(weights[key].astype(np.float32), scale * b)
    known = {tensor.name for tensor in reader.tensors}
    if not deltas or not known.issuperset(deltas):
        raise UserError(f"The adapter {adapter} does not fit its base model. {runs.TRAIN}")
    return deltas


def interleave(rows: Matrix, heads: int) -> Matrix:
    """Reorder the rows of each head as llama.cpp's rope pairs them: (0, n/2, 1, n/2 + 1, ...).

    Hugging Face's rope turns row i together with row i + n/2, llama.cpp's for this architecture
    turns neighbours. Source: `permute` in llama.cpp's convert_hf_to_gguf.py.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    mixed: Matrix = halves.swapaxes(1, 2).reshape(rows.shape)
    return mixed


def _is_interleaved(reader: GGUFReader, tensor: str) -> bool:
    is_rotated = tensor.endswith((".attn_q.weight", ".attn_k.weight"))
    return is_rotated and _INTERLEAVED[_text(reader, "general.architecture")]


def _heads(reader: GGUFReader, tensor: str) -> int:
    """How many heads a q or k tensor has."""
    prefix = f"{_text(reader, 'general.architecture')}.attention.head_count"
    field = reader.fields.get(f"{prefix}_kv") if tensor.endswith("attn_k.weight") else None
    return int((field or reader.fields[prefix]).contents())


def _tensor_names(reader: GGUFReader) -> dict[str, str]:
    """Hugging Face's name of each block's matrices -> the GGUF's."""
    architecture = _text(reader, "general.architecture")
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    blocks = int(reader.fields[f"{architecture}.block_count"].contents())
    names = gguf.get_tensor_name_map(kinds[architecture], blocks)
    return {theirs: ours for theirs, (_, ours) in names.mapping.items()}


def _copy_metadata(reader: GGUFReader, writer: GGUFWriter, name: str) -> None:
    changed = {"general.name": name, "general.file_type": int(gguf.LlamaFileType.MOSTLY_F16)}
    for field in reader.fields.values():
        if field.name.startswith(_WRITTEN_BY_GGUF):
            continue
        value = changed.get(field.name, field.contents())
        of = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, value, field.types[0], sub_type=of)


def _text(reader: GGUFReader, key: str) -> str:
    return str(reader.fields[key].contents())


def _open_base(base: Path, run: Run) -> GGUFReader:
    """The base. Raises `UserError` unless it is the file that the adapter was trained on."""
    catalog.check_gguf(base)
    if catalog.sha256(base) != run.plan.base_sha256:
        raise UserError(
            f"{base} has changed since {run.name} was trained on it. Put the old file back, or "
            "train again with scripts/3_train_model.py."
        )
    reader = GGUFReader(base)
    architecture = _text(reader, "general.architecture")
    if architecture not in _INTERLEAVED:
        raise UserError(
            f"Models of the family {architecture!r} cannot be exported yet; "
            f"these can: {', '.join(_INTERLEAVED)}. Train one of those."
        )
    return reader


def _check_space(base: GGUFReader, target: Path) -> None:
    """Raise `UserError` unless a float16 copy and a quantised one fit beside each other."""
    numbers = sum(int(tensor.n_elements) for tensor in base.tensors)
    needed, free = 3 * numbers, shutil.disk_usage(target).free
    if free < needed:
        raise UserError(
            f"Exporting needs {needed / 1e9:.1f} GB of disk space for a while and {target} has "
            f"{free / 1e9:.1f} GB. Make room and run the same command again."
        )


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
