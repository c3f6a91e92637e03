"""A tiny model, made once a session, for what does not need to talk sense."""

from pathlib import Path

import pytest

from tests.model import tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """A llama of two million random weights."""
    return tiny.write(tmp_path_factory.mktemp("tiny") / "tiny.f16.gguf", small_model)


@pytest.fixture(scope="session")
def tiny_qwen(tmp_path_factory: pytest.TempPathFactory, small_model: Path) -> Path:
    """A qwen2 of the same size, whose rope pairs other rows."""
    return tiny.write(tmp_path_factory.mktemp("tiny") / "qwen.f16.gguf", small_model, "qwen2")
