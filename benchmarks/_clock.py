"""A clock that leaps over everything in which nothing happens, for all of this process.

Time stands still while something is done, and leaps to whatever is due next when nothing is left to
do. Only while something goes on outside, such as a model that writes, it runs as clocks do.
"""

import asyncio
import contextlib
import selectors
import time
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

NOTHING_SECONDS = 0.001  # without a word on any socket of this machine
LEAST_SECONDS = 1e-3  # seconds since 1970 are not told apart any better than some 1e-7
_time, _monotonic = time.time, time.monotonic


class Clock:
    """Begins at `start`, in seconds since 1970."""

    def __init__(self, start: float) -> None:
        self._told, self._outside, self._since = start, 0, 0.0
        self._ahead = start - _monotonic()  # of the system's own clock

    @property
    def is_running(self) -> bool:
        """Whether it runs as clocks do."""
        return self._outside > 0

    def time(self) -> float:
        """Seconds since 1970, as it goes."""
        return self._told + (_monotonic() - self._since if self.is_running else 0.0)

    def monotonic(self) -> float:
        """The same for durations."""
        return self.time() - self._ahead

    def leap(self, seconds: float) -> None:
        """Let so much time pass at once."""
        self._told += seconds

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let it run while something goes on outside."""
        if not self.is_running:
            self._since = _monotonic()
        self._outside += 1
        try:
            yield
        finally:
            now = self.time()
            self._outside -= 1
            if not self.is_running:
                self._told = now


def run(clock: Clock, main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run`, by that clock."""
    loop = _Loop(clock)
    time.time, time.monotonic = clock.time, clock.monotonic
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(main)
    finally:
        time.time, time.monotonic = _time, _monotonic
        asyncio.set_event_loop(None)
        loop.close()


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: Clock) -> None:
        super().__init__(_Selector(clock))
        self._clock = clock

    def time(self) -> float:
        return self._clock.monotonic()


class _Selector(selectors.SelectSelector):
    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or self._clock.is_running:
            return super().select(timeout)
        happened = super().select(min(timeout, NOTHING_SECONDS))
        if not happened:
            self._clock.leap(max(timeout, LEAST_SECONDS))
        return happened
