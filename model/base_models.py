"""The base models one can start with, and which of them fit this machine.

Sizes are of the file named; layers and heads are from each model's own configuration.
"""

import dataclasses
import os
import shutil
from pathlib import Path

import psutil

from model.catalog import SMALL_MODEL

FITS, TIGHT, TOO_BIG = "fits", "tight", "too big"

SMALL = "smollm2-135m"
RECOMMENDED = "qwen2.5-3b"

RUNTIME_BYTES = 700_000_000  # the bot, its vectors, and llama.cpp's own buffers
USABLE = 0.875  # of a memory: other programs have the rest, as in `model/planner.py`
SPARE_DISK_BYTES = 500_000_000  # messages, logs, and room for the system


@dataclasses.dataclass(frozen=True)
class BaseModel:
    """A GGUF on the Hugging Face hub; without a `repo`, one that comes as a package."""

    key: str
    title: str
    repo: str
    file: str
    size_bytes: int
    layers: int
    kv_heads: int
    head_size: int
    licence: str
    licence_page: str
    is_free_for_business: bool
    remark: str

    def memory_bytes(self, context_length: int = 2048) -> int:
        """What a bot with this model takes: the file, keys and values at 16 bits, the rest."""
        cache = 2 * 2 * self.layers * self.kv_heads * self.head_size * context_length
        return self.size_bytes + cache + RUNTIME_BYTES


BASE_MODELS = (
    BaseModel(
        key=RECOMMENDED,
        title="Qwen2.5 3B",
        repo="Qwen/Qwen2.5-3B-Instruct-GGUF",
        file="qwen2.5-3b-instruct-q4_k_m.gguf",
        size_bytes=2_104_932_768,
        layers=36,
        kv_heads=2,
        head_size=128,
        licence="Qwen Research",
        licence_page="https://huggingface.co/Qwen/Qwen2.5-3B-Instruct/blob/main/LICENSE",
        is_free_for_business=False,
        remark="Writes most like people do",
    ),
    BaseModel(
        key="llama-3.2-3b",
        title="Llama 3.2 3B",
        repo="bartowski/Llama-3.2-3B-Instruct-GGUF",
        file="Llama-3.2-3B-Instruct-Q4_K_M.gguf",
        size_bytes=2_019_377_696,
        layers=28,
        kv_heads=8,
        head_size=128,
        licence="Llama 3.2 Community",
        licence_page="https://www.llama.com/llama3_2/license/",
        is_free_for_business=True,
        remark="Name Llama in what you publish",
    ),
    BaseModel(
        key="ministral-3-3b",
        title="Ministral 3 3B",
        repo="mistralai/Ministral-3-3B-Instruct-2512-GGUF",
        file="Ministral-3-3B-Instruct-2512-Q4_K_M.gguf",
        size_bytes=2_150_000_000,
        layers=26,
        kv_heads=8,
        head_size=128,
        licence="Apache-2.0",
        licence_page="https://www.apache.org/licenses/LICENSE-2.0",
        is_free_for_business=True,
        remark="Many languages; the freest 3B",
    ),
    BaseModel(
        key="gemma-3-1b",
        title="Gemma 3 1B",
        repo="ggml-org/gemma-3-1b-it-GGUF",
        file="gemma-3-1b-it-Q4_K_M.gguf",
        size_bytes=806_058_272,
        layers=26,
        kv_heads=1,
        head_size=256,
        licence="Gemma Terms of Use",
        licence_page="https://ai.google.dev/gemma/terms",
        is_free_for_business=True,
        remark="For little memory",
    ),
    BaseModel(
        key="deepseek-r1-1.5b",
        title="DeepSeek-R1 Distill Qwen 1.5B",
        repo="bartowski/DeepSeek-R1-Distill-Qwen-1.5B-GGUF",
        file="DeepSeek-R1-Distill-Qwen-1.5B-Q4_K_M.gguf",
        size_bytes=1_117_320_768,
        layers=28,
        kv_heads=2,
        head_size=128,
        licence="MIT",
        licence_page="https://opensource.org/license/mit",
        is_free_for_business=True,
        remark="Reasons first: slow to chat",
    ),
    BaseModel(
        key="deepseek-r1-7b",
        title="DeepSeek-R1 Distill Qwen 7B",
        repo="bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF",
        file="DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf",
        size_bytes=4_683_073_536,
        layers=28,
        kv_heads=4,
        head_size=128,
        licence="MIT",
        licence_page="https://opensource.org/license/mit",
        is_free_for_business=True,
        remark="Reasons first: slow to chat",
    ),
    BaseModel(
        key="phi-4",
        title="Phi-4 14B",
        repo="bartowski/phi-4-GGUF",
        file="phi-4-Q4_K_M.gguf",
        size_bytes=9_053_114_816,
        layers=40,
        kv_heads=10,
        head_size=128,
        licence="MIT",
        licence_page="https://opensource.org/license/mit",
        is_free_for_business=True,
        remark="Better at facts than at chatting",
    ),
    BaseModel(
        key=SMALL,
        title="SmolLM2 135M",
        repo="",
        file=Path(SMALL_MODEL.member).name,
        size_bytes=SMALL_MODEL.size_mb * 1_000_000,
        layers=30,
        kv_heads=3,
        head_size=64,
        licence=SMALL_MODEL.licence,
        licence_page="https://www.apache.org/licenses/LICENSE-2.0",
        is_free_for_business=True,
        remark="To try things out; small talk",
    ),
)

BGE_WEIGHTS = BaseModel(  # of an embedder, not to talk with: `model/embeddings.py`
    key="bge-small",
    title="bge-small-en-v1.5",
    repo="BAAI/bge-small-en-v1.5",
    file="model.safetensors",
    size_bytes=133_466_304,
    layers=12,
    kv_heads=12,
    head_size=32,
    licence="MIT",
    licence_page="https://huggingface.co/BAAI/bge-small-en-v1.5",
    is_free_for_business=True,
    remark="Finds related messages",
)


@dataclasses.dataclass(frozen=True)
class Machine:
    """What a model has to fit into, in bytes."""

    memory: int
    free_memory: int
    free_disk: int


def this_machine(folder: Path) -> Machine:
    """This machine, and the room on the disk that a folder is (or will be) on."""
    memory = psutil.virtual_memory()
    return Machine(memory.total, memory.available, free_disk(folder))


def free_disk(folder: Path) -> int:
    """Bytes free where a folder is, or will be."""
    folder = folder.resolve()
    while not os.path.isdir(folder) and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free


def by_key(key: str) -> BaseModel | None:
    """The model of that name."""
    return next((model for model in BASE_MODELS if model.key == key), None)


def verdict(model: BaseModel, machine: Machine) -> str:
    """Whether a model runs here: in the memory that is free now, or only once others leave."""
    need = model.memory_bytes()
    if need > USABLE * machine.memory:
        return TOO_BIG
    return FITS if need <= machine.free_memory and need <= 0.6 * machine.memory else TIGHT


def has_room(model: BaseModel, machine: Machine) -> bool:
    """Whether the disk holds it."""
    return model.size_bytes + SPARE_DISK_BYTES <= machine.free_disk


def recommended(machine: Machine) -> BaseModel:
    """The default where it fits, else the next smaller one that does."""
    for key in (RECOMMENDED, "gemma-3-1b"):
        model = by_key(key)
        if model and verdict(model, machine) == FITS and has_room(model, machine):
            return model
    return BASE_MODELS[-1]
