"""Discord's rate limits: a bucket a route and channel, and 50 requests a second for everything."""

import hashlib
import re
import time
from collections.abc import Callable

# route -> (requests, seconds). What Discord really uses is not documented; these are what its
# users report, and clients must read the headers anyhow.
Limits = list[tuple[str, tuple[int, float]]]
LIMITS: Limits = [
    (r"GET /channels/:id/messages", (5, 5.0)),
    (r"POST /channels/:id/messages", (5, 5.0)),
    (r"(PUT|DELETE) /channels/:id/messages/:id/reactions/:emoji/@me", (1, 0.3)),
    (r"DELETE /channels/:id/messages/:id", (5, 1.0)),
    (r"PATCH /channels/:id/messages/:id", (5, 5.0)),
    (r"POST /channels/:id/typing", (5, 5.0)),
    (r"PUT /applications/:id/.*commands", (2, 20.0)),
    (r".*", (30, 1.0)),
]
GLOBAL = (50, 1.0)


class Window:
    """So many requests in so many seconds, counted from the first."""

    def __init__(self, limit: int, seconds: float) -> None:
        self.limit, self._seconds = limit, seconds
        self.remaining, self._reset = limit, 0.0

    def take(self, now: float) -> tuple[bool, float]:
        """Whether a request at `now` may pass, and the seconds until the window starts anew."""
        if now >= self._reset:
            self.remaining, self._reset = self.limit, now + self._seconds
        passes = self.remaining > 0
        self.remaining -= passes
        return passes, self._reset - now


class RateLimiter:
    """Says for each request whether it passes, with Discord's headers."""

    def __init__(
        self,
        is_on: bool = True,
        clock: Callable[[], float] = time.monotonic,
        limits: Limits = LIMITS,
    ) -> None:
        self.is_on = is_on
        self.is_lying = False
        self._clock, self._limits = clock, limits
        self._global = Window(*GLOBAL)
        self._buckets: dict[tuple[str, str], Window] = {}

    def check(self, method: str, path: str) -> tuple[dict[str, str], float | None, bool]:
        """Headers, and if the request is refused the seconds to wait and whether it is global."""
        if not self.is_on or path.startswith("/interactions/"):
            return {}, None, False
        now = self._clock()
        if not path.startswith("/webhooks/"):  # follow-ups do not count globally either
            passes, wait = self._global.take(now)
            if not passes:
                return {"X-RateLimit-Global": "true", "X-RateLimit-Scope": "global"}, wait, True
        route = f"{method} {_template(path)}"
        major = re.match(r"/(?:channels|guilds|webhooks/[^/]+)/[^/]+", path)
        key = route, major[0] if major else ""
        if key not in self._buckets:
            limit = next(limit for pattern, limit in self._limits if re.fullmatch(pattern, route))
            self._buckets[key] = Window(*limit)
        passes, wait = self._buckets[key].take(now)
        if passes:
            return self._headers(route, self._buckets[key], wait, self.is_lying), None, False
        headers = self._headers(route, self._buckets[key], wait)
        return {**headers, "X-RateLimit-Scope": "user"}, wait, False

    def _headers(
        self, route: str, bucket: Window, wait: float, are_lies: bool = False
    ) -> dict[str, str]:
        limit, remaining = bucket.limit, bucket.remaining
        if are_lies:
            limit, remaining, wait = 1000, 999, 0.3
        return {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": f"{time.time() + wait:.3f}",
            "X-RateLimit-Reset-After": f"{wait:.3f}",
            "X-RateLimit-Bucket": hashlib.sha256(route.encode()).hexdigest()[:32],
        }


def _template(path: str) -> str:
    """A path without what is particular: its ids, emoji and interaction tokens."""
    path = re.sub(r"/reactions/[^/]+", "/reactions/:emoji", path)
    path = re.sub(r"^/webhooks/[^/]+/[^/]+", "/webhooks/:id/:token", path)
    return re.sub(r"[0-9]{5,}", ":id", path)
