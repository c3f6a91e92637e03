"""Requests to Discord, evenly spaced: its refusals, in numbers, get an address banned."""

import asyncio
from collections import deque
from types import SimpleNamespace

import aiohttp

SECOND = 1.0  # what Discord counts requests by


class Pace:
    """Lets an HTTP client's requests out one by one; counts those refused all the same (429).

    No second sees more than `per_second` of them arrive, however late each is on its way: one
    arrives between its departure and its answer, so what is under way or was answered within the
    last second counts against the next.

    `trace` goes to discord.py as `http_trace`: there a request waits last, after discord.py itself
    has waited for what the server said about this route, just before it leaves.
    """

    def __init__(self, per_second: int) -> None:
        self._per_second, self._interval = per_second, SECOND / per_second
        self._turn = asyncio.Lock()
        self._next = 0.0
        self._under_way = 0
        self._answered: deque[float] = deque()
        self.refused = 0
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_start.append(self._wait)
        self.trace.on_request_end.append(self._count)
        self.trace.on_request_exception.append(self._end)

    async def _wait(self, *_: object) -> None:
        clock = asyncio.get_running_loop().time
        async with self._turn:
            await asyncio.sleep(self._next - clock())
            while not self._has_room(clock()):
                await asyncio.sleep(self._interval / 4)
            late = clock() - self._next
            self._next = (self._next if late < self._interval else clock()) + self._interval
            self._under_way += 1

    def _has_room(self, now: float) -> bool:
        while self._answered and now - self._answered[0] > SECOND:
            self._answered.popleft()
        return self._under_way + len(self._answered) < self._per_second

    async def _end(self, *_: object) -> None:
        self._under_way -= 1
        self._answered.append(asyncio.get_running_loop().time())

    async def _count(
        self, _: aiohttp.ClientSession, __: SimpleNamespace, done: aiohttp.TraceRequestEndParams
    ) -> None:
        await self._end()
        self.refused += done.response.status == 429
