"""A fetch from the sandbox, and what came of it, for the tests of fetching."""

import contextlib
import gzip
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot import config
from data import fetcher, pages
from data.pages import Raw
from sandbox import routes
from sandbox.rest import Call, Handler
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Place, Post, World
from storage import channels, database, messages

KIM, SAM = 2**60, 2**60 + 1
MESSAGES = r"/channels/(?P<channel>\d+)/messages"
LONG_AGO_MS = 1_577_836_800_000  # 2020


async def fetch(folder: Path, sandbox: Sandbox, **changes: str) -> fetcher.Report:
    settings = config.load(write_env(folder, sandbox, **changes))
    with stored(folder) as connection:
        return await fetcher.fetch(settings, connection)


@contextlib.contextmanager
def stored(folder: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(database.connect(folder / "database" / "bot.sqlite3")) as connection:
        yield connection


def ids(folder: Path) -> set[int]:
    with stored(folder) as connection:
        return {message.id for message in messages.history(connection)}


def posted(world: World) -> set[int]:
    return {post.id for place in world.places.values() for post in place.posts}


def page_files(folder: Path) -> dict[str, bytes]:
    """Every file below `messages/`, and what is in it."""
    root = folder / "messages"
    paths = (path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in paths}


def raw_messages(folder: Path) -> list[Raw]:
    return [raw for _, page in pages.read(folder / "messages") for raw in page]


def answer(sandbox: Sandbox, path: str, handler: Handler) -> None:
    """Have the sandbox answer what is asked of a path, a pattern, in another way from now on."""
    sandbox.rest.routes.insert(0, ("GET", re.compile(path), handler))


def small_world(*sizes: int) -> World:
    """A server of text channels with so many messages each, by two people who take turns."""
    world = World("Small")
    for person, name in ((KIM, "kim"), (SAM, "sam")):
        world.add_person(person, name)
    for number, size in enumerate(sizes):
        write(world, world.add_place(f"channel-{number}"), size)
    return world


def write(world: World, place: Place, count: int) -> list[Post]:
    """So many messages more in a place, a minute apart, the first in 2020 or after the last."""
    first_ms = place.active_ms + 60_000 if place.posts else LONG_AGO_MS + len(world.places)
    times = range(first_ms, first_ms + count * 60_000, 60_000)
    posts = [
        Post(world.new_id(ms), place.id, (KIM, SAM)[n % 2], f"in {place.name} {n}")
        for n, ms in enumerate(times)
    ]
    place.posts += posts
    return posts


@pytest.fixture(autouse=True)
def at_any_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox without limits lets everything through."""
    monkeypatch.setattr(fetcher, "ALONE", 1000.0)


@contextlib.asynccontextmanager
async def server(*sizes: int) -> AsyncIterator[Sandbox]:
    async with Sandbox(small_world(*sizes), has_rate_limits=False) as sandbox:
        yield sandbox


def place_of(sandbox: Sandbox, number: int = 0) -> Place:
    return list(sandbox.world.places.values())[number]


async def refetch(folder: Path, sandbox: Sandbox) -> fetcher.Report:
    with stored(folder) as connection:
        channels.start_over(connection)
    return await fetch(folder, sandbox)


def spoil(sandbox: Sandbox, change: Callable[[list[Any]], Any]) -> None:
    """Have every page pass through `change` on its way."""

    async def get_messages(call: Call) -> Any:
        page = await routes.get_messages(call)
        changed = change(page)
        return page if changed is None else changed

    answer(sandbox, MESSAGES, get_messages)


def on_disk(folder: Path) -> bytes:
    return b"".join(gzip.decompress(data) for data in page_files(folder).values())
