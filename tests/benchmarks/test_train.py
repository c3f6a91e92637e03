"""The training benchmark, tiny: that it measures, not what."""

from pathlib import Path

import pytest

from tests.model import tiny

pytest.importorskip("torch", reason="needs requirements-train.txt")
from benchmarks import train


def test_both_sides_learn_from_the_same_examples(tmp_path: Path, small_model: Path) -> None:
    tiny_model = tiny.write(tmp_path / "tiny.f16.gguf", small_model)
    figures = train.main(["--model", str(tiny_model), "--examples", "64", "--rounds", "2"])
    assert figures["examples"] == 64
    assert figures["tokens_per_s"] > 0 and figures["baseline_tokens_per_s"] > 0
    assert len(figures["ratios"]) == 2 and figures["ratio"] > 0
    assert 0 <= figures["padding"] < figures["baseline_padding"] < 1
