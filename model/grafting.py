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
import safetensors
from gguf import GGUFReader, GGUFWriter

from bot import logs
from bot.config import UserError
from model import runs

Matrix = npt.NDArray[Any]

# Whether llama.cpp's converter interleaves the rows of q and k for an architecture's rope.
# Mistral's models are llamas to it.
INTERLEAVED = {"llama": True, "qwen2": False, "qwen3": False, "gemma3": False, "phi3": False}
EMBEDDINGS = ("token_embd.weight", "output.weight")
_KEY = re.compile(
    r"base_model\.model\.(?P<module>.+?)\.(?P<part>lora_(?:embedding_)?[AB]|weight)(?:\.weight)?"
)
_WRITTEN_BY_GGUF = ("GGUF.", "general.architecture", "general.quantization_version")


@dataclasses.dataclass(frozen=True)
class Delta:
    """What an adapter adds to one weight matrix: `b @ a`, of shape (outputs, inputs)."""

    a: Matrix
    b: Matrix

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.b), self.a.shape[1]


# what an adapter makes of one weight matrix: the sum with a delta, or a whole new one
Change = Delta | Matrix


def graft(reader: GGUFReader, adapter: Path, target: Path, name: str) -> None:
    """Write the base with the adapter added, its matrices in float16, to `target`."""
    changes = load_adapter(adapter, reader)
    writer = GGUFWriter(target, text(reader, "general.architecture"))
    _copy_metadata(reader, writer, name)
    for tensor in reader.tensors:
        kind = np.dtype(np.float16 if len(tensor.shape) > 1 else np.float32)
        size = math.prod(_shape(tensor)) * kind.itemsize
        writer.add_tensor_info(tensor.name, _shape(tensor), kind, size)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in logs.track("export", reader.tensors, len(reader.tensors)):
        values = _changed(tensor, changes.pop(tensor.name, None))
        writer.write_tensor_data(values.astype(np.float16 if values.ndim > 1 else np.float32))
    writer.close()


def _changed(tensor: gguf.ReaderTensor, change: Change | None) -> Matrix:
    if isinstance(change, np.ndarray):
        return change
    values: Matrix = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
    return values + change.b @ change.a if change else values


def write_adapter(reader: GGUFReader, adapter: Path, target: Path, name: str) -> None:
    """Write the adapter alone, as a GGUF that llama.cpp adds to the base while it runs.

    Raises `UserError` for one that has whole matrices.
    """
    changes = load_adapter(adapter, reader)
    writer = GGUFWriter(target, text(reader, "general.architecture"))
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_name(name)
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, 0)  # the scale is in b already
    for tensor, change in changes.items():
        if isinstance(change, np.ndarray):
            raise UserError(
                f"{name} was trained with whole embeddings, which are no part of a LoRA file. "
                "Deploy the whole model: python scripts/5_deploy_bot.py --quant Q4_K_M"
            )
        a, b = change.a, change.b
        if tensor == EMBEDDINGS[0]:  # llama.cpp looks rows of it up, and has it the other way round
            a, b = b, a.T
        writer.add_tensor(f"{tensor}.lora_a", np.ascontiguousarray(a))
        writer.add_tensor(f"{tensor}.lora_b", np.ascontiguousarray(b))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load_adapter(adapter: Path, reader: GGUFReader) -> dict[str, Change]:
    """The adapter's change of each tensor, by the tensor's name in the base and in its layout.

    Raises `UserError` where one has no place there: nothing that was learned is left out.
    """
    names, shapes = _tensor_names(reader), {t.name: _shape(t) for t in reader.tensors}
    changes: dict[str, Change] = {}
    for module, change in _changes(adapter).items():
        target = names.get(module.replace("model.language_model.", "model."), module) + ".weight"
        if target in EMBEDDINGS and EMBEDDINGS[1] not in shapes:
            raise UserError(
                f"The adapter {adapter} changes the embeddings, but its base has one matrix for "
                "its input and its output, so they cannot be merged. Train without --embeddings."
            )
        has_place = isinstance(change, Delta) or target in EMBEDDINGS
        if has_place and list(change.shape) == shapes.get(target):
            changes[target] = _as_in_base(change, reader, target)
        elif not isinstance(change, Delta) or change.b.any():  # else it was never trained
            raise UserError(f"The adapter {adapter} does not fit its base: {module}. {runs.TRAIN}")
    return changes


def _as_in_base(change: Change, reader: GGUFReader, target: str) -> Change:
    if isinstance(change, np.ndarray) or not _is_interleaved(reader, target):
        return change
    return Delta(change.a, interleave(change.b, _heads(reader, target)))


def _changes(adapter: Path) -> dict[str, Change]:
    """By Hugging Face's name of the module."""
    settings = json.loads((adapter / "adapter_config.json").read_text("utf-8"))
    divisor = math.sqrt(settings["r"]) if settings.get("use_rslora") else settings["r"]
    scale = np.float32(settings["lora_alpha"] / divisor)
    modules: dict[str, dict[str, Matrix]] = {}
    for key, values in _read(adapter / "adapter_model.safetensors").items():
        if not (found := _KEY.fullmatch(key)):
            raise UserError(f"The adapter {adapter} is more than a LoRA: it has {key}.")
        modules.setdefault(found["module"], {})[found["part"]] = values
    return {module: _change(modules[module], scale) for module in sorted(modules)}


def _change(parts: dict[str, Matrix], scale: np.float32) -> Change:
    if "weight" in parts:
        return parts["weight"]
    if "lora_embedding_A" in parts:  # of a table both are kept the other way round
        return Delta(parts["lora_embedding_B"].T, scale * parts["lora_embedding_A"].T)
    return Delta(parts["lora_A"], scale * parts["lora_B"])


def _read(path: Path) -> dict[str, Matrix]:
    """The arrays of a safetensors file, in float32."""
    arrays = {}
    for name, tensor in safetensors.deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
        kind, data = tensor["dtype"], tensor["data"]
        if kind == "BF16":  # unknown to numpy: the upper half of a float32
            values = (np.frombuffer(data, "<u2").astype("<u4") << 16).view("<f4")
        else:
            values = np.frombuffer(data, f"<f{int(kind[1:]) // 8}").astype(np.float32)
        arrays[name] = values.reshape(tensor["shape"])
    return arrays


def interleave(rows: Matrix, heads: int) -> Matrix:
    """Reorder the rows of each head as llama.cpp's rope pairs them: (0, n/2, 1, n/2 + 1, ...).

    Hugging Face's rope turns row i together with row i + n/2, llama.cpp's for this architecture
    turns neighbours. Source: `permute` in llama.cpp's convert_hf_to_gguf.py.
    """
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    mixed: Matrix = halves.swapaxes(1, 2).reshape(rows.shape)
    return mixed


def _shape(tensor: gguf.ReaderTensor) -> list[int]:
    """As numpy has it: (outputs, inputs)."""
    return [int(size) for size in reversed(tensor.shape)]


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
