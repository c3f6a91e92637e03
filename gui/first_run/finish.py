"""Reads what an `.env` already says, and writes it anew, whole, when everything is chosen."""

import contextlib
import re
from pathlib import Path

from bot import config
from bot.config import DISCORD_API, UserError
from data.privacy import STATEMENT
from gui import env_file
from gui.first_run.state import Folders, Known
from storage import database


def folders(env_path: Path | None) -> Folders:
    """Where things lie by an `.env` (None: the usual one), also by one that does not work yet."""
    path = env_path or config.ROOT / ".env"
    try:
        found = config.load(env_path, needs_discord=False)
    except UserError:
        return Folders(path, config.ROOT / "data_storage", config.ROOT / "models", DISCORD_API)
    return Folders(path, found.data_dir, found.models_dir, found.api_base)


def seed(here: Folders) -> Known:
    """What an `.env` that is there already answers; parts that make no sense are left out."""
    text = env_file.read(here.env_path)
    model = text.get("BASE_MODEL", "")
    return Known(
        token=text.get("DISCORD_TOKEN", "").removeprefix("Bot ").strip(),
        server_id=next(iter(_ids(text.get("SERVER_ID", ""))), 0),
        channel_ids=_ids(text.get("CHANNELS", "")),
        admin_ids=_ids(text.get("ADMIN_USERS", "")),
        is_permitted=_was_permitted(here.database_path),
        base_model=str(here.env_path.resolve().parent / Path(model).expanduser()) if model else "",
        is_seeded=bool(text.get("DISCORD_TOKEN")),
    )


def write(here: Folders, known: Known) -> None:
    """Write `.env`, for the owner's eyes alone, and the permission. Raises `UserError`."""
    values = {
        "DISCORD_TOKEN": known.token,
        "SERVER_ID": str(known.server_id),
        "ADMIN_USERS": ",".join(map(str, known.admin_ids)),
        "CHANNELS": ",".join(map(str, known.channel_ids)),
        "BASE_MODEL": known.base_model,
    }
    if here.api_base != DISCORD_API:
        values["DISCORD_API_BASE"] = here.api_base
    try:
        env_file.write(here.env_path, values)
        env_file.share(here.env_path, values)
        if known.is_permitted:
            _confirm(here.database_path)
    except OSError as error:
        raise UserError(
            f"Cannot write {here.env_path}: {error.strerror or error}. Make room, or make the "
            "folder one that you may write to, and press Start again."
        ) from None


def _confirm(database_path: Path) -> None:
    with contextlib.closing(database.connect(database_path)) as connection:
        if not database.has_permission(connection):
            database.confirm_permission(connection, STATEMENT)


def _was_permitted(database_path: Path) -> bool:
    if not database_path.exists():
        return False
    with (
        contextlib.suppress(UserError),
        contextlib.closing(database.connect(database_path)) as connection,
    ):
        return database.has_permission(connection)
    return False


def _ids(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").replace(";", " ").split()
    return tuple(int(part) for part in parts if re.fullmatch("[0-9]{5,20}", part))
