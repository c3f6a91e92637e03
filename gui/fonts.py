"""Copying as a window's fonts need it.

CustomTkinter copies its fonts to `~/.fonts` whenever it is imported, over those that are there. A
window that runs has them mapped, and dies of a bus error in the moment in which they are short.
"""

import filecmp
import os
import shutil
import tempfile
from pathlib import Path


def copy(source: "str | os.PathLike[str]", target: "str | os.PathLike[str]") -> Path:
    """As `shutil.copy`, but what is there already stays, and what is not comes whole."""
    place = Path(target)
    place = place / Path(source).name if place.is_dir() else place
    if place.exists() and filecmp.cmp(source, place, shallow=False):
        return place
    with tempfile.TemporaryDirectory(prefix=".", dir=place.parent) as folder:
        os.replace(_copy(source, folder), place)
    return place


_copy = shutil.copy


def protect() -> None:
    """Have whoever calls `shutil.copy` in this process copy like that."""
    setattr(shutil, "copy", copy)  # noqa: B010 (mypy)
