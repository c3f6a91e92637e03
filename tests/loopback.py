"""A sandbox that runs in a thread of its own, for tests that are not asynchronous."""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

from sandbox.server import Sandbox
from sandbox.world import TEXT, World


def small_world() -> World:
    """A server with a few channels; its owner owns the bot, too."""
    world = World("Tea House", "persona")
    for name in ("general", "memes", "secret"):
        world.add_place(name, TEXT)
    return world


@contextlib.contextmanager
def running(sandbox: Sandbox) -> Iterator[Sandbox]:
    """Serve until the end of the block. What is changed in its world counts at once."""
    ready, loop = threading.Event(), asyncio.new_event_loop()
    leave = asyncio.Event()

    async def serve() -> None:
        async with sandbox:
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    try:
        assert ready.wait(10)
        yield sandbox
    finally:
        loop.call_soon_threadsafe(leave.set)
        thread.join(10)
        loop.close()
