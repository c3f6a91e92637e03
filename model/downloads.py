"""Fetches a base model's file from the Hugging Face hub, in pieces that survive whatever happens.

    python -m model.downloads [NAME] [--models-dir DIR]

Without a name it lists the models. Stop it at any time: the next run goes on where it was.

huggingface_hub would do the same but for one thing: since its release 1.33 a download that is
interrupted begins again at nothing. HF_ENDPOINT names another hub.
"""

import argparse
import asyncio
import dataclasses
import errno
import os
import re
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urljoin, urlsplit

import aiohttp

from bot.config import ROOT, UserError, exit_with
from model import base_models, catalog, estimate
from model.base_models import BaseModel
from storage import lock_file

HUB = "https://huggingface.co"
ATTEMPTS = 5  # in a row without a new byte
RETRY_SECONDS = 2.0
PIECE = 256 * 1024
MARGIN_BYTES = 200_000_000  # left free on the disk
_STATUS_PAGE = "https://status.huggingface.co"
_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=15, sock_read=30)

Report = Callable[[int, int], None]  # bytes here, bytes in all
Stop = Callable[[], bool]
T = TypeVar("T")


class Paused(Exception):
    """Somebody asked to stop; what came is kept."""


class _Dropped(Exception):
    """The connection broke; it is worth trying again."""


@dataclasses.dataclass(frozen=True)
class _Remote:
    """The file as the hub describes it."""

    url: str
    size: int
    sha256: str


def path_of(model: BaseModel, models_dir: Path) -> Path:
    """Where a model's file is, or will be."""
    return models_dir / "base" / model.file


def fetch(
    model: BaseModel,
    models_dir: Path,
    report: Report = lambda done, total: None,
    is_stopped: Stop = lambda: False,
    retry_seconds: float = RETRY_SECONDS,
) -> Path:
    """The model's file, fetched unless it is there; a broken download goes on where it was.

    The file gets its name last, when its SHA-256 is the one the hub states. Blocks. Raises
    `Paused` soon after `is_stopped` says so, and `UserError`.
    """
    if not model.repo:
        return catalog.small_model(models_dir)
    path = path_of(model, models_dir)
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with lock_file.held(path.parent / ".download.lock", "Another download is running already."):
        try:
            work = _fetch(model, path, report, retry_seconds)
            partial, remote = asyncio.run(_unless_stopped(work, is_stopped))
            _check_hash(partial, remote, model)
        except OSError as error:
            raise _disk_error(error, path) from None
        os.replace(partial, path)  # renamed last: the name is the proof that the file is complete
        for older in path.parent.glob(f"{path.name}.*.partial"):
            older.unlink(missing_ok=True)
    return path


async def _unless_stopped(work: Coroutine[Any, Any, T], is_stopped: Stop) -> T:
    """Have it end within a moment, also where the network hangs."""
    task = asyncio.ensure_future(work)
    while not task.done():
        await asyncio.wait([task], timeout=0.1)
        if is_stopped():
            task.cancel()
    if task.cancelled():
        raise Paused
    return task.result()


async def _fetch(
    model: BaseModel, path: Path, report: Report, retry_seconds: float
) -> tuple[Path, _Remote]:
    async with aiohttp.ClientSession(timeout=_TIMEOUT, trust_env=True) as session:
        remote = await _retried(lambda: _describe(session, model), lambda: 0, retry_seconds)
        partial = path.with_name(f"{path.name}.{remote.sha256[:12]}.partial")
        _check_room(partial, remote, model)
        await _retried(
            lambda: _receive(session, remote, partial, report),
            lambda: _size(partial),
            retry_seconds,
        )
    return partial, remote


async def _retried(
    work: Callable[[], Awaitable[T]], size: Callable[[], int], retry_seconds: float
) -> T:
    """Try again as long as every few attempts bring something new. Raises `UserError`."""
    left = ATTEMPTS
    while True:
        before = size()
        try:
            return await work()
        except (_Dropped, aiohttp.ClientError, asyncio.TimeoutError) as error:
            left = ATTEMPTS if size() > before else left - 1
            if not left:
                raise UserError(_gave_up(error)) from None
            await asyncio.sleep(retry_seconds)


def _gave_up(error: Exception) -> str:
    is_away = isinstance(error, aiohttp.ClientConnectionError) or not str(error)
    broke = "there is no connection" if is_away else "the connection broke"
    reason = str(error) if isinstance(error, _Dropped) else broke
    return (
        f"The model cannot be fetched now ({reason}). What came is kept. Check the network, look "
        f"at {_STATUS_PAGE}, and go on later; or choose SmolLM2, which comes from elsewhere."
    )


