"""The servers that one bot serves: the one of `.env`, and those with a folder each beside it.

    .env                    the first server, with data_storage/ and models/
    servers/NAME/.env       a further one, whole like any other; its files lie in its own folder

Every script and every window takes such a file with --env, and then is about that server alone.
"""

from pathlib import Path

from bot import config
from bot.config import Config, UserError

FOLDER = "servers"


def load(env_path: Path | None = None, *, needs_discord: bool = True) -> list[Config]:
    """The settings of all servers, those of `env_path` (None: `.env`) first.

    Raises `UserError` as `config.load` does, and where two servers would share what must be apart.
    """
    first = config.load(env_path, needs_discord=needs_discord)
    found = [first]
    for path in paths(first.env_path):
        one = config.load(path, needs_discord=needs_discord)
        for other in found:
            _check(one, other)
        found.append(one)
    return found


def paths(env_path: Path) -> list[Path]:
    """The settings files of the further servers."""
    return sorted((env_path.resolve().parent / FOLDER).glob("*/.env"))


def _check(one: Config, other: Config) -> None:
    where = f"{other.env_path} and {one.env_path}"
    if (one.token, one.api_base) != (other.token, other.api_base):
        raise UserError(f"{where} name two bots. For one bot in both, give both its DISCORD_TOKEN.")
    if one.server_id and one.server_id == other.server_id:
        raise UserError(f"{where} are for the same server. Remove the folder of one of them.")
    for name in ("data_dir", "models_dir"):
        mine, theirs = getattr(one, name), getattr(other, name)
        if mine.is_relative_to(theirs) or theirs.is_relative_to(mine):
            raise UserError(
                f"{where} keep their files in one folder, {mine}: what is said in one server would "
                f"be learned for the other. Give each a {name.upper()} of its own."
            )
