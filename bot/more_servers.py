"""The servers that one bot serves: the one of `.env`, and those with a folder each beside it.

    .env                    the first server, with data_storage/ and models/
    servers/NAME/.env       a further one, whole like any other; its files lie in its own folder

Every script and every window takes such a file with --env, and then is about that server alone.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

from bot import config
from bot.config import Config, UserError

FOLDER = "servers"


def load(env_path: Path | None = None, *, needs_discord: bool = True) -> list[Config]:
    """The settings of all servers, those of `env_path` (None: `.env`) first.

    Raises `UserError` as `config.load` does, and where two servers would share what must be apart.
    """
    found = [config.load(env_path, needs_discord=needs_discord)]
    for path in paths(found[0].env_path):
        found.append(beside(found, path, needs_discord=needs_discord))
    return found


def beside(others: Sequence[Config], path: Path, *, needs_discord: bool = True) -> Config:
    """The settings of one more server. Raises `UserError` as `load` does."""
    one = config.load(path, needs_discord=needs_discord)
    for other in others:
        _check(one, other)
    return one


def paths(env_path: Path) -> list[Path]:
    """The settings files of the further servers."""
    return sorted((env_path.resolve().parent / FOLDER).glob("*/.env"))


def option(env_path: Path) -> str:
    """What a command needs to be about these settings: nothing for those of `.env`."""
    path = env_path.resolve()
    if path == config.ROOT / ".env":
        return ""
    shown = path.relative_to(config.ROOT) if path.is_relative_to(config.ROOT) else path
    return f' --env "{shown}"'


def _check(one: Config, other: Config) -> None:
    where = f"{other.env_path} and {one.env_path}"
    if (one.token, one.api_base) != (other.token, other.api_base):
        raise UserError(f"{where} name two bots. For one bot in both, give both its DISCORD_TOKEN.")
    if one.server_id and one.server_id == other.server_id:
        raise UserError(f"{where} are for the same server. Remove the folder of one of them.")
    if one.engine_url != other.engine_url:
        raise UserError(f"{where} name two engines, and one bot has one. Give both one ENGINE_URL.")
    for mine, theirs in itertools.product(_folders(one), _folders(other)):
        if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
            raise UserError(
                f"{where} keep their files in one folder, {mine}: what is said in one server would "
                "be learned for the other. Give each a DATA_DIR and a MODELS_DIR of its own."
            )


def _folders(one: Config) -> tuple[Path, Path]:
    return one.data_dir, one.models_dir
