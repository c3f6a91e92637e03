"""One port on 127.0.0.1 that is Discord's REST API, its gateway, and a page to chat on."""

from types import TracebackType
from typing import Any

from aiohttp import web

from sandbox import application, commands, routes, webhooks
from sandbox.actions import Actions
from sandbox.control import Control, loopback_only
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.limits import RateLimiter
from sandbox.rest import BASE, LARGEST_BODY, Rest
from sandbox.world import Post, World


class Sandbox:
    """A running loopback Discord: `async with Sandbox(world) as sandbox: ...`.

    Raises `OSError` when the port is taken; port 0 takes a free one.
    """

    def __init__(
        self,
        world: World,
        *,
        port: int = 0,
        has_rate_limits: bool = True,
        denied_intents: tuple[str, ...] = (),
        recommended_shards: int = 1,
        limiter: RateLimiter | None = None,
    ) -> None:
        self.world, self.port = world, port
        self.gateway = Gateway(world, denied_intents, recommended_shards)
        self.actions = Actions(world, self.gateway)
        self.limiter, self.faults = limiter or RateLimiter(has_rate_limits), Faults()
        self.rest = Rest(world, self.actions, self.gateway, self.limiter, self.faults)
        self.url = ""

    @property
    def api(self) -> str:
        """The base of the REST API, for DISCORD_API_BASE."""
        return self.url + BASE

    async def say(self, place_id: int, person_id: int, content: str, **how: Any) -> Post:
        """A member writes something."""
        return await self.actions.say(place_id, person_id, content, **how)

    async def __aenter__(self) -> "Sandbox":
        application.register(self.rest)
        routes.register(self.rest)
        commands.register(self.rest)
        webhooks.register(self.rest)
        self._control = Control(self.rest)
        app = web.Application(middlewares=[loopback_only], client_max_size=LARGEST_BODY)
        app.router.add_route("*", f"{BASE}/{{path:.*}}", self.rest.handle)
        app.router.add_get("/", self._front)
        self._control.register(app)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        except OSError:
            await self._runner.cleanup()
            raise
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self.gateway.url = self.url.replace("http", "ws")
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.gateway.shut()
        await self._runner.cleanup()

    async def _front(self, request: web.Request) -> web.StreamResponse:
        """A websocket for the bot, a page for a browser."""
        if request.headers.get("Upgrade", "").lower() == "websocket":
            return await self.gateway.connect(request)
        return await self._control.page(request)
