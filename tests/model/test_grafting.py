"""What of an adapter goes where in the base, and what is refused rather than left out."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy

from bot.config import UserError
from model import grafting
from tests.model import tiny

Array = npt.NDArray[Any]

LAYER = "base_model.model.model.layers.1"
WORDS = (tiny.WORDS, tiny.WIDTH)


@pytest.fixture(scope="session")
def untied(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """A base with an output matrix of its own."""
    path = tmp_path_factory.mktemp("tiny") / "untied.f16.gguf"
    return tiny.write(path, small_model, "qwen2", is_tied=False)


def an_adapter(folder: Path, weights: dict[str, Array], **settings: Any) -> Path:
    folder.mkdir(exist_ok=True)
    facts = {"r": 2, "lora_alpha": 4, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(facts))
    safetensors.numpy.save_file(weights, folder / "adapter_model.safetensors")
    return folder


def random(*shape: int) -> Array:
    return np.random.default_rng(len(shape)).normal(size=shape).astype(np.float32)


def lora(module: str, outputs: int, inputs: int) -> dict[str, Array]:
    tables = (random(2, inputs), random(outputs, 2))
    return {f"{module}.lora_{part}.weight": table for part, table in zip("AB", tables, strict=True)}


def output(module: str = f"{LAYER}.self_attn.o_proj") -> dict[str, Array]:
    """The LoRA of an attention's output."""
    return lora(module, tiny.WIDTH, tiny.WIDTH)


def changes_of(adapter: Path, base: Path) -> dict[str, grafting.Change]:
    return grafting.load_adapter(adapter, gguf.GGUFReader(base))


def matrices(path: Path) -> dict[str, Array]:
    return {
        tensor.name: gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        for tensor in gguf.GGUFReader(path).tensors
    }


@pytest.mark.parametrize(("settings", "scale"), [({}, 2), ({"use_rslora": True}, 4 / 2**0.5)])
def test_the_product_is_scaled_and_added(
    tmp_path: Path, untied: Path, settings: dict[str, Any], scale: float
) -> None:
    adapter = an_adapter(tmp_path / "adapter", output(), **settings)
    grafting.graft(gguf.GGUFReader(untied), adapter, tmp_path / "grafted", "amber")
    before, after = matrices(untied), matrices(tmp_path / "grafted")
    a, b = (output()[f"{LAYER}.self_attn.o_proj.lora_{part}.weight"] for part in "AB")
    name = "blk.1.attn_output.weight"
    np.testing.assert_allclose(after[name], before[name] + scale * b @ a, rtol=2e-3, atol=2e-3)
    assert all(np.array_equal(before[other], after[other]) for other in before if other != name)


def test_a_lora_of_the_embeddings_is_a_change_of_their_table(tmp_path: Path, untied: Path) -> None:
    a, b = random(2, tiny.WORDS), random(tiny.WIDTH, 2)
    key = "base_model.model.model.embed_tokens.lora_embedding_"
    adapter = an_adapter(tmp_path / "adapter", {f"{key}A": a, f"{key}B": b})
    change = changes_of(adapter, untied)["token_embd.weight"]
    assert isinstance(change, grafting.Delta)
    np.testing.assert_allclose(change.b @ change.a, 2 * (b @ a).T, rtol=1e-4, atol=1e-5)


def test_embeddings_that_were_trained_whole_replace_the_bases(tmp_path: Path, untied: Path) -> None:
    whole = {
        "base_model.model.model.embed_tokens.weight": random(*WORDS),
        "base_model.model.lm_head.weight": random(*WORDS) + 1,
    }
    adapter = an_adapter(tmp_path / "adapter", {**whole, **output()})
    grafting.graft(gguf.GGUFReader(untied), adapter, tmp_path / "grafted", "amber")
    after = matrices(tmp_path / "grafted")
    for name, values in zip(grafting.EMBEDDINGS, whole.values(), strict=True):
        np.testing.assert_allclose(after[name], values, rtol=1e-3, atol=1e-6)
    with pytest.raises(UserError, match="no part of a LoRA file"):
        grafting.write_adapter(gguf.GGUFReader(untied), adapter, tmp_path / "alone", "amber")


