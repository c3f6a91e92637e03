"""Requests to Discord, evenly spaced: its refusals, in numbers, get an address banned."""

import asyncio
from types import SimpleNamespace

import aiohttp


class Pace:
    """Lets an HTTP client's requests out one by one; counts those refused all the same (429).

    `trace` goes to discord.py as `http_trace`: there a request waits last, after discord.py itself
    has waited for what the server said about this route, just before it leaves.
    """

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0
        self.refused = 0
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._wait)
        self.trace.on_request_end.append(self._count)

    async def _wait(self, *_: object) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._interval
        await asyncio.sleep(turn - now)

    async def _count(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, done: aiohttp.TraceRequestEndParams
    ) -> None:
        self.refused += done.response.status == 429
