"""A file that one process at a time can hold."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from bot.config import UserError


@contextlib.contextmanager
def held(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the file. Raises `UserError` with the sentence `otherwise` while another does.

    The operating system lets go of it when the process ends, however it ends.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with path.open("a") as file:
        try:
            _lock(file)
        except OSError:
            raise UserError(otherwise) from None
        yield


def _lock(file: TextIO) -> None:
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
