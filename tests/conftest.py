"""What several rooms' tests share: the small default model, and who runs which test."""

import gc
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from bot.config import ROOT, UserError
from model import catalog
from storage import lock_file

MODELS = ROOT / "models"
_BUSY = "Another process fetches the models."


def pytest_configure() -> None:
    """Have Ctrl-C arrive in every child, also where the tests run behind a shell's `&`."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.shares import Shares

    config.option.loadscopereorder = False  # it would begin with the files of many short tests
    return Shares(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):  # one of several processes
        from tests import shares

        items.sort(key=lambda item: shares.turn(item.nodeid))


def pytest_collection_finish() -> None:
    gc.freeze()  # torch and all that is imported by now: to look through it takes half a second


@pytest.fixture(scope="session")
def small_model() -> Path:
    """The real SmolLM2-135M GGUF; the vectors' model, which bots want beside it, is there too."""
    from model import embeddings  # it needs llama.cpp

    while True:
        try:
            with lock_file.held(MODELS / ".tests.lock", _BUSY):
                embeddings.minilm(MODELS)
                return catalog.small_model(MODELS)
        except UserError as error:
            if str(error) != _BUSY:
                raise
        time.sleep(0.2)
