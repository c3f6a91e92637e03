"""Reads what an `.env` already says, and writes it anew, whole, when everything is chosen."""

import contextlib
import io
import os
import re
from pathlib import Path

import dotenv
from dotenv.parser import parse_stream

from bot import config
from bot.config import DISCORD_API, UserError
from data.privacy import STATEMENT
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
    text = _read(here.env_path)
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
        _write(here.env_path, values)
        if known.is_permitted:
            _confirm(here.database_path)
    except OSError as error:
        raise UserError(
            f"Cannot write {here.env_path}: {error.strerror or error}. Make room, or make the "
            "folder one that you may write to, and press Start again."
        ) from None


def _write(path: Path, values: dict[str, str]) -> None:
    """Put the values into a copy, see that the bot can work with it, and only then replace."""
    partial = path.with_name(f"{path.name}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    try:
        opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(opened, "w", encoding="utf-8") as file:
            file.write(_before(path))
        for name, value in values.items():
            dotenv.set_key(partial, name, value, quote_mode="auto", encoding="utf-8")
        os.chmod(partial, 0o600)
        config.load(partial)
        os.replace(partial, path)
    except UserError as error:
        raise UserError(str(error).replace(str(partial), str(path))) from None
    finally:
        partial.unlink(missing_ok=True)


def _before(path: Path) -> str:
    """The file's lines that can be read; of a new file the example's, for its comments."""
    template = path if path.exists() else config.ROOT / ".env.example"
    text = template.read_text("utf-8-sig", "replace") if template.exists() else ""
    parts = parse_stream(io.StringIO(text))
    return "".join(part.original.string for part in parts if not part.error)


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


def _read(path: Path) -> dict[str, str]:
    try:
        return {name: value or "" for name, value in dotenv.dotenv_values(path).items()}
    except (OSError, UnicodeDecodeError):
        return {}


def _ids(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").replace(";", " ").split()
    return tuple(int(part) for part in parts if re.fullmatch("[0-9]{5,20}", part))
