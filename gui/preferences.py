"""What the owner of this computer prefers: a small file of the launcher's own, `launcher.json`.

What the bot reads stands in `.env` and in SQLite; this is what only the launcher needs.
"""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

FILE = "launcher.json"
APPEARANCES = ("auto", "light", "dark")
NOTICES = ("all", "errors", "none")

_CHOICES: dict[str, tuple[str, ...]] = {"appearance": APPEARANCES, "notices": NOTICES}
_LIMITS: dict[str, tuple[Any, Any]] = {
    "scale": (0, 300),
    "keep_logs_days": (1, 3650),
    "keep_messages_days": (0, 3650),
}


@dataclasses.dataclass(frozen=True)
class Preferences:
    """`scale` is in percent, 0: as the screen says. `keep_messages_days` 0: forever."""

    starts_bot: bool = False
    starts_minimised: bool = False
    keeps_in_tray: bool = True
    notices: str = "all"
    sounds: bool = False
    appearance: str = "auto"
    scale: int = 0
    backs_up_weekly: bool = True
    keep_logs_days: int = 30
    keep_messages_days: int = 0
    is_set_up: bool = False  # the first-run path was gone through, or declined


def read(folder: Path) -> Preferences:
    """The preferences kept in a folder; what is missing or nonsense counts as its default."""
    fields, known = _fields(folder), dataclasses.fields(Preferences)
    return Preferences(**{f.name: fields[f.name] for f in known if _is_sound(f, fields)})


def write(folder: Path, preferences: Preferences) -> None:
    """Keep them, beside whatever a newer release kept there. Raises `OSError`."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    fields = {**_fields(folder), **dataclasses.asdict(preferences)}
    partial = folder / f"{FILE}.partial"
    partial.write_text(json.dumps(fields, indent=1) + "\n", "utf-8")
    os.replace(partial, folder / FILE)


def _fields(folder: Path) -> dict[str, Any]:
    try:
        fields = json.loads((folder / FILE).read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _is_sound(field: "dataclasses.Field[Any]", fields: dict[str, Any]) -> bool:
    kind: type = type(field.default)
    value = fields.get(field.name)
    if type(value) is not kind:
        return False
    low, high = _LIMITS.get(field.name, (None, None))
    if low is not None:
        return bool(low <= value <= high)
    return value in _CHOICES.get(field.name, (value,))
