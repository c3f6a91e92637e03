"""HTTP to a server that speaks OpenAI's chat API: its models, and replies as they are drawn.

llama-server, vLLM, Ollama, LM Studio and llama-cpp-python's server do. What such a server says in
an error is never passed on: it may quote what members wrote.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncGenerator
from typing import Any

import aiohttp
from aiohttp.abc import ResolveResult
from aiohttp.http_exceptions import HttpProcessingError

from bot import addresses, config
from bot.config import UserError
from model.inference import EngineError

CONNECT_SECONDS = 10.0
LIST_SECONDS = 30.0  # for the list of its models
LARGEST_ANSWER, LONGEST_LINE = 1 << 20, 1 << 17  # bytes: of anything but a stream, and of that

_STREAM = "text/event-stream"
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError, asyncio.TimeoutError)
_TOO_LONG = re.compile(rb"context[ _](size|length|window)|too long|maximum.{0,20} tokens", re.I)
_CAUSES = {
    401: "the server refuses the key: put the right one into ENGINE_KEY",
    403: "the server refuses the key: put the right one into ENGINE_KEY",
    404: "the server has no such address or model: correct ENGINE_URL or ENGINE_MODEL",
    429: "the server has too much to do (HTTP 429)",
}
_ELSEWHERE = "the server sends us elsewhere: put its real address into ENGINE_URL"
_TOO_LONG_CAUSE = "the prompt is too long for the server: lower CONTEXT_LENGTH to its context"
_NO_API = "what answers there is not a chat API: correct ENGINE_URL"


class Refused(EngineError):
    """The server answered, and it was no reply; `status` is HTTP's."""

    def __init__(self, status: int, what: str, is_too_long: bool = False) -> None:
        super().__init__(what)
        self.status, self.is_too_long = status, is_too_long

    @property
    def needs_a_person(self) -> bool:
        """Whether asking again will not help."""
        return self.status < 400 or self.status in (401, 403, 404)


class ChatServer:
    """The server at an address that ends in /v1. Raises `EngineError` for whatever goes wrong."""

    def __init__(self, url: str, key: str = "") -> None:
        self._url, self._key = url, key
        self._session: aiohttp.ClientSession | None = None

    async def models(self) -> list[str]:
        """The ids of its models."""
        timeout = aiohttp.ClientTimeout(LIST_SECONDS)
        try:
            async with self._ask("GET", "/models", timeout=timeout) as response:
                body = await _body(response)
                if response.status != 200:
                    raise _refused(response.status, body)
        except _BROKEN as error:
            raise _broken(error) from None
        try:
            return [str(model["id"]) for model in json.loads(body)["data"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(200, _NO_API) from None

    async def stream(self, request: dict[str, Any]) -> AsyncGenerator[str, None]:
        """Yield the text of each event, often an empty one. Leaving early ends the connection."""
        try:
            async with self._ask("POST", "/chat/completions", json=request) as response:
                try:
                    if response.status != 200 or response.content_type != _STREAM:
                        raise _refused(response.status, await _body(response))
                    async for text in _texts(response.content):
                        yield text
                finally:
                    response.close()
        except _BROKEN as error:
            raise _broken(error) from None

    async def close(self) -> None:
        """End every connection."""
        if self._session:
            await self._session.close()

    def _ask(self, method: str, path: str, **how: Any) -> Any:
        if self._session is None:
            resolver = _Nearby() if self._url.startswith("http:") else None
            self._session = aiohttp.ClientSession(
                # a connection that the server is about to close would fail the next reply
                connector=aiohttp.TCPConnector(resolver=resolver, force_close=True),
                headers={"Authorization": f"Bearer {self._key}"} if self._key else None,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS),
            )
        # a redirect could lead what members wrote, and the key, anywhere
        return self._session.request(method, self._url + path, allow_redirects=False, **how)


async def find_model(url: str, key: str, wanted: str) -> str:
    """The id of the model to ask: the `wanted` one, or the first that the server has.

    Raises `UserError` where a person must put something right, and `EngineError`.
    """
    server = ChatServer(url, key)
    try:
        known = await server.models()
    except Refused as error:
        if not error.needs_a_person:
            raise
        raise UserError(f"No model at {url}: {error} in .env.") from None
    finally:
        await server.close()
    if not known or (wanted and wanted not in known):
        has = ", ".join(name for name in known[:10] if name.isprintable()) or "none"
        raise UserError(
            f"The server at {url} does not have the model {wanted!r} (ENGINE_MODEL in .env). "
            f"It has: {has}."
        )
    return wanted or known[0]


class _Nearby(aiohttp.ThreadedResolver):
    """Finds the addresses of a host that is spoken to in the open, which must not be far away."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await super().resolve(host, port, family)
        if any(addresses.is_public(one["host"]) for one in found):
            raise config.in_the_open(host)
        return found


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """An answer, unless it is too large to be one."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise Refused(200, _NO_API)
    return bytes(body)


async def _texts(content: aiohttp.StreamReader) -> AsyncGenerator[str, None]:
    """The text of each server-sent event, to the one that says why the reply ends."""
    has_begun = False
    while line := await content.readline(max_line_length=LONGEST_LINE):
        if line.startswith(b"data:"):
            data = line[5:].strip()
            if data == b"[DONE]":
                return
            text, is_last = _event(data)
            has_begun = True
            yield text
            if is_last:
                return
    # so llama-cpp-python's server refuses a prompt for its length
    raise Refused(500, "the server broke off its reply", is_too_long=not has_begun)


def _event(data: bytes) -> tuple[str, bool]:
    """What was said in an event, and whether it is the last. `[]` choices tell figures."""
    try:
        event = json.loads(data)
        if error := event.get("error"):
            code = error.get("code") if isinstance(error, dict) else None
            raise _refused(code if isinstance(code, int) else 500, data)
        for choice in event["choices"][:1]:
            text = choice["delta"].get("content") or ""
            return str(text), bool(choice.get("finish_reason"))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise EngineError("the server's reply cannot be understood") from None
    return "", False


def _refused(status: int, body: bytes) -> Refused:
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(body)):
        return Refused(status, _TOO_LONG_CAUSE, is_too_long=True)
    if status < 300:
        return Refused(status, _NO_API)
    if status < 400:
        return Refused(status, _ELSEWHERE)
    what = "fails" if status >= 500 else "refuses the request"
    return Refused(status, _CAUSES.get(status, f"the server {what} (HTTP {status})"))


def _broken(error: Exception) -> EngineError:
    if isinstance(error, aiohttp.ClientSSLError):
        return EngineError("the server's certificate is not trusted here")
    if isinstance(error, aiohttp.ClientConnectorError | asyncio.TimeoutError):
        return EngineError("the server cannot be reached")
    return EngineError(f"the server broke off ({type(error).__name__})")
