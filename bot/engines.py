"""What speaks in each server: its own model, and no file twice in memory."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from bot.config import Config
from model import catalog
from model.inference import AnyEngine, Engine
from model.remote_engine import RemoteEngine
from storage import database


def choose(places: Sequence[tuple[Config, sqlite3.Connection]]) -> list[AnyEngine]:
    """An engine for each server, by its settings and its database.

    The first server's settings say how: on the server in its ENGINE_URL, or here, with how many
    threads. Servers whose models are the same file, or adapters of the same, share what is loaded.
    """
    first, _ = places[0]
    if first.engine_url:
        remote = _remote(first)
        others = [remote.with_model(config.engine_model) for config, _ in places[1:]]
        return [remote, *others]
    engines: dict[Path, Engine] = {}
    return [_voice(engines, first, choose_model(*place)) for place in places]


def choose_model(settings: Config, connection: sqlite3.Connection) -> Path:
    """The model to run: MODEL_PATH, else the chosen one, else BASE_MODEL, else the small one."""
    path = settings.model_path or database.chosen_path(connection) or settings.base_model
    path = path or catalog.small_model(settings.models_dir)
    catalog.check_gguf(path)
    return path


def _voice(engines: dict[Path, Engine], first: Config, path: Path) -> AnyEngine:
    """One of the engines, by their files, with this model, or an engine that is added to them."""
    adapted = catalog.base_of(path)
    base = adapted or path
    for file, engine in engines.items():
        if catalog.is_same(file, base):
            return engine.with_adapter(path if adapted else None)
    engines[base] = Engine(
        path,
        embedder_dir=first.models_dir,
        embedder=first.embedder,
        context_length=first.context_length,
        threads=first.threads,
        gpu_layers=first.gpu_layers,
    )
    return engines[base]


def _remote(first: Config) -> RemoteEngine:
    return RemoteEngine(
        first.engine_url,
        model=first.engine_model,
        key=first.engine_key,
        embedder_dir=first.models_dir,
        embedder=first.embedder,
        context_length=first.context_length,
        threads=first.threads,
    )
