"""The `.env` file as one frozen value, checked, with errors that say the way out."""

import base64
import binascii
import contextlib
import dataclasses
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from dotenv import dotenv_values

from bot import addresses

ROOT = Path(__file__).resolve().parent.parent
NEEDS_A_PERSON = 78  # exit code: restarting will not help, somebody must change something
RESTART_ME = 75

DISCORD_API = "https://discord.com/api/v10"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
_TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}")
_PLAIN_URL = re.compile(
    r"https?://([\w-]+(\.[\w-]+)*|\[[0-9a-fA-F:.]+\])(:(?P<port>[0-9]{1,5}))?(/[\w./-]*)?", re.ASCII
)
_PORTAL = "https://discord.com/developers/applications"


class UserError(Exception):
    """Something a person must put right; its text is a sentence with the way out."""


@dataclasses.dataclass(frozen=True)
class Config:
    """What `.env` says. Ids are Discord snowflakes; an empty `channel_ids` means every channel."""

    env_path: Path
    token: str = dataclasses.field(repr=False)
    server_id: int
    admin_ids: frozenset[int]
    channel_ids: frozenset[int] = frozenset()
    model_path: Path | None = None  # wins over whatever is deployed
    base_model: Path | None = None  # until one is deployed
    engine_url: str = ""  # of a server that replies in the model's place; ends in /v1
    engine_model: str = ""
    engine_key: str = dataclasses.field(default="", repr=False)
    context_length: int = 2048
    threads: int = 0
    gpu_layers: int = 0
    response_cache_seconds: int = 0
    embedder: str = ""  # the small one that comes as a package
    data_dir: Path = ROOT / "data_storage"
    models_dir: Path = ROOT / "models"
    log_level: str = "INFO"
    api_base: str = DISCORD_API

    @property
    def application_id(self) -> int:
        """The bot's own id, which is the first part of its token."""
        return _token_owner(self.token)

    @property
    def database_path(self) -> Path:
        return self.data_dir / "database" / "bot.sqlite3"

    @property
    def embeddings_dir(self) -> Path:
        return self.data_dir / "embeddings"

    @property
    def training_dir(self) -> Path:
        return self.data_dir / "training"

    @property
    def participation_path(self) -> Path:
        return self.data_dir / "participation.json"


def load(env_path: Path | None = None, *, needs_discord: bool = True) -> Config:
    """Read the file given and nothing else, or `.env` with the process's environment on top.

    A machine that only prepares or trains needs no token: `needs_discord` False asks for none.
    Raises `UserError` naming the setting and the file when something is missing or malformed.
    """
    path = env_path or ROOT / ".env"
    values = _read(path) if env_path else {**_read(path), **os.environ}
    text = {name: _bare(values.get(name, "")) for name in _NAMES}
    return Config(
        env_path=path,
        token=_token(text["DISCORD_TOKEN"], path) if needs_discord else "",
        server_id=_server(text["SERVER_ID"], path) if needs_discord else 0,
        admin_ids=_admins(text["ADMIN_USERS"], path) if needs_discord else frozenset(),
        channel_ids=_ids("CHANNELS", text["CHANNELS"], path),
        model_path=_path(text["MODEL_PATH"], path) if text["MODEL_PATH"] else None,
        base_model=_path(text["BASE_MODEL"], path) if text["BASE_MODEL"] else None,
        engine_url=_engine_url(text["ENGINE_URL"], path),
        engine_model=text["ENGINE_MODEL"],
        engine_key=_engine_key(text["ENGINE_KEY"], path),
        context_length=_number("CONTEXT_LENGTH", text["CONTEXT_LENGTH"], path),
        threads=_number("THREADS", text["THREADS"], path),
        gpu_layers=_number("GPU_LAYERS", text["GPU_LAYERS"], path),
        response_cache_seconds=_number(
            "RESPONSE_CACHE_SECONDS", text["RESPONSE_CACHE_SECONDS"], path
        ),
        embedder=_embedder(text["EMBEDDER"], path),
        data_dir=_path(text["DATA_DIR"] or str(ROOT / "data_storage"), path),
        models_dir=_path(text["MODELS_DIR"] or str(ROOT / "models"), path),
        log_level=_level(text["LOG_LEVEL"], path),
        api_base=_api_base(text["DISCORD_API_BASE"], path),
    )


