"""What there is to read: one file, a folder with everything below it, or a zip.

Nothing is unpacked to disk, and nothing outside the given path is ever opened.
"""

import contextlib
import functools
import os
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from bot.config import UserError
from data.exports.source import ALWAYS_FINE, MOST_UNPACKED, Source

LARGEST_MEMBER = 4 << 30
ENCRYPTED = 1  # bit of a member's flags


@contextlib.contextmanager
def opened(path: Path, refused: list[str]) -> Iterator[list[Source]]:
    """Every file at `path`; `refused` learns what was not followed, and why.

    Raises `UserError` where there is nothing at all.
    """
    if not path.exists():
        raise UserError(
            f"There is nothing at {path}. Give the file, folder or zip with the exported messages."
        )
    with contextlib.ExitStack() as stack:
        found: list[Source] = []
        for file in _below(path, refused):
            name = _shown(file.relative_to(path) if file != path else Path(file.name))
            try:
                found += (
                    _members(file, name, refused, stack) if _is_zip(file) else [_file(file, name)]
                )
            except OSError as error:
                refused.append(f"{name} ({error.strerror or 'cannot be read'})")
        yield found


def _below(path: Path, refused: list[str]) -> Iterator[Path]:
    """Ordinary files, in the order of their names; links that lead out are not followed."""
    if not path.is_dir():
        yield path
        return

    def failed(error: OSError) -> None:
        refused.append(f"{_shown(Path(error.filename).relative_to(path))} ({error.strerror})")

    root = path.resolve()
    for folder, subfolders, names in os.walk(path, onerror=failed):
        outside = [name for name in subfolders + names if not _is_inside(Path(folder, name), root)]
        refused += [f"{_shown(Path(folder, n).relative_to(path))} (leads out)" for n in outside]
        subfolders[:] = sorted(set(subfolders) - set(outside))
        for name in sorted(set(names) - set(outside)):
            if Path(folder, name).is_file():
                yield Path(folder, name)


def _is_inside(path: Path, root: Path) -> bool:
    try:
        return path.resolve().is_relative_to(root)
    except (OSError, RuntimeError):  # a link to itself
        return False


def _file(path: Path, name: str) -> Source:
    return Source(name, path.stat().st_size, lambda: path.open("rb"))


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _members(
    path: Path, name: str, refused: list[str], stack: contextlib.ExitStack
) -> Iterator[Source]:
    try:
        archive = stack.enter_context(zipfile.ZipFile(path))
    except (zipfile.BadZipFile, struct.error, RuntimeError, ValueError):
        refused.append(f"{name} (damaged or cut short: a zip is listed at its end)")
        return
    for member in archive.infolist():
        if member.is_dir():
            continue
        shown = f"{name}/{_shown(PurePosixPath(member.filename))}"
        if reason := _danger(member):
            refused.append(f"{shown} ({reason})")
        else:
            yield Source(shown, member.file_size, functools.partial(archive.open, member))


def _danger(member: zipfile.ZipInfo) -> str | None:
    """Why a member of a zip is left alone: names and sizes in it are only claims."""
    path = PurePosixPath(member.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in member.filename[:3]:
        return "leads out"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & ENCRYPTED:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "is packed in an unusual way"
    if member.file_size > LARGEST_MEMBER:
        return f"claims more than {LARGEST_MEMBER >> 30} GiB"
    if member.file_size > max(ALWAYS_FINE, MOST_UNPACKED * member.compress_size):
        return f"unpacks to more than {MOST_UNPACKED} times its size"
    return None


def _shown(path: Path | PurePosixPath) -> str:
    """A file's name that can be printed; neither zips nor every system insist on text."""
    text = os.fsencode(path.as_posix()).decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else "?" for letter in text)
