"""What may be shown to somebody who helps, in a zip: no token, no message, no name, no id.

Ids become short codes, the same one for the same id within a zip and another in the next. Of the
log only what the programs say themselves is kept: nothing quoted, and of an error its kind.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
import sqlite3
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from bot import addresses, config, more_servers
from bot.config import ROOT, Config, UserError
from gui import preferences
from model import report
from start_budget import StartBudget
from storage import database, messages

if TYPE_CHECKING:
    from doctor import Finding

LINES = 2000  # of the log

_TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{4,}\.[\w-]{20,}")
_ID = r"\d{15,20}"
_OPENING, _CLOSING = "'\"`\u2018\u201c\u201e\u00ab", "'\"`\u2019\u201d\u201c\u00bb"
_QUOTED = re.compile(  # to the last quote of the line: a quoted text may hold quotes
    rf"(?:(?<!\w)|(?<=\b[bruf]))[{_OPENING}](?:.*[{_CLOSING}](?!\w)|.*)"
)
_ENTRY = re.compile(r"(\[[\d: -]+\] \[[A-Z]+\] )(.*)")
_OWN = re.compile(  # what is said by our programs and by what they stand on
    r"(?:bot|child_process|data|error|gui|launcher|memory_watch|model|sandbox|scripts|setup|"
    r"single_instance|start_budget|storage|terminal|window|__main__|"
    r"aiohttp|asyncio|discord|ggml|gguf|lance|llama)[\w.]*: "
)
_FRAME = re.compile(r'\s*File "(?:.*[\\/])?([^\\/"]+[\\/][^\\/"]+)", (line \d+, in [\w<>.]+)')
_ERROR = re.compile(  # what SQLite and the system say is theirs; of others, nobody knows
    r"(?<![\w.])(?!sqlite3\.)([\w.]*(?:Error|Exception|Group|Exit)): (?!\[(?:Errno|WinError) ).*"
)
_IS_ERROR = re.compile(r"[\w.]*(?:Error|Exception|Group|Exit)(?::|$)")
_SHORTEST_NAME = 2

Mask = Callable[[str], str]


def write(path: Path, env_path: Path | None, findings: "Iterable[Finding]") -> None:
    """Write the zip, for its owner's eyes until they pass it on. Raises `OSError`."""
    settings = _settings(env_path)
    looked = "\n".join(f"{one.state:5} {one.name:12} {one.text}" for one in findings)
    parts = {"doctor.txt": _unquoted(looked), "versions.txt": _versions()}
    if settings:
        parts["settings.txt"] = _told(settings)
        parts["log.txt"] = "\n".join(_log(settings.data_dir / "logs"))
        parts["reports.json"] = json.dumps(_figures(report.history(settings.models_dir)), indent=1)
        parts["launcher.json"] = json.dumps(_launcher(settings.data_dir), indent=1)
    try:
        hide = mask(settings)
    except (UserError, sqlite3.Error):  # then nobody knows which names to look for
        hide = mask(None)
        parts["log.txt"] = "Left out: the database does not say which names to mask."
    partial = path.with_name(f"{path.name}.partial")
    partial.unlink(missing_ok=True)
    opened = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with (
            os.fdopen(opened, "wb") as file,
            zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        ):
            for name, text in parts.items():
                archive.writestr(name, hide(text).encode("utf-8", "replace"))
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _settings(env_path: Path | None) -> Config | None:
    """As much of the settings as makes sense."""
    for needs_discord in (True, False):
        with contextlib.suppress(UserError, OSError):
            return config.load(env_path, needs_discord=needs_discord)
    return None


def mask(settings: Config | None) -> Mask:
    """Takes out of a text whatever names a person or a place, or looks like a secret.

    Raises `UserError` and `sqlite3.Error` where the names cannot be read.
    """
    salt = secrets.token_bytes(16)
    servers = _servers(settings)
    known = _names(servers)
    home = str(Path.home())
    elsewhere = {text for one in servers for text in (one.engine_key, _far_host(one)) if text}
    ours = {i for one in servers for i in (one.server_id, *one.admin_ids, *one.channel_ids)}
    ids = re.compile("|".join([_ID, *(rf"(?<!\d){one}(?!\d)" for one in ours if one)]))

    def code(match: "re.Match[str]") -> str:
        return f"id-{hashlib.sha256(salt + match[0].encode()).hexdigest()[:6]}"

    def hide(text: str) -> str:
        text = _TOKEN.sub("(token)", text).replace(home, "~")
        for private in elsewhere:
            text = text.replace(private, "(server)")
        folded = text.casefold()
        if met := [re.escape(name) for name in known if name.casefold() in folded]:
            text = re.sub(rf"(?<!\w)(?:{'|'.join(met)})(?!\w)", "(name)", text, flags=re.I)
        return ids.sub(code, text)

    return hide


