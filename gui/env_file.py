"""Writes settings into an `.env`: all of them or none, and nothing the bot could not read."""

import io
import os
from collections.abc import Mapping
from pathlib import Path

import dotenv
from dotenv.parser import parse_stream

from bot import config, more_servers
from bot.config import UserError

_COMMON = ("DISCORD_TOKEN", "DISCORD_API_BASE", "ENGINE_URL", "ENGINE_KEY")


def read(path: Path) -> dict[str, str]:
    """What the file says, also where parts of it are nonsense; nothing if it cannot be read."""
    try:
        found = dotenv.dotenv_values(stream=io.StringIO(path.read_text("utf-8-sig")))
    except (OSError, UnicodeDecodeError):
        return {}
    return {name: value or "" for name, value in found.items()}


def write(path: Path, values: Mapping[str, str], *, needs_discord: bool = True) -> None:
    """Put the values into a copy, see that the bot can work with it, and only then replace.

    Comments and settings unknown to us stay. Raises `UserError` for what the bot could not read
    back, and `OSError`; the file is as it was then.
    """
    path = path.resolve()  # where it is a link, what it points to
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
        config.load(partial, needs_discord=needs_discord)
        _compare(read(partial), values)
        os.replace(partial, path)
    except UserError as error:
        raise UserError(str(error).replace(str(partial), str(path))) from None
    finally:
        partial.unlink(missing_ok=True)


def share(path: Path, values: Mapping[str, str]) -> None:
    """Put what a bot's servers have in common into the files of the further ones, too.

    Raises `UserError` and `OSError`, as `write` does.
    """
    common = {name: text for name, text in values.items() if name in _COMMON}
    for other in more_servers.paths(path) if common else ():
        write(other, common)


def _compare(found: Mapping[str, str], wanted: Mapping[str, str]) -> None:
    for name, value in wanted.items():
        if found.get(name, "") != value:
            raise UserError(
                f"{name} cannot be kept in an .env: it has a line break, a quote or another "
                "character that gets lost there. Leave that out."
            )


def _before(path: Path) -> str:
    """The file's lines that can be read; of a new file the example's, for its comments."""
    template = path if path.exists() else config.ROOT / ".env.example"
    text = template.read_text("utf-8-sig", "replace") if template.exists() else ""
    parts = parse_stream(io.StringIO(text))
    return "".join(part.original.string for part in parts if not part.error)
