"""REST v10: who asks, whether they may, what goes wrong, and only then the route."""

import asyncio
import json
import math
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sandbox.actions import Actions
from sandbox.faults import Faults
from sandbox.gateway import Gateway
from sandbox.limits import RateLimiter
from sandbox.world import Place, Post, World

BASE = "/api/v10"
LARGEST_BODY = 26 * 2**20


class ApiError(Exception):
    """An error as Discord words it: an HTTP status, a JSON code and a message."""

    def __init__(self, status: int, code: int, text: str, errors: dict[str, Any] | None = None):
        super().__init__(text)
        self.status = status
        self.body = {"message": text, "code": code, **({"errors": errors} if errors else {})}


def unknown(what: str, code: int) -> ApiError:
    """404, as in "Unknown Channel"."""
    return ApiError(404, code, f"Unknown {what}")


def invalid(field: str, text: str) -> ApiError:
    """400 for one field of the body or the query."""
    errors = {field: {"_errors": [{"code": "BASE_TYPE_BAD", "message": text}]}}
    return ApiError(400, 50035, "Invalid Form Body", errors)


def snowflake(field: str, value: Any) -> int:
    """An id as clients write it, a number or its digits. Raises a 400 for anything else."""
    text = str(value) if isinstance(value, (int, str)) else ""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,20}", text):
        raise invalid(field, f'Value "{str(value)[:40]}" is not snowflake.')
    return int(text)


class Call:
    """One request with its parsed body and what it is about."""

    def __init__(self, rest: "Rest", request: web.Request, match: re.Match[str], body: Any) -> None:
        self.rest, self.request, self.match, self.body = rest, request, match, body
        self.world, self.actions = rest.world, rest.actions
        self.status = 200

    def id(self, name: str) -> int:
        """A snowflake of the path."""
        return snowflake(name, self.match[name])

    def place(self) -> Place:
        """The channel of the path, which the bot must be able to see."""
        place = self.world.places.get(self.id("channel"))
        if place is None:
            raise unknown("Channel", 10003)
        if not self.world.is_seen(place.id):
            raise ApiError(403, 50001, "Missing Access")
        return place

    def post(self) -> Post:
        """The message of the path."""
        post = self.world.find(self.place().id, self.id("message"))
        if post is None:
            raise unknown("Message", 10008)
        return post

    def number(self, name: str) -> int | None:
        """A whole number of the query."""
        text = self.request.query.get(name)
        return None if text is None else snowflake(name, text)

    def object(self) -> dict[str, Any]:
        """The body, which must be a JSON object."""
        if not isinstance(self.body, dict):
            raise ApiError(400, 50109, "The request body contains invalid JSON.")
        return self.body


Handler = Callable[[Call], Awaitable[Any]]


class Rest:
    """Answers everything below `/api/v10`."""

    def __init__(
        self, world: World, actions: Actions, gateway: Gateway, limiter: RateLimiter, faults: Faults
    ) -> None:
        self.world, self.actions, self.gateway = world, actions, gateway
        self.limiter, self.faults = limiter, faults
        self.requests: dict[str, int] = {}
        self.routes: list[tuple[str, re.Pattern[str], Handler]] = []

    def add(self, method: str, path: str, handler: Handler) -> None:
        """Register a route; `{name}` in the path is a snowflake, `{name:...}` a pattern."""
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/@]+)", path)
        pattern = re.sub(r"\{(\w+):([^}]+)\}", r"(?P<\1>\2)", pattern)
        self.routes.append((method, re.compile(pattern), handler))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request, after whatever fault is due."""
        path = request.path.removeprefix(BASE)
        counted = f"{request.method} {re.sub(r'[0-9]{5,}', ':id', path)}"
        self.requests[counted] = self.requests.get(counted, 0) + 1
        fault = self.faults.next(request.method, path)
        if fault and fault.kind == "slow":
            await asyncio.sleep(fault.seconds)
        elif fault and fault.kind == "drop":
            return _cut(request)
        elif fault and fault.kind == "banned":
            return web.Response(status=429, text="<html>error code: 1015</html>")
        elif fault and fault.kind == "rate_limit":
            return _refused({"X-RateLimit-Scope": "shared"}, fault.seconds, False)
        elif fault and fault.kind == "status":
            return _json({"message": "a scripted fault", "code": 0}, fault.status)
        response = await self._answer(request, path)
        if fault and fault.kind == "after_commit":
            return _json({"message": "a scripted fault", "code": 0}, fault.status)
        return _cut(request) if fault and fault.kind == "drop_after_commit" else response

    async def _answer(self, request: web.Request, path: str) -> web.StreamResponse:
        is_open = path.startswith(("/interactions/", "/webhooks/"))
        if not is_open and request.headers.get("Authorization") != f"Bot {self.world.token}":
            return _json({"message": "401: Unauthorized", "code": 0}, 401)
        headers, wait, is_global = self.limiter.check(request.method, path)
        if wait is not None:
            self.requests["429"] = self.requests.get("429", 0) + 1
            return _refused(headers, wait, is_global)
        try:
            return _json(*await self._route(request, path), headers=headers)
        except ApiError as error:
            return _json(error.body, error.status, headers)

    async def _route(self, request: web.Request, path: str) -> tuple[Any, int]:
        is_known = False
        for method, pattern, handler in self.routes:
            match = pattern.fullmatch(path)
            is_known = is_known or match is not None
            if match and method == request.method:
                call = Call(self, request, match, await _body(request))
                answer = await handler(call)
                return answer, 204 if answer is None else call.status
        status, text = (405, "Method Not Allowed") if is_known else (404, "Not Found")
        raise ApiError(status, 0, f"{status}: {text}")


async def _body(request: web.Request) -> Any:
    """The JSON of a request; of a multipart one its `payload_json`."""
    try:
        if request.content_type == "multipart/form-data":
            form = await request.post()
            return json.loads(str(form.get("payload_json", "{}")))
        return json.loads(await request.read()) if request.can_read_body else None
    except (ValueError, RecursionError, HttpProcessingError):
        raise ApiError(400, 50109, "The request body contains invalid JSON.") from None
    except web.HTTPRequestEntityTooLarge:
        raise ApiError(413, 40005, "Request entity too large") from None


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """Exactly `application/json`: discord.py does not parse anything else."""
    if status == 204:
        return web.Response(status=204, headers=headers)
    data = json.dumps(body).encode()
    kind = {"Content-Type": "application/json", "Via": "1.1 google"}
    return web.Response(body=data, status=status, headers={**kind, **(headers or {})})


def _refused(headers: dict[str, str], wait: float, is_global: bool) -> web.Response:
    body = {"message": "You are being rate limited.", "retry_after": wait, "global": is_global}
    return _json(body, 429, {**headers, "Retry-After": str(math.ceil(wait))})


def _cut(request: web.Request) -> web.StreamResponse:
    if request.transport:
        request.transport.close()
    return web.Response(status=500)
