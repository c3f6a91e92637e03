"""Models that are too large to have here, by their shapes; and files that say they hold one."""

from pathlib import Path

import gguf
import numpy as np

from model.shape import Shape

QWEN_3B = Shape(151_936, 2048, 36, 11_008, 16, 2, 128, is_tied=True)  # Qwen2.5
QWEN_2B = Shape(151_936, 2048, 24, 5504, 16, 16, 128, is_tied=False)  # the first Qwen's 1.8
LLAMA_3B = Shape(128_256, 3072, 28, 8192, 24, 8, 128, is_tied=True)  # Llama 3.2
LLAMA_8B = Shape(128_256, 4096, 32, 14_336, 32, 8, 128, is_tied=False)  # Llama 3.1


def write_header(path: Path, shape: Shape, architecture: str = "qwen2") -> Path:
    """Write a GGUF file of such a model: all that it says of itself, and a hole for the weights.

    They would be of the smallest kind there is, as not every file system keeps holes small.
    """
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_block_count(shape.layers)
    writer.add_embedding_length(shape.hidden)
    writer.add_feed_forward_length(shape.intermediate)
    writer.add_head_count(shape.heads)
    writer.add_head_count_kv(shape.kv_heads)
    writer.add_key_length(shape.head_dim)
    tensors = {"token_embd.weight": (shape.vocabulary, shape.hidden)}
    if not shape.is_tied:
        tensors["output.weight"] = tensors["token_embd.weight"]
    names = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
    for layer in range(shape.layers):
        for name, (reads, writes) in zip(names, shape.linears, strict=True):
            tensors[f"blk.{layer}.{name}.weight"] = (writes, reads)
    kind = gguf.GGMLQuantizationType.TQ1_0
    block, size = gguf.GGML_QUANT_SIZES[kind]
    for name, sizes in tensors.items():
        bytes_of = sizes[0] * sizes[1] // block * size
        writer.add_tensor_info(name, sizes, np.dtype(np.float16), bytes_of, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + (shape.parameters // block + 32 * len(tensors)) * size)
    return path
