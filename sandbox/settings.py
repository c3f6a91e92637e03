"""A settings file for a bot that lives in the sandbox."""

import os
from pathlib import Path

from bot.config import ROOT
from sandbox.server import Sandbox


def write_env(folder: Path, sandbox: Sandbox, **changes: str) -> Path:
    """Write `.env` into `folder`, where the data shall be too; `changes` replace settings."""
    values = {
        "DISCORD_TOKEN": sandbox.world.token,
        "DISCORD_API_BASE": sandbox.api,
        "SERVER_ID": str(sandbox.world.guild_id),
        "ADMIN_USERS": str(sandbox.world.owner_id),
        "DATA_DIR": str(folder),
        "MODELS_DIR": str(ROOT / "models"),
        "THREADS": os.environ.get("OMP_NUM_THREADS", ""),  # the tests share the cores
        **changes,
    }
    path = folder / ".env"
    path.write_text("".join(f"{name}={value}\n" for name, value in values.items()))
    return path