def _servers(settings: Config | None) -> list[Config]:
    """The settings of all servers. Raises `UserError` where a further one's cannot be read."""
    if settings is None:
        return []
    further = {path: _settings(path) for path in more_servers.paths(settings.env_path)}
    for path, one in further.items():
        if one is None:
            raise UserError(f"Nobody knows whom {path} names.")
    return [settings, *filter(None, further.values())]


def _far_host(settings: Config) -> str:
    """The server in ENGINE_URL, unless it is this computer."""
    url = settings.engine_url
    return (urlsplit(url).hostname or "") if url and not addresses.is_here(url) else ""


def _names(servers: Sequence[Config]) -> list[str]:
    """Everybody's, the longest first, as one may be part of another; and this computer's user's.

    The folder of a further server may be called as it is.
    """
    known = {Path.home().name, *(one.env_path.parent.name for one in servers[1:])}
    for one in servers:
        if one.database_path.exists():
            with contextlib.closing(database.connect(one.database_path)) as connection:
                known.update(messages.names(connection).values())
    known = {name for name in known if len(name) >= _SHORTEST_NAME and not name.isnumeric()}
    return sorted(known, key=len, reverse=True)


def _unquoted(text: str) -> str:
    return _ERROR.sub(r"\1: (text)", _QUOTED.sub("(text)", text))


def _versions() -> str:
    lines = [f"{platform.platform()}", f"Python {platform.python_version()}"]
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        if found := re.match(r"[A-Za-z0-9][\w.-]*", line):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                lines.append(f"{found[0]} {importlib.metadata.version(found[0])}")
    return "\n".join(dict.fromkeys(lines))


def _told(settings: Config) -> str:
    values = {
        "token": "there is one" if settings.token else "",
        "server": settings.server_id or "",
        "admins": " ".join(map(str, settings.admin_ids)),
        "channels": " ".join(map(str, settings.channel_ids)) or "all",
        "further servers": len(more_servers.paths(settings.env_path)),
        "engine": _engine(settings),
        "engine key": "there is one" if settings.engine_key else "",
        "context length": settings.context_length,
        "threads": settings.threads,
        "gpu layers": settings.gpu_layers,
        "log level": settings.log_level,
        "model path": settings.model_path.name if settings.model_path else "",
        "base model": settings.base_model.name if settings.base_model else "",
    }
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _engine(settings: Config) -> str:
    if not settings.engine_url:
        return "a worker"
    return "a server elsewhere" if _far_host(settings) else "a server on this computer"


def _launcher(data_dir: Path) -> dict[str, Any]:
    starts = StartBudget(data_dir / "spawns.json").starts(time.time())
    return {
        **dataclasses.asdict(preferences.read(data_dir)),
        "bot_starts_within_a_day": len(starts),  # many: it crashes
    }


def _log(folder: Path) -> list[str]:
    """What may be shown of the newest lines, the oldest first."""
    lines: list[str] = []
    for path in sorted(folder.glob("*.log*"), key=_age):
        with contextlib.suppress(OSError):
            lines = path.read_text("utf-8", "replace").splitlines()[-LINES:] + lines
        if len(lines) >= LINES:
            break
    return list(_said(lines[-LINES:]))


def _said(lines: Iterable[str]) -> Iterator[str]:
    """Entries without what they quote, the frames of a traceback, an error's kind; nothing else."""
    for line in lines:
        head, text = match.groups() if (match := _ENTRY.match(line)) else ("", line)
        if frame := _FRAME.match(text):
            yield f"{head}  File {frame[1]}, {frame[2]}"
        elif _OWN.match(text) or _IS_ERROR.match(text):
            yield head + _unquoted(text)
        elif head:
            yield f"{head}(text)"


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return -path.stat().st_mtime
    return 0.0


def _figures(value: Any) -> Any:
    """The numbers of a report, without any text."""
    if isinstance(value, dict):
        found = {name: _figures(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if one not in (None, {}, [])}
    if isinstance(value, list):
        return [one for one in map(_figures, value) if one not in (None, {}, [])]
    return value if isinstance(value, int | float) else None
