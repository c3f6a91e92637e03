"""A GGUF of a real model's exact shape with random weights, for measuring without that model.

The speed, memory and load time are the real ones; what it writes is noise.
"""

import argparse
import os
from pathlib import Path

import gguf
import numpy as np
import numpy.typing as npt

from bot.config import ROOT
from model import catalog

SHAPES = ("qwen2.5-3b",)
Blocks = npt.NDArray[np.uint8]  # a row each

VOCABULARY, WIDTH, LAYERS, HIDDEN, HEADS, KV_HEADS, HEAD = 151_936, 2048, 36, 11_008, 16, 2, 128
_BLOCK = 256  # weights of a block of the k-quantisations
_CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_Q4, _Q6 = gguf.GGMLQuantizationType.Q4_K, gguf.GGMLQuantizationType.Q6_K


def add_options(parser: argparse.ArgumentParser) -> None:
    """Which model to measure with."""
    parser.add_argument("--model", type=Path, help="a GGUF (default: the small one)")
    parser.add_argument("--shape", choices=SHAPES, help="that size, with random weights")


def chosen(options: argparse.Namespace) -> Path:
    """The model that these options name."""
    if options.shape:
        return path(options.shape)
    return Path(options.model or catalog.small_model(ROOT / "models"))


def path(name: str) -> Path:
    """The file of one of `SHAPES`, made the first time: 1.9 GB in a folder that git ignores."""
    made = ROOT / "models" / "shapes" / f"{name}.Q4_K_M.gguf"
    if not made.exists():
        made.parent.mkdir(parents=True, exist_ok=True)
        partial = made.with_suffix(".partial")
        _write(partial)
        os.replace(partial, made)
    return made


def _write(target: Path) -> None:
    """Qwen2.5-3B at Q4_K_M: half of the value and down projections, and the head, at six bits."""
    writer = gguf.GGUFWriter(target, "qwen2")
    writer.add_context_length(32_768)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_freq_base(1e6)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_K_M)
    _add_vocabulary(writer)
    dice = np.random.default_rng(7)
    _add(writer, dice, "token_embd", VOCABULARY, WIDTH, is_fine=True)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    key_width = KV_HEADS * HEAD
    for number in range(LAYERS):
        block = f"blk.{number}"
        is_fine = number < LAYERS // 8 or number >= 7 * LAYERS // 8 or number % 3 == 2
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"{block}.{name}.weight", np.ones(WIDTH, np.float32))
        for name, width in (("q", WIDTH), ("k", key_width), ("v", key_width)):
            writer.add_tensor(f"{block}.attn_{name}.bias", np.zeros(width, np.float32))
        _add(writer, dice, f"{block}.attn_q", WIDTH, WIDTH)
        _add(writer, dice, f"{block}.attn_k", key_width, WIDTH)
        _add(writer, dice, f"{block}.attn_v", key_width, WIDTH, is_fine)
        _add(writer, dice, f"{block}.attn_output", WIDTH, WIDTH)
        _add(writer, dice, f"{block}.ffn_gate", HIDDEN, WIDTH)
        _add(writer, dice, f"{block}.ffn_up", HIDDEN, WIDTH)
        _add(writer, dice, f"{block}.ffn_down", WIDTH, HIDDEN, is_fine)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    """A byte a token, GPT-2's way of spelling them, then the markup of ChatML and filling."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = [byte for byte in range(256) if byte not in printable]
    letters = [*map(chr, printable), *(chr(256 + number) for number in range(len(hidden)))]
    control = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    filling = [f"w{number}" for number in range(VOCABULARY - len(letters) - len(control))]
    types = [gguf.TokenType.NORMAL] * VOCABULARY
    types[len(letters) : len(letters) + 3] = [gguf.TokenType.CONTROL] * 3
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([*letters, *control, *filling])
    writer.add_token_types(types)
    writer.add_token_merges(["w 0"])
    writer.add_bos_token_id(len(letters))
    writer.add_eos_token_id(len(letters) + 2)
    writer.add_add_bos_token(False)
    writer.add_chat_template(_CHATML)


def _add(
    writer: gguf.GGUFWriter,
    dice: np.random.Generator,
    name: str,
    rows: int,
    columns: int,
    is_fine: bool = False,
) -> None:
    blocks = (_fine if is_fine else _coarse)(dice, rows * columns // _BLOCK)
    kind = _Q6 if is_fine else _Q4
    writer.add_tensor(f"{name}.weight", blocks.reshape(rows, -1), raw_dtype=kind)


def _coarse(dice: np.random.Generator, blocks: int) -> Blocks:
    """Q4_K: scale and offset (float16), 12 bytes of six-bit scales, 256 four-bit numbers."""
    made = dice.integers(0, 256, (blocks, 144), np.uint8)
    made[:, :4] = np.array([1.4e-4, 7.5 * 1.4e-4], np.float16).view(np.uint8)
    return made


def _fine(dice: np.random.Generator, blocks: int) -> Blocks:
    """Q6_K: 256 six-bit numbers in two parts, 16 scales of eight bits, a scale (float16)."""
    made = dice.integers(0, 256, (blocks, 210), np.uint8)
    made[:, 208:] = np.array([1.5e-5], np.float16).view(np.uint8)
    return made
