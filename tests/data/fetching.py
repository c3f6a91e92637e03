"""A fetch from the sandbox, and what came of it, for the tests of fetching."""

import contextlib
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from bot import config
from data import fetcher, pages
from data.pages import Raw
from sandbox.rest import Call
from sandbox.server import Sandbox
from sandbox.world import World
from storage import database, messages
from tests.settings import write_env


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


def answer(
    sandbox: Sandbox, path: str, handler: Callable[[Call], Awaitable[Any]], method: str = "GET"
) -> None:
    """Have the sandbox answer a route, a pattern, in another way from now on."""
    sandbox.rest.routes.insert(0, (method, re.compile(path), handler))
