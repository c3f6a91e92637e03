"""Have the bot live on one more server, with settings, data and a model of its own there.

    python scripts/add_server.py SERVER_ID [--env PATH]
    python scripts/add_server.py --list

Writes servers/SERVER_ID/.env beside the settings file: the same bot and the same admins, until you
change that. Base models are linked, not copied. To leave a server, move its folder away.
"""

import argparse
import contextlib
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, more_servers
from bot.config import DISCORD_API, Config, UserError
from data import discord_setup
from gui import env_file


def main() -> int:
    arguments = _arguments()
    try:
        known = more_servers.load(arguments.env)
        if arguments.list:
            for one in known:
                print(f"{one.server_id:<20} {one.env_path}")
            return 0
        if arguments.server_id is None:
            raise UserError("Which server? Give its id, or --list.")
        _add(known, arguments.server_id)
    except UserError as error:
        return config.exit_with(error)
    except OSError as error:
        return config.exit_with(UserError(f"Cannot write it: {error.strerror or error}."))
    return 0


def _add(known: list[Config], server_id: int) -> None:
    first = known[0]
    path = first.env_path.resolve().parent / more_servers.FOLDER / str(server_id) / ".env"
    if server_id in (one.server_id for one in known) or path.exists():
        raise UserError(f"The bot serves {server_id} already. --list says which it serves.")
    server = discord_setup.server(first.api_base, first.token, server_id, first.application_id)
    env_file.write(path, _settings(first, server_id))
    try:
        more_servers.beside(known, path)
    except UserError:
        path.unlink()  # with it the bot would not start
        raise
    _link_base_models(first.models_dir / "base", path.parent / "models" / "base")
    print(f"The bot lives on {server.name}, too, from its next start. Its settings: {path}")
    if not server.readable:
        print("It may read no channel there yet: give its role View Channel and Read History.")
    print(f"Next: python scripts/1_fetch_all_history.py{more_servers.option(path)}")


def _settings(first: Config, server_id: int) -> dict[str, str]:
    values = {
        "DISCORD_TOKEN": first.token,
        "SERVER_ID": str(server_id),
        "ADMIN_USERS": ",".join(map(str, sorted(first.admin_ids))),
        "BASE_MODEL": str(first.base_model or ""),
        "ENGINE_URL": first.engine_url,
        "ENGINE_MODEL": first.engine_model,
        "ENGINE_KEY": first.engine_key,
        "EMBEDDER": first.embedder,
        "DATA_DIR": "data_storage",
        "MODELS_DIR": "models",
    }
    if first.api_base != DISCORD_API:
        values["DISCORD_API_BASE"] = first.api_base
    return values


def _link_base_models(source: Path, target: Path) -> None:
    """Have the files there, too, where the disk can do that; else they are fetched when needed."""
    for file in source.rglob("*.gguf"):
        link = target / file.relative_to(source)
        link.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            os.link(file, link)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("server_id", nargs="?", type=int, help="the server's Discord id")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--list", action="store_true", help="show every server")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