async def _describe(session: aiohttp.ClientSession, model: BaseModel) -> _Remote:
    """The file's size and hash. A model that was renamed is followed, on the same hub alone."""
    hub = os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB
    url = f"{hub}/{quote(model.repo)}/resolve/main/{quote(model.file)}"
    for _ in range(5):
        async with session.head(url, headers=_IDENTITY, allow_redirects=False) as response:
            _check_status(response.status, model)
            found = response.headers
            target = urljoin(url, found.get("Location", url))
        is_moved = target != url and urlsplit(target).netloc == urlsplit(url).netloc
        if not is_moved or "X-Linked-Etag" in found:
            break
        url = target
    sha256 = found.get("X-Linked-Etag", found.get("ETag", "")).removeprefix("W/").strip('"')
    size = found.get("X-Linked-Size", found.get("Content-Length", ""))
    if not re.fullmatch("[0-9a-f]{64}", sha256) or not re.fullmatch("[0-9]{1,15}", size, re.ASCII):
        raise UserError(
            f"The hub at {hub} does not say what the file of {model.title} must look like, so it "
            "is not used. A proxy may stand in between; try again over another network."
        )
    return _Remote(url, int(size), sha256)


_IDENTITY = {"Accept-Encoding": "identity"}  # a compressed answer has another length


async def _receive(
    session: aiohttp.ClientSession, remote: _Remote, partial: Path, report: Report
) -> None:
    """Append what is missing of the file. Raises `_Dropped` where less came than was due."""
    done = _size(partial)
    if done == remote.size:
        return
    headers = {**_IDENTITY, "Range": f"bytes={done}-"} if done else _IDENTITY
    async with session.get(remote.url, headers=headers) as response:
        if response.status == 416:
            partial.unlink(missing_ok=True)
            raise _Dropped("the hub has another file now")
        _check_status(response.status, None)
        is_rest = response.headers.get("Content-Range", "").startswith(f"bytes {done}-")
        if response.status != 206 or not is_rest:
            done = 0  # all of it comes again
        with partial.open("r+b" if done else "wb") as file:
            file.seek(done)
            async for piece in response.content.iter_chunked(PIECE):
                done += file.write(piece)
                report(done, remote.size)
    if done != remote.size:
        if done > remote.size:
            partial.unlink(missing_ok=True)
        raise _Dropped(f"it broke off at {done * 100 // max(1, remote.size)} %")


def _check_status(status: int, model: BaseModel | None) -> None:
    if status == 429 or status >= 500:
        raise _Dropped(f"the hub is busy, HTTP {status}")
    title = model.title if model else "the model"
    if status in (401, 403):
        raise UserError(f"The hub wants an account for {title}. Choose another model.")
    if status == 404:
        raise UserError(f"{title} is not on the hub any more. Choose another model.")
    if status >= 400:
        raise UserError(f"The hub refused to give {title} (HTTP {status}). Try again later.")


def _check_room(partial: Path, remote: _Remote, model: BaseModel) -> None:
    missing = remote.size - _size(partial) + MARGIN_BYTES
    free = base_models.free_disk(partial.parent)
    if missing > free:
        raise UserError(
            f"The disk is too full for {model.title}: it takes {missing / 1e9:.1f} GB more, and "
            f"{free / 1e9:.1f} GB are free. Make room and go on, or choose a smaller model."
        )


def _check_hash(partial: Path, remote: _Remote, model: BaseModel) -> None:
    if catalog.sha256(partial) != remote.sha256:
        partial.unlink()
        raise UserError(
            f"The file of {model.title} came damaged (its SHA-256 is not the one the hub states) "
            "and was thrown away. Fetch it again, perhaps over another network."
        )


def _disk_error(error: OSError, path: Path) -> UserError:
    if error.errno == errno.ENOSPC:
        return UserError(
            f"The disk that {path.parent} is on is full. What came is kept: make room and go on."
        )
    return UserError(f"Cannot write to {path.parent}: {error.strerror or error}. Then go on.")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def main() -> int:
    """Fetch a model, or list those there are."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = [model.key for model in base_models.BASE_MODELS]
    parser.add_argument("name", nargs="?", choices=names)
    parser.add_argument("--models-dir", type=Path, default=ROOT / "models")
    arguments = parser.parse_args()
    model = base_models.by_key(arguments.name) if arguments.name else None
    if model is None:
        _list(arguments.models_dir)
        return 0
    try:
        path = fetch(model, arguments.models_dir, _Line())
    except UserError as error:
        return exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. The same command goes on where it was.")
        return 130
    print(f"\n{path}\nTo use it, set BASE_MODEL={path} in .env. Licence: {model.licence_page}")
    return 0


def _list(models_dir: Path) -> None:
    machine, speed = base_models.this_machine(models_dir), estimate.look(models_dir)
    for model in base_models.BASE_MODELS:
        fits = base_models.verdict(model, machine)
        size = f"{model.size_bytes / 1e9:4.1f} GB"
        reply = estimate.shown(speed.reply_seconds(model.file, model.size_bytes))
        reply = "" if fits == base_models.TOO_BIG else reply
        print(f"{model.key:18}{size}  {fits:8}{reply:12}{model.licence:22}{model.remark}")
    print(f"The time is for a short reply in a conversation that the bot follows. {speed.basis}")


class _Line:
    """The progress on one line of a terminal, a few times a second."""

    def __init__(self) -> None:
        self._due = 0.0

    def __call__(self, done: int, total: int) -> None:
        if time.monotonic() >= self._due or done == total:
            self._due = time.monotonic() + 0.3
            print(f"\r{done / 1e6:,.0f} of {total / 1e6:,.0f} MB", end="", flush=True)


if __name__ == "__main__":
    sys.exit(main())
