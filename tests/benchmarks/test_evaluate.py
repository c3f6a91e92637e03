"""The evaluation benchmark, tiny: that it measures, not what."""

from pathlib import Path

import pytest

from model.inference import Sampling
from tests.model import tiny

pytest.importorskip("sklearn", reason="needs requirements-train.txt")
from benchmarks import evaluate


def test_it_measures_generation_and_judgement(
    tmp_path: Path, small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Sampling(max_tokens=12)  # a model of random weights hardly ever ends by itself
    monkeypatch.setattr(evaluate, "Sampling", lambda: short)
    model = tiny.write(tmp_path / "tiny.f16.gguf", small_model)
    figures = evaluate.main(["--model", str(model), "--contexts", "60"])
    assert figures["contexts"] == 60
    assert figures["generation_seconds"] > 0 and figures["metrics_seconds"] > 0
    assert figures["peak_mb"] > 100
    assert figures["auc"]["this model"] > figures["auc"]["other members"]
