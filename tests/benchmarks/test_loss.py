"""The loss benchmark, small: both sides see the same loss, and the chunked one in less memory."""

import pytest

pytest.importorskip("torch", reason="needs requirements-train.txt")
from benchmarks import loss


def test_chunks_take_less_memory_and_make_the_same_gradient() -> None:
    figures = loss.main(["--tokens", "256", "--width", "8", "--rounds", "1"])
    assert 0 < figures["peak_mb"] < figures["baseline_peak_mb"]
    assert figures["seconds"] > 0 and figures["baseline_seconds"] > 0
    assert figures["largest_gradient_difference"] < 1e-4
