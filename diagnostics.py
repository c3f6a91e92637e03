"""What may be shown to somebody who helps, in a zip: no token, no message, no name, no id.

Ids become short codes, the same one for the same id within a zip and another in the next.
"""

import contextlib
import hashlib
import importlib.metadata
import json
import os
import platform
import re
import secrets
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot import config
from bot.config import ROOT, Config, UserError
from model import report
from storage import database, messages

if TYPE_CHECKING:
    from doctor import Finding

LINES = 2000  # of the log
SETTINGS = ("CONTEXT_LENGTH", "THREADS", "GPU_LAYERS", "LOG_LEVEL")
_TOKEN = re.compile(r"[\w-]{18,}\.[\w-]{4,}\.[\w-]{20,}")
_ID = re.compile(r"\d{15,20}")
_QUOTED = re.compile(r"(['\"\u201c\u2018`]).{2,}?['\"\u201d\u2019`](?!\w)")
_SHORTEST_NAME = 3

Mask = Callable[[str], str]


def write(path: Path, env_path: Path | None, findings: "Iterable[Finding]") -> None:
    """Write the zip, for its owner's eyes until they pass it on. Raises `OSError`."""
    try:
        settings = config.load(env_path, needs_discord=False)
    except UserError:
        settings = None
    hide = mask(settings)
    parts = {
        "doctor.txt": _unquoted(f"{one.state:5} {one.name:12} {one.text}" for one in findings),
        "versions.txt": _versions(),
    }
    if settings:
        parts["settings.txt"] = _settings(settings)
        parts["log.txt"] = _unquoted(_log(settings.data_dir / "logs"))
        parts["reports.json"] = json.dumps(_reports(settings.models_dir), indent=1)
        for name in ("launcher.json", "spawns.json"):
            with contextlib.suppress(OSError):
                parts[name] = (settings.data_dir / name).read_text("utf-8", "replace")
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


def mask(settings: Config | None) -> Mask:
    """Takes out of a text whatever names a person or a place, or looks like a secret."""
    salt = secrets.token_bytes(16)
    names = _names(settings)
    home = str(Path.home())

    def code(match: "re.Match[str]") -> str:
        return f"id-{hashlib.sha256(salt + match[0].encode()).hexdigest()[:6]}"

    def hide(text: str) -> str:
        text = _TOKEN.sub("(token)", text).replace(home, "~")
        if names:
            text = names.sub("(name)", text)
        return _ID.sub(code, text)

    return hide


def _names(settings: Config | None) -> "re.Pattern[str] | None":
    known: set[str] = set()
    if settings and settings.database_path.exists():
        with (
            contextlib.suppress(UserError),
            contextlib.closing(database.connect(settings.database_path)) as connection,
        ):
            known = set(messages.names(connection).values())
    texts = sorted((one for one in known if len(one) >= _SHORTEST_NAME), key=len, reverse=True)
    if not texts:
        return None
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, texts))})(?!\w)", re.IGNORECASE)


def _unquoted(lines: Iterable[str]) -> str:
    return _QUOTED.sub(r"\1(text)\1", "\n".join(lines))


def _versions() -> str:
    lines = [f"{platform.platform()}", f"Python {platform.python_version()}"]
    for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines():
        if found := re.match(r"[A-Za-z0-9][\w.-]*", line):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):
                lines.append(f"{found[0]} {importlib.metadata.version(found[0])}")
    return "\n".join(lines)


def _settings(settings: Config) -> str:
    values = {
        "server": settings.server_id,
        "admins": len(settings.admin_ids),
        "channels": len(settings.channel_ids) or "all",
        "context length": settings.context_length,
        "threads": settings.threads,
        "gpu layers": settings.gpu_layers,
        "log level": settings.log_level,
        "model path": bool(settings.model_path),
        "base model": settings.base_model.name if settings.base_model else "",
    }
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _log(folder: Path) -> Sequence[str]:
    """The newest lines, the oldest first."""
    lines: list[str] = []
    for path in sorted(folder.glob("*.log*"), key=_age):
        with contextlib.suppress(OSError):
            lines = path.read_text("utf-8", "replace").splitlines()[-LINES:] + lines
        if len(lines) >= LINES:
            break
    return lines[-LINES:]


def _age(path: Path) -> float:
    with contextlib.suppress(OSError):
        return -path.stat().st_mtime
    return 0.0


def _reports(models_dir: Path) -> list[Any]:
    return [_figures(facts) for facts in report.history(models_dir)]


def _figures(value: Any) -> Any:
    """The numbers of a report, without any text."""
    if isinstance(value, dict):
        found = {name: _figures(one) for name, one in value.items()}
        return {name: one for name, one in found.items() if one not in (None, {}, [])}
    if isinstance(value, list):
        return [one for one in map(_figures, value) if one not in (None, {}, [])]
    return value if isinstance(value, int | float) else None
