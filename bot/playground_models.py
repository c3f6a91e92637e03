"""Which models one can talk to in the playground, and what each takes."""

import contextlib
import time
from pathlib import Path
from typing import Any

from bot.config import Config, UserError
from bot.engines import choose_model
from data import privacy
from model import catalog, registry
from storage import database, vectordb

FRESH_SECONDS = 10.0  # a heartbeat that is older is a stopped bot's
WORKING_BYTES = 400_000_000  # a worker beside the weights: keys and values, buffers, Python


def known(settings: Config) -> dict[str, Any]:
    """The models, the bot's own first, and whether there is anything to recall; as JSON."""
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        own = choose_model(settings, connection)
        heartbeat = database.heartbeat(connection, "bot")
        entries = registry.entries(
            settings.models_dir, database.models(connection), privacy.barred(connection)
        )
    remarks = {own: ""} | {entry.path: entry.remark for entry in entries if entry.size}
    for path in sorted((settings.models_dir / "base").glob("*.gguf")):
        if path.stem not in catalog.EMBEDDERS.values():
            remarks.setdefault(path, "")
    is_up = heartbeat is not None and time.time() - heartbeat.beat_at < FRESH_SECONDS
    return {
        "models": [
            {
                "name": path.stem,
                "path": str(path),
                "bytes": _bytes(path),
                "is_bots": path == own,
                "is_running": is_up and heartbeat is not None and heartbeat.model == path.stem,
                "remark": remark,
            }
            for path, remark in remarks.items()
        ],
        "can_recall": can_recall(settings),
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
