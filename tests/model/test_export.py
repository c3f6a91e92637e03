"""The graft: what llama.cpp runs is what transformers trained."""

import dataclasses
import json
import shutil
from pathlib import Path

import gguf
import numpy as np
import pytest

from bot.config import UserError
from model import catalog, export, prompts, resident
from model.inference import Engine, Sampling
from model.prompts import Turn
from tests.model import adapted
from tests.model.adapted import a_run

pytest.importorskip("peft", reason="needs requirements-train.txt")

PROMPTS = [[11, 12, 13], [400, 7, 9, 9, 3000], list(range(50, 90))]


@pytest.fixture(params=["tiny_model", "tiny_qwen"])
def base(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def test_the_grafted_gguf_says_what_the_trained_model_says(tmp_path: Path, base: Path) -> None:
    run, merged = a_run(tmp_path, base)
    files = [export.export(run, tmp_path, kind).path for kind in ("F16", catalog.ADAPTER)]
    for prompt in PROMPTS:
        ids, true = adapted.greedy(merged, prompt, 8)
        assert adapted.kl(true, adapted.logits(base, ids, 8)) > 0.05  # the adapter is not nothing
        for path in files:
            said = adapted.logits(path, ids, 8)
            assert adapted.agree(true, said)
            assert adapted.kl(true, said) < 1e-4
            np.testing.assert_allclose(said, true, atol=0.05)


def test_quantising_costs_little(tmp_path: Path, tiny_model: Path) -> None:
    run, merged = a_run(tmp_path, tiny_model)
    whole = export.export(run, tmp_path, "F16").path
    small = export.export(run, tmp_path).path
    assert small.stat().st_size < 0.5 * whole.stat().st_size
    for prompt in PROMPTS:
        ids, true = adapted.greedy(merged, prompt, 8)
        assert adapted.kl(true, adapted.logits(small, ids, 8)) < 0.2
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


async def test_the_bot_talks_with_the_adapter_added(tmp_path: Path, tiny_model: Path) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    whole, alone = (export.export(run, tmp_path, kind).path for kind in ("F16", catalog.ADAPTER))
    said = [await reply(path) for path in (whole, alone, tiny_model)]
    assert said[0] == said[1]
    assert said[0] != said[2]


def test_a_damaged_adapter_is_a_sentence(tmp_path: Path, tiny_model: Path) -> None:
    run, _ = a_run(tmp_path, tiny_model)
    path = export.export(run, tmp_path, catalog.ADAPTER).path
    whole = path.read_bytes()
    for damaged in (
        whole[: len(whole) // 2],
        b"GGUF" + bytes(60),
        whole.replace(b"blk.1", b"blk.9"),
    ):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="damaged or incomplete"):
            resident.load(path, 64, threads=1)


async def reply(path: Path) -> str:
    engine = Engine(path, context_length=128, threads=1)
    sampling = Sampling(temperature=0, max_tokens=8, seed=1)
    try:
        prompt = prompts.build([Turn("bob", "what a day")])
        return "".join([piece async for piece in engine.reply(prompt, sampling, 1)])
    finally:
        await engine.close()


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
    assert export.export(run, tmp_path, catalog.ADAPTER)  # so small that it is no matter
