"""The graft: what llama.cpp runs is what transformers trained."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import numpy.typing as npt
import pytest
from llama_cpp import Llama

from bot.config import UserError
from model import catalog, export, grafting, runs
from model.recipe import Recipe
from model.runs import Plan, Run

torch = pytest.importorskip("torch")
loading = pytest.importorskip("model.loading", reason="needs requirements-train.txt")

Array = npt.NDArray[Any]

PROMPTS = [[11, 12, 13], [400, 7, 9, 9, 3000], list(range(50, 90))]


@pytest.fixture(params=["tiny_model", "tiny_qwen"])
def base(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def a_run(models_dir: Path, base: Path) -> tuple[Run, Any]:
    """A training whose adapter is random and large, and the model merged with it."""
    folder = runs.root(models_dir) / "amber"
    plan = Plan("tiny", str(base), "", catalog.sha256(base), "abc", Recipe(rank=4), 1.0)
    runs.write_plan(folder, plan)
    torch.manual_seed(1)
    model = loading.load(base, plan.recipe, loading.Place("cpu", "full", ""))
    for name, values in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(values, std=0.02)
    model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    facts = {"steps": 3, "first_loss": 2.0, "last_loss": 1.0, "seconds": 1.0}
    runs.finish_stage(folder, "sft", facts)
    return runs.finish(folder, plan), model.merge_and_unload()


def logits_of(gguf_path: Path, prompt: list[int]) -> Array:
    model = Llama(str(gguf_path), n_ctx=128, n_threads=1, logits_all=True, verbose=False)
    model.eval(prompt)
    rows: Array = model.scores[: len(prompt)].copy()
    model.close()
    return rows


def expected(model: Any, prompt: list[int]) -> Array:
    with torch.no_grad():
        rows: Array = model(torch.tensor([prompt])).logits[0].numpy()
    return rows


def greedy(step: Callable[[list[int]], Array], prompt: list[int], count: int = 8) -> list[int]:
    """Greedy tokens, as long as the best is ahead of the second by more than rounding makes."""
    ids = list(prompt)
    for _ in range(count):
        row = step(ids)[-1]
        second, first = np.sort(row)[-2:]
        if first - second < 0.02:
            break
        ids.append(int(row.argmax()))
    return ids[len(prompt) :]


def kl(true: Array, other: Array) -> float:
    """Mean nats a token by which `other` misses `true`."""
    p, q = (torch.tensor(rows).double().log_softmax(-1) for rows in (true, other))
    return float((p.exp() * (p - q)).sum(-1).mean())


def test_the_grafted_gguf_says_what_the_trained_model_says(tmp_path: Path, base: Path) -> None:
    run, merged = a_run(tmp_path, base)
    path = export.export(run, tmp_path, "F16").path
    moved = 0
    for prompt in PROMPTS:
        ours, theirs = logits_of(path, prompt), expected(merged, prompt)
        np.testing.assert_allclose(ours, theirs, atol=0.05)
        assert kl(theirs, ours) < 1e-4
        tokens = greedy(lambda ids: expected(merged, ids), prompt)
        assert tokens == greedy(lambda ids: logits_of(path, ids), prompt)[: len(tokens)]
        moved += kl(theirs, logits_of(base, prompt)) > 0.05
    assert moved == len(PROMPTS)  # the adapter is not nothing


def test_quantising_costs_little(tmp_path: Path, tiny_model: Path) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    whole = export.export(run, tmp_path, "F16").path
    small = export.export(run, tmp_path).path
    assert small.stat().st_size < 0.5 * whole.stat().st_size
    for prompt in PROMPTS:
        assert kl(logits_of(whole, prompt), logits_of(small, prompt)) < 0.2
    kinds = {tensor.tensor_type.name for tensor in gguf.GGUFReader(small).tensors}
    assert "Q4_K" in kinds


def test_the_bases_metadata_comes_along(tmp_path: Path, tiny_model: Path) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    before = gguf.GGUFReader(tiny_model).fields
    after = gguf.GGUFReader(export.export(run, tmp_path).path).fields
    own = {"general.name", "general.file_type", "general.quantization_version"}
    for name in before:
        if name not in own and not name.startswith("GGUF."):
            assert after[name].contents() == before[name].contents(), name
    assert after["general.name"].contents() == "amber"


def test_an_export_is_made_once_and_made_again_when_damaged(
    tmp_path: Path, tiny_model: Path
) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    first = export.export(run, tmp_path)
    made_at = first.path.stat().st_mtime_ns
    assert export.export(run, tmp_path) == first
    assert first.path.stat().st_mtime_ns == made_at
    assert sorted(path.name for path in first.path.parent.iterdir()) == [
        "amber.Q4_K_M.gguf",
        "manifest.json",
    ]
    first.path.write_bytes(b"GGUF")  # as a full disk leaves it
    assert (
        export.export(run, tmp_path).path.stat().st_size == first.facts["files"]["Q4_K_M"]["size"]
    )


def test_the_manifest_says_where_the_model_comes_from(tmp_path: Path, tiny_model: Path) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    exported = export.keep_metrics(export.export(run, tmp_path), {"bits_per_char": 1.5})
    facts = json.loads((exported.path.parent / "manifest.json").read_text())
    assert facts["licence"] == "apache-2.0"
    assert facts["data_hash"] == "abc"
    assert facts["recipe"] == dataclasses.asdict(run.plan.recipe)
    assert facts["files"]["Q4_K_M"]["sha256"] == catalog.sha256(exported.path)
    assert export.find(tmp_path, "amber").metrics == {"bits_per_char": 1.5}
    assert export.row(exported).metrics == {"bits_per_char": 1.5}


def test_interleaving_undoes_what_transformers_does_on_loading() -> None:
    from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

    rows = np.arange(2 * 8 * 3, dtype=np.float32).reshape(16, 3)
    mixed = grafting.interleave(rows, heads=2)
    assert mixed[:4, 0].tolist() == [0, 12, 3, 15]
    back = LlamaTensorProcessor(config={})._reverse_permute_weights(mixed, 2)
    np.testing.assert_array_equal(back, rows)


def test_a_base_that_changed_is_refused(tmp_path: Path, tiny_model: Path) -> None:
    base = tmp_path / "base.gguf"
    base.write_bytes(tiny_model.read_bytes())
    run, _ = a_run(tmp_path, base)
    with base.open("ab") as file:
        file.write(b"more")
    with pytest.raises(UserError, match="has changed since"):
        export.export(run, tmp_path)
    assert not export.folder(tmp_path, "amber").exists()


def test_a_full_disk_is_told_before_anything_is_written(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    full = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with pytest.raises(UserError, match="Make room"):
        export.export(run, tmp_path)
