"""Remembers the chat template of each model's file from the first time the file is loaded.

A chat template is a program inside a downloaded file, and decides what stands around what members
say. One that has changed under the name of its file is refused until somebody looked at it:
`python -m model.templates PATH --accept`.
"""

import hashlib
import json
import logging
import os
from pathlib import Path
from typing import Any

from bot.config import ROOT, UserError
from model import catalog

log = logging.getLogger(__name__)

REMEMBERED = "templates.json"  # in the models folder
NEW, SAME, CHANGED = "new here", "known", "not the one that was known"


def check(path: Path, folder: Path) -> None:
    """Have a model's template remembered. Raises `UserError` where it is another one now."""
    name, source = template(path)
    if not source:
        return
    state = compare(name, source, folder)
    if state == CHANGED:
        raise UserError(
            f"The chat template in {name} is not the one that this file had before, so the model "
            f"is not used. Look at it: {_command(path, folder)}. If the file comes from where you "
            "wanted it, add --accept to that; otherwise put the old file back, or choose another "
            "model."
        )
    if state == NEW:
        log.info("its chat template is remembered; to look at it: %s", _command(path, folder))
    accept(name, source, folder)


def template(path: Path) -> tuple[str, str]:
    """The name of the file that a model's chat template is in, and the template, "" for none.

    For an adapter that is its base. Raises `UserError` for a file that is no good.
    """
    file = catalog.base_of(path) or path
    return file.name, catalog.check_gguf(file).text("tokenizer.chat_template")


def digest(source: str) -> str:
    """The hex SHA-256 of a template."""
    return hashlib.sha256(source.encode("utf-8", "replace")).hexdigest()


def compare(name: str, source: str, folder: Path) -> str:
    """NEW, SAME or CHANGED; one known from another file is no news, as of a base and its pupils."""
    known, now = _read(folder / REMEMBERED), digest(source)
    if now in known.values():
        return SAME
    return CHANGED if name in known else NEW


def accept(name: str, source: str, folder: Path) -> None:
    """Remember a file's template as it is now."""
    file = folder / REMEMBERED
    known, now = _read(file), digest(source)
    if known.get(name) == now:
        return
    partial = file.with_suffix(".partial")
    try:
        partial.write_text(json.dumps({**known, name: now}, indent=1), "utf-8")
        os.replace(partial, file)
    except OSError as error:
        log.warning("cannot remember the chat template in %s: %s", file, error.strerror)


def _read(file: Path) -> dict[str, Any]:
    """What is remembered; nothing where the file is not there or damaged."""
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return known if isinstance(known, dict) else {}


def _command(path: Path, folder: Path) -> str:
    is_usual = folder.resolve() == (ROOT / "models").resolve()
    return f'python -m model.templates "{path}"' + ("" if is_usual else f' --models-dir "{folder}"')
