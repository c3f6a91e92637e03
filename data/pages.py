"""The pages of history as Discord sent them, kept beside the database.

    messages/CHANNEL/AFTER.json.gz    the messages that follow the id AFTER, oldest first

A page's name is where the fetch stood when it asked: fetched again, it takes its own place.
"""

import gzip
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from bot.config import UserError

Raw = dict[str, Any]

_NAME = re.compile(r"(\d{1,20})\.json\.gz")


def write(folder: Path, channel_id: int, after: int, page: list[Raw], through: int | None) -> None:
    """Keep a page; the pages that it covers, written when it held more or less, go.

    `through` is the id up to which it holds all there is, None where nothing follows. A page with
    nothing on it is no file.
    """
    own = folder / str(channel_id)
    for begin, path in _pages(own):
        is_covered = begin > after and (through is None or begin < through)
        if is_covered or (begin == after and not page):
            path.unlink()
    if page:
        for made in (folder, own):
            made.mkdir(parents=True, exist_ok=True, mode=0o700)
        _put(own / f"{after}.json.gz", page)


def read(folder: Path) -> Iterator[tuple[int, list[Raw]]]:
    """(channel id, messages) of every page. Raises `UserError` for a damaged one."""
    for own in sorted(folder.glob("*")):
        if own.name.isdecimal():
            for _, path in sorted(_pages(own)):
                yield int(own.name), _load(path)


def purge(folder: Path, unwanted: Mapping[int, Collection[int]]) -> int:
    """Take messages, by channel and id, out of the pages that hold them; how many pages those are.

    A page that cannot be read is removed: what it held cannot be known.
    """
    changed = 0
    for channel_id, ids in unwanted.items():
        for _, path in _pages(folder / str(channel_id)):
            try:
                page = _load(path)
            except UserError:
                path.unlink()
                changed += 1
                continue
            kept = [raw for raw in page if int(raw["id"]) not in ids]
            if len(kept) < len(page):
                _put(path, kept)
                changed += 1
    return changed


def _pages(own: Path) -> list[tuple[int, Path]]:
    found = [(_NAME.fullmatch(path.name), path) for path in own.glob("*.json.gz")]
    return [(int(match[1]), path) for match, path in found if match]


def _load(path: Path) -> list[Raw]:
    try:
        page = json.loads(gzip.decompress(path.read_bytes()))
        if isinstance(page, list) and all(isinstance(raw, dict) and "id" in raw for raw in page):
            return page
    except (OSError, EOFError, ValueError, RecursionError):
        pass
    raise UserError(f"{path} is damaged. Delete it; the messages themselves are in the database.")


def _put(path: Path, page: list[Raw]) -> None:
    # without the time that gzip writes, equal pages are equal files
    packed = gzip.compress(json.dumps(page, ensure_ascii=False).encode("utf-8"), mtime=0)
    partial = path.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(packed)
    os.replace(partial, path)
