"""Which models one can talk to in the playground, and what each takes."""

import contextlib
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bot import addresses
from bot.config import Config, UserError
from bot.engines import choose_model
from data import privacy
from model import catalog, registry, remote_engine
from storage import database, vectordb

FRESH_SECONDS = 10.0  # a heartbeat that is older is a stopped bot's
WORKING_BYTES = 400_000_000  # a worker beside the weights: keys and values, buffers, Python

_ELSEWHERE = "is on another computer, to which all that is said here goes"


def known(settings: Config) -> dict[str, Any]:
    """The models, the bot's own first, and whether there is anything to recall; as JSON."""
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        own = None if settings.engine_url else choose_model(settings, connection)
        heartbeat = database.heartbeat(connection, "bot")
        entries = registry.entries(
            settings.models_dir, database.models(connection), privacy.barred(connection)
        )
    remarks = {own: ""} if own else {}
    remarks |= {entry.path: entry.remark for entry in entries if entry.size}
    for path in sorted((settings.models_dir / "base").glob("*.gguf")):
        if path.stem not in catalog.EMBEDDERS.values():
            remarks.setdefault(path, "")
    is_up = heartbeat is not None and time.time() - heartbeat.beat_at < FRESH_SECONDS
    here = [
        {
            "name": path.stem,
            "path": str(path),
            "bytes": _bytes(path),
            "is_bots": path == own,
            "is_running": is_up and heartbeat is not None and heartbeat.model == path.stem,
            "remark": remark,
        }
        for path, remark in remarks.items()
    ]
    elsewhere = [_on_server(settings)] if settings.engine_url else []
    return {"models": elsewhere + here, "can_recall": can_recall(settings)}


def _on_server(settings: Config) -> dict[str, Any]:
    """The model of the server in ENGINE_URL, which is the bot's; its address is its path."""
    url, name = settings.engine_url, remote_engine.short(settings.engine_model)
    return {
        "name": f"{name} at {urlsplit(url).hostname}",
        "path": url,
        "bytes": 0,
        "is_bots": True,
        "is_running": False,
        "remark": "" if addresses.is_here(url) else _ELSEWHERE,
    }


def _bytes(model: Path) -> int:
    """What a worker takes, at most: the file, with an adapter its base, and what comes with it."""
    with contextlib.suppress(UserError, OSError):
        base = catalog.base_of(model)
        return WORKING_BYTES + model.stat().st_size + (base.stat().st_size if base else 0)
    return 0


def can_recall(settings: Config) -> bool:
    """Whether the bot has made an index of past messages."""
    return (settings.embeddings_dir / f"{vectordb.TABLE}.lance").exists()
