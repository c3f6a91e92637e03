"""The adapter's product, added to the tensors of the base GGUF itself.

Tokeniser, template and hyperparameters are carried over unchanged, so nothing is converted that
could be converted wrongly, and neither torch nor the base's original weights are needed.
"""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import safetensors.numpy
from gguf import GGUFReader, GGUFWriter

from bot import logs
from bot.config import UserError
from model import runs

Matrix = npt.NDArray[Any]

# Whether llama.cpp's converter interleaves the rows of q and k for an architecture's rope.
# Mistral's models are llamas to it.
INTERLEAVED = {"llama": True, "qwen2": False, "qwen3": False, "gemma3": False, "phi3": False}
_A = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<table>embedding_)?A(?P<rest>.*)")
_B = r"base_model.model.\g<module>.lora_\g<table>B\g<rest>"
_WRITTEN_BY_GGUF = ("GGUF.", "general.architecture", "general.quantization_version")


@dataclasses.dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight matrix: `b @ a`, of shape (outputs, inputs)."""

    a: Matrix
    b: Matrix


def graft(reader: GGUFReader, adapter: Path, target: Path, name: str) -> None:
    """Write the base with the adapter added, its matrices in float16, to `target`."""
    deltas = load_adapter(adapter, reader)
    writer = GGUFWriter(target, text(reader, "general.architecture"))
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


def write_adapter(reader: GGUFReader, adapter: Path, target: Path, name: str) -> None:
    """Write the adapter alone, as a GGUF that llama.cpp adds to the base while it runs."""
    deltas = load_adapter(adapter, reader)
    writer = GGUFWriter(target, text(reader, "general.architecture"))
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_name(name)
    rank = max(len(delta.a) for delta in deltas.values())
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, rank)  # which multiplies by alpha / rank: 1
    for tensor, delta in deltas.items():
        writer.add_tensor(f"{tensor}.lora_a", delta.a.astype(np.float32))
        writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(delta.b, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load_adapter(adapter: Path, reader: GGUFReader) -> dict[str, Delta]:
    """The adapter's change of each tensor, by the tensor's name in the base and in its layout."""
    settings = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    divisor = math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]
    scale = settings["lora_alpha"] / divisor
    weights = safetensors.numpy.load_file(adapter / "adapter_model.safetensors")
    names = _tensor_names(reader)
    deltas = {}
    for key in sorted(weights):
        found = _A.fullmatch(key)
        module = found and found["module"].replace("model.language_model.", "model.")
        if found and module in names:
            target = f"{names[module]}.weight"
            a, b = (weights[name].astype(np.float32) for name in (key, _A.sub(_B, key)))
            if found["table"]:  # of an embedding, both are kept the other way round
                a, b = b.T, a.T
            b = interleave(b, _heads(reader, target)) if _is_interleaved(reader, target) else b
            deltas[target] = Delta(a, scale * b)
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
    return is_rotated and INTERLEAVED[text(reader, "general.architecture")]


def _heads(reader: GGUFReader, tensor: str) -> int:
    """How many heads a q or k tensor has."""
    prefix = f"{text(reader, 'general.architecture')}.attention.head_count"
    field = reader.fields.get(f"{prefix}_kv") if tensor.endswith("attn_k.weight") else None
    return int((field or reader.fields[prefix]).contents())


def _tensor_names(reader: GGUFReader) -> dict[str, str]:
    """Hugging Face's name of each block's matrices -> the GGUF's."""
    architecture = text(reader, "general.architecture")
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


def text(reader: GGUFReader, key: str) -> str:
    return str(reader.fields[key].contents())
