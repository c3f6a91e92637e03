"""What several rooms' tests share: the small default model, fetched once into `models/`."""

from pathlib import Path

import pytest

from bot.config import ROOT
from model import catalog


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The real SmolLM2-135M GGUF."""
    return catalog.small_model(ROOT / "models")