@pytest.mark.parametrize(
    "weights",
    [
        {"base_model.model.model.embed_tokens.weight": random(*WORDS)},
        {"base_model.model.lm_head.weight": random(*WORDS)},
        lora("base_model.model.lm_head", *WORDS),
    ],
)
def test_changed_embeddings_are_refused_where_both_ends_share_them(
    tmp_path: Path, tiny_model: Path, weights: dict[str, Array]
) -> None:
    with pytest.raises(UserError, match="--embeddings"):
        changes_of(an_adapter(tmp_path / "adapter", weights), tiny_model)


@pytest.mark.parametrize(
    ("extra", "named"),
    [
        ({f"{LAYER}.self_attn.q_proj.lora_magnitude_vector": random(256)}, "magnitude_vector"),
        ({f"{LAYER}.self_attn.q_proj.bias": random(256)}, "more than a LoRA"),
        ({f"{LAYER}.input_layernorm.weight": random(256)}, "input_layernorm"),
        ({f"{LAYER}.mlp.up_proj.weight": random(tiny.HIDDEN, 256)}, "up_proj"),
        ({"base_model.model.lm_head.weight": random(7, 256)}, "lm_head"),
        (lora(f"{LAYER}.mlp.odd_proj", 256, 256), "odd_proj"),
        (lora(f"{LAYER}.mlp.up_proj", 256, 256), "up_proj"),
        (lora("base_model.model.model.layers.2.mlp.up_proj", tiny.HIDDEN, 256), "layers.2"),
    ],
)
def test_what_has_no_place_in_the_base_is_refused(
    tmp_path: Path, untied: Path, extra: dict[str, Array], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        changes_of(an_adapter(tmp_path / "adapter", {**output(), **extra}), untied)


def test_what_sees_pictures_is_passed_over_while_untrained(tmp_path: Path, untied: Path) -> None:
    """As in a Gemma 3 of four billion weights, whose words are in `language_model`."""
    inner = output("base_model.model.model.language_model.layers.0.self_attn.o_proj")
    tower = lora("base_model.model.model.vision_tower.encoder.layers.0.self_attn.q_proj", 8, 8)
    tower = {key: table * ("lora_A" in key) for key, table in tower.items()}
    adapter = an_adapter(tmp_path / "adapter", {**inner, **tower})
    assert list(changes_of(adapter, untied)) == ["blk.0.attn_output.weight"]


def in_bfloat16(arrays: dict[str, Array]) -> bytes:
    """A safetensors file, as safetensors.numpy cannot write it."""
    header, data = {}, b""
    for name, values in arrays.items():
        upper = (values.view("<u4") >> 16).astype("<u2").tobytes()
        place = [len(data), len(data) + len(upper)]
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": place}
        data += upper
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def test_bfloat16_is_read(tmp_path: Path, untied: Path) -> None:
    adapter = an_adapter(tmp_path / "adapter", output())
    exact = changes_of(adapter, untied)["blk.1.attn_output.weight"]
    (adapter / "adapter_model.safetensors").write_bytes(in_bfloat16(output()))
    rounded = changes_of(adapter, untied)["blk.1.attn_output.weight"]
    assert isinstance(exact, grafting.Delta)
    assert isinstance(rounded, grafting.Delta)
    np.testing.assert_allclose(rounded.a, exact.a, rtol=1e-2)
    np.testing.assert_allclose(rounded.b, exact.b, rtol=1e-2)


def test_interleaving_undoes_what_transformers_does_on_loading() -> None:
    gguf_loading = pytest.importorskip("transformers.modeling_gguf_pytorch_utils")
    rows = np.arange(2 * 8 * 3, dtype=np.float32).reshape(16, 3)
    mixed = grafting.interleave(rows, heads=2)
    assert mixed[:4, 0].tolist() == [0, 12, 3, 15]
    back = gguf_loading.LlamaTensorProcessor(config={})._reverse_permute_weights(mixed, 2)
    np.testing.assert_array_equal(back, rows)
