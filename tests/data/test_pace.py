"""Pace: requests leave no closer together than was said, and refusals are counted."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace

import aiohttp
import pytest

from data.pace import Pace
from sandbox.faults import Fault
from sandbox.server import Sandbox
from tests.data.fetching import fetch, ids, posted, server, small_world

PER_SECOND = 100
SLACK = 0.002  # seconds by which clocks may tick


class Departures:
    """When requests left, in the loop's time. A machine may be late, a request never early."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.trace = aiohttp.TraceConfig()
        self.trace.on_request_headers_sent.append(self._note)

    async def _note(
        self,
        _: aiohttp.ClientSession,
        __: SimpleNamespace,
        ___: aiohttp.TraceRequestHeadersSentParams,
    ) -> None:
        self.times.append(asyncio.get_running_loop().time())


async def get(session: aiohttp.ClientSession, sandbox: Sandbox) -> int:
    async with session.get(f"{sandbox.api}/gateway") as response:
        return response.status


async def test_requests_leave_one_by_one() -> None:
    pace, departures = Pace(PER_SECOND), Departures()
    traces = [pace.trace, departures.trace]
    async with server() as sandbox, aiohttp.ClientSession(trace_configs=traces) as session:
        began = asyncio.get_running_loop().time()
        await asyncio.gather(*(get(session, sandbox) for _ in range(20)))
    assert len(departures.times) == 20
    for number, left in enumerate(sorted(departures.times)):
        assert left >= began + number / PER_SECOND - SLACK


async def test_a_pause_saves_up_nothing() -> None:
    """After a rest there is no burst of what could have been asked for meanwhile."""
    pace, departures = Pace(PER_SECOND), Departures()
    traces = [pace.trace, departures.trace]
    async with server() as sandbox, aiohttp.ClientSession(trace_configs=traces) as session:
        await get(session, sandbox)
        await asyncio.sleep(5 / PER_SECOND)
        went_on = asyncio.get_running_loop().time()
        await asyncio.gather(*(get(session, sandbox) for _ in range(5)))
    for number, left in enumerate(sorted(departures.times[1:])):
        assert left >= went_on + number / PER_SECOND - SLACK


async def test_refusals_are_counted_and_nothing_else_is() -> None:
    pace = Pace(1000)
    session = aiohttp.ClientSession(trace_configs=[pace.trace])
    async with server() as sandbox, session:
        sandbox.faults.add(Fault("rate_limit", times=2))
        sandbox.faults.add(Fault("banned"))
        sandbox.faults.add(Fault("status", status=503))
        headers = {"Authorization": f"Bot {sandbox.world.token}"}
        for expected in (429, 429, 429, 503, 200):
            async with session.get(f"{sandbox.api}/gateway", headers=headers) as response:
                assert response.status == expected
    assert pace.refused == 3


async def test_several_channels_draw_no_refusal(tmp_path: Path) -> None:
    """At the pace of every fetch, with the limits that Discord is said to have."""
    async with Sandbox(small_world(550, 350, *[150] * 30)) as sandbox:
        report = await fetch(tmp_path, sandbox)
    assert report.refused == 0
    assert "429" not in sandbox.rest.requests
    assert ids(tmp_path) == posted(sandbox.world)


async def stutter(seconds: float) -> None:
    """The machine is busy with something else, again and again."""
    while True:
        await asyncio.sleep(seconds)
        time.sleep(seconds)


async def test_no_delay_on_the_way_makes_a_crowd(tmp_path: Path) -> None:
    async with Sandbox(small_world(*[150] * 40)) as sandbox:
        busy = asyncio.create_task(stutter(0.3))
        report = await fetch(tmp_path, sandbox)
        busy.cancel()
    assert (report.refused, report.messages) == (0, 40 * 150)


async def test_a_request_that_fails_does_not_count_for_ever() -> None:
    pace = Pace(10)
    async with server() as sandbox, aiohttp.ClientSession(trace_configs=[pace.trace]) as session:
        sandbox.faults.add(Fault("status", times=1, status=503))
        for _ in range(10):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get("http://127.0.0.1:1/gateway")
        assert await asyncio.wait_for(get(session, sandbox), 10) == 503