def check(name: str, text: str) -> None:
    """See whether one setting would do. Raises `UserError`, as `load` does, if not."""
    path, text = Path(".env"), _bare(text)
    if name in _NUMBERS:
        _number(name, text, path)
    elif name in _CHECKS:
        _CHECKS[name](text, path)
    elif text and name not in _NAMES:
        raise UserError(f"There is no setting {name!r}.")


def works(env_path: Path | None) -> bool:
    """Whether a bot could start with these settings."""
    try:
        load(env_path)
    except UserError:
        return False
    return True


def data_dir(env_path: Path | None) -> Path:
    """Where the data lies, also for settings with which nothing can start yet."""
    with contextlib.suppress(UserError):
        return load(env_path, needs_discord=False).data_dir
    return ROOT / "data_storage"


_NAMES = (
    "DISCORD_TOKEN",
    "SERVER_ID",
    "ADMIN_USERS",
    "CHANNELS",
    "MODEL_PATH",
    "BASE_MODEL",
    "ENGINE_URL",
    "ENGINE_MODEL",
    "ENGINE_KEY",
    "CONTEXT_LENGTH",
    "THREADS",
    "GPU_LAYERS",
    "RESPONSE_CACHE_SECONDS",
    "EMBEDDER",
    "DATA_DIR",
    "MODELS_DIR",
    "LOG_LEVEL",
    "DISCORD_API_BASE",
)


_NUMBERS = {  # what an empty one means, the least and the most
    "CONTEXT_LENGTH": (2048, 256, 131_072),
    "THREADS": (0, 0, 512),
    "GPU_LAYERS": (0, -1, 1000),
    "RESPONSE_CACHE_SECONDS": (0, 0, 3600),
}


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UserError(
            f"Cannot read {path}: {reason}. Make it a text file that you may read, "
            "or copy .env.example over it and fill it in again."
        ) from None
    return {name: value or "" for name, value in dotenv_values(stream=io.StringIO(text)).items()}


def _token(text: str, path: Path) -> str:
    if not text:
        raise UserError(
            f"DISCORD_TOKEN is missing in {path}. Copy .env.example to .env and paste the token "
            f"of your bot from {_PORTAL} > your application > Bot > Reset Token. "
            "To look around without one, run: python3 launcher.py --demo"
        )
    text = text.removeprefix("Bot ").strip()
    if not _TOKEN.fullmatch(text) or not _token_owner(text):
        raise UserError(
            f"DISCORD_TOKEN in {path} is not a bot token: it has three parts joined by dots, the "
            f"first made of your bot's id. Copy it again from {_PORTAL} > Bot > Reset Token."
        )
    return text


def _token_owner(token: str) -> int:
    """The user id in the first part of a token, 0 when there is none."""
    head = token.partition(".")[0]
    try:
        return int(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError):
        return 0


def _server(text: str, path: Path) -> int:
    ids = _ids("SERVER_ID", text, path)
    if len(ids) != 1:
        raise UserError(
            f"SERVER_ID in {path} must be the one id of your server. In Discord switch on "
            "Settings > Advanced > Developer Mode, right-click the server, Copy Server ID. "
            "A further server is added by scripts/add_server.py."
        )
    return next(iter(ids))


def _admins(text: str, path: Path) -> frozenset[int]:
    ids = _ids("ADMIN_USERS", text, path)
    if not ids:
        raise UserError(
            f"ADMIN_USERS in {path} is empty, so nobody could command the bot. In Discord switch "
            "on Settings > Advanced > Developer Mode, right-click yourself, Copy User ID."
        )
    return ids


