"""What several rooms' tests share: the small default model, fetched once into `models/`."""

import signal
from pathlib import Path

import pytest

from bot.config import ROOT
from model import catalog


def pytest_configure() -> None:
    """Have Ctrl-C arrive in every child, also where the tests run behind a shell's `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The real SmolLM2-135M GGUF."""
    return catalog.small_model(ROOT / "models")
