"""What the sandbox's tests share: a small world, a running sandbox, and real discord.py clients."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import discord
import pytest
from discord.gateway import DiscordWebSocket
from discord.http import Route

from data import discord_api
from sandbox.server import Sandbox
from sandbox.world import World

SECONDS = 20.0
ALICE = 2**60


class Caller:
    """The bot's side of the REST API, without a library in between."""

    def __init__(self, session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self.session, self._sandbox = session, sandbox

    async def __call__(self, method: str, path: str, **how: Any) -> tuple[int, Any]:
        """The status and the JSON (or text) of one request."""
        async with self.raw(method, path, **how) as response:
            if response.content_type == "application/json":
                return response.status, await response.json()
            return response.status, await response.text()

    def raw(
        self, method: str, path: str, **how: Any
    ) -> contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """The response itself."""
        how.setdefault("headers", {"Authorization": f"Bot {self._sandbox.world.token}"})
        return self.session.request(method, self._sandbox.api + path, **how)


class Client(discord.Client):
    """A real client that keeps every event it is told of."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("intents", discord.Intents.all())
        super().__init__(guild_ready_timeout=0.05, **options)
        self.happened: list[tuple[str, tuple[Any, ...]]] = []
        self._news = asyncio.Condition()

    def dispatch(self, event: str, /, *arguments: Any, **more: Any) -> None:
        self.happened.append((event, arguments))
        super().dispatch(event, *arguments, **more)
        asyncio.get_running_loop().create_task(self._announce())

    async def _announce(self) -> None:
        async with self._news:
            self._news.notify_all()

    def of(self, event: str) -> list[Any]:
        """The first argument of every such event so far."""
        return [arguments[0] for name, arguments in self.happened if name == event and arguments]

    def count(self, event: str) -> int:
        """How often an event came."""
        return sum(name == event for name, _ in self.happened)

    async def until(self, event: str, times: int = 1) -> None:
        """Wait until an event came so many times in all."""
        await self.sees(lambda: self.count(event) >= times)

    async def sees(self, claim: Callable[[], bool]) -> None:
        """Wait until something is true."""
        async with self._news:
            await asyncio.wait_for(self._news.wait_for(claim), SECONDS)


@contextlib.asynccontextmanager
async def online(sandbox: Sandbox, client: Client | None = None) -> AsyncIterator[Client]:
    """A client that is logged in and ready."""
    client = client or Client()
    task = asyncio.create_task(client.start(sandbox.world.token))
    ready = asyncio.create_task(client.until("ready"))
    try:
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        await ready
        await client.sees(lambda: any(not guild.unavailable for guild in client.guilds))
        yield client
    finally:
        ready.cancel()
        await client.close()
        await asyncio.wait({task}, timeout=SECONDS)


@pytest.fixture(autouse=True)
def own_address() -> Iterator[None]:
    """discord.py is pointed back at Discord after every test."""
    before = Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE
    yield
    Route.BASE, DiscordWebSocket.DEFAULT_GATEWAY, discord.Asset.BASE = before


@pytest.fixture
def world() -> World:
    """A server with one channel, its owner, its bot and Alice."""
    world = World()
    world.add_person(ALICE, "alice")
    world.add_place("general")
    return world


@pytest.fixture
async def sandbox(world: World) -> AsyncIterator[Sandbox]:
    """The small world without rate limits, with discord.py pointed at it."""
    async with Sandbox(world, has_rate_limits=False) as running:
        discord_api.use(running.api)
        yield running


@pytest.fixture
def place_id(world: World) -> int:
    """The one channel."""
    return next(iter(world.places))


@pytest.fixture
async def call(sandbox: Sandbox) -> AsyncIterator[Caller]:
    """Requests of the bot to the sandbox."""
    async with aiohttp.ClientSession() as session:
        yield Caller(session, sandbox)