def _ids(name: str, text: str, path: Path) -> frozenset[int]:
    parts = [part for part in re.split(r"[\s,;]+", text) if part]
    for part in parts:
        if not re.fullmatch(r"[0-9]{5,20}", part):
            raise UserError(
                f"{name} in {path} contains {part!r}, which is not a Discord id (a number of 17 to "
                "20 digits; right-click > Copy ID in Discord's Developer Mode)."
            )
    return frozenset(map(int, parts))


def _bare(text: str) -> str:
    return text.strip().strip("'\"").strip()


def _number(name: str, text: str, path: Path) -> int:
    default, low, high = _NUMBERS[name]
    if not text:
        return default
    if not re.fullmatch(r"-?[0-9]{1,9}", text) or not low <= int(text) <= high:
        raise UserError(
            f"{name} in {path} is {text!r}; give a whole number from {low} to {high}, "
            f"or leave it empty for {default}."
        )
    return int(text)


def _level(text: str, path: Path) -> str:
    level = text.upper() or "INFO"
    if level not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise UserError(f"LOG_LEVEL in {path} is {text!r}; use DEBUG, INFO, WARNING or ERROR.")
    return level


def _embedder(text: str, path: Path) -> str:
    choice = text.lower()
    if choice not in {"", "minilm", "bge-small"}:
        raise UserError(f"EMBEDDER in {path} is {text!r}; use minilm or bge-small.")
    return choice


def _path(text: str, env_path: Path) -> Path:
    return (env_path.resolve().parent / Path(text).expanduser()).resolve()


def _api_base(text: str, path: Path) -> str:
    """Only a sandbox on this machine may stand in for Discord: a token goes nowhere else."""
    if not text:
        return DISCORD_API
    parts = urlsplit(text)
    if parts.scheme != "http" or parts.hostname not in _LOOPBACK or parts.username:
        raise UserError(
            f"DISCORD_API_BASE in {path} may only name this machine, such as "
            "http://127.0.0.1:8123/api/v10. Remove the line to talk to Discord."
        )
    return text.rstrip("/")


def _engine_url(text: str, path: Path) -> str:
    """What members write goes there: in the open only within a house."""
    if not text:
        return ""
    match = _PLAIN_URL.fullmatch(text)
    if not match or int(match["port"] or 0) > 65_535:
        raise UserError(
            f"ENGINE_URL in {path} is not the address of a server, such as "
            "http://127.0.0.1:8080/v1, with nothing after it (a key goes into ENGINE_KEY). "
            "Leave it empty to have the model run on this computer."
        )
    parts = urlsplit(text)
    if parts.scheme == "http" and addresses.is_public(host := parts.hostname or ""):
        raise in_the_open(host)
    return text.rstrip("/").removesuffix("/v1") + "/v1"


def in_the_open(host: str) -> UserError:
    """What to say of a server that could be reached over the internet, unencrypted."""
    return UserError(
        f"ENGINE_URL names {host}, which is out on the internet, without https: everybody on the "
        "way could read what members write. Use https, or a server in your own network."
    )


def _engine_key(text: str, path: Path) -> str:
    if not re.fullmatch(r"[!-~]*", text):
        raise UserError(f"ENGINE_KEY in {path} is not a key: it holds a space or an odd character.")
    return text


_CHECKS: dict[str, Callable[[str, Path], object]] = {
    "DISCORD_TOKEN": _token,
    "SERVER_ID": _server,
    "ADMIN_USERS": _admins,
    "CHANNELS": lambda text, path: _ids("CHANNELS", text, path),
    "ENGINE_URL": _engine_url,
    "ENGINE_KEY": _engine_key,
    "EMBEDDER": _embedder,
    "LOG_LEVEL": _level,
    "DISCORD_API_BASE": _api_base,
}


def exit_with(error: UserError) -> int:
    """Print the sentence as the last thing and give back the exit code for a root to return."""
    print(f"error: {error}", file=sys.stderr, flush=True)
    return NEEDS_A_PERSON
