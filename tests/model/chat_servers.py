"""Servers to ask for replies: llama-cpp-python's own, and one that answers as it is told."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from aiohttp import web

KEY = "sk-not-for-anybody's-eyes"
CONTEXT = 512
_READY = re.compile(r"Uvicorn running on (http://[\d.:]+)")

Answer = Callable[[web.Request, dict[str, Any]], Awaitable[web.StreamResponse]]


@contextlib.contextmanager
def llama_server(model: Path) -> Iterator[str]:
    """The address of a real server of a model, which asks for `KEY`."""
    options = ["--host", "127.0.0.1", "--port", "0", "--api_key", KEY]
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "llama_cpp.server", "--model", str(model), *options),
            *("--n_ctx", str(CONTEXT), "--n_threads", "2", "--verbose", "false"),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    said = ""
    try:
        while not (ready := _READY.search(said)):
            line = process.stderr.readline()
            assert line, f"the server ended: {said}"
            said += line
        threading.Thread(target=process.stderr.read, daemon=True).start()  # never full
        yield ready[1]
    finally:
        process.terminate()
        process.wait(10)


class Scripted:
    """A server that answers requests for a reply as it is told, and keeps what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.models: Any = {"data": [{"id": "folder/one.gguf"}, {"id": "two"}]}
        self.status = 200
        self.answer: Answer = says("hi")
        self.asked: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.hung_up = asyncio.Event()

    async def list_models(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        if isinstance(self.models, str):
            return web.Response(text=self.models, status=self.status, content_type="text/html")
        return web.json_response(self.models, status=self.status)

    async def reply(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(dict(request.headers))
        self.asked.append(await request.json())
        try:
            return await self.answer(request, self.asked[-1])
        except (ConnectionError, asyncio.CancelledError):
            self.hung_up.set()
            raise


@contextlib.asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    server, app = Scripted(), web.Application()
    app.router.add_get("/v1/models", server.list_models)
    app.router.add_post("/v1/chat/completions", server.reply)
    runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield server
    finally:
        await runner.cleanup()


def says(*pieces: str) -> Answer:
    """A reply, piece by piece, as servers stream it."""
    events: list[dict[str, Any]] = [
        {"choices": [{"delta": {"content": piece}}]} for piece in pieces
    ]
    events.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    lines = [f"data: {json.dumps(event)}\r\n\r\n" for event in events]
    return streams(": a comment\r\n\r\n", *lines, "data: [DONE]\r\n\r\n")


def streams(*texts: str | bytes, pause: float = 0.0, is_cut: bool = False) -> Answer:
    """Parts of an event stream, as they are; `is_cut` breaks the connection at the end."""

    async def answer(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for text in texts:
            await response.write(text if isinstance(text, bytes) else text.encode())
            await asyncio.sleep(pause)
        if is_cut and request.transport:
            request.transport.abort()
        return response

    return answer


def fails(status: int, body: Any = None, content_type: str = "application/json") -> Answer:
    """An error; the body is JSON unless it is a text."""

    async def answer(request: web.Request, _: dict[str, Any]) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body or {"error": "no"})
        headers = {"Location": "http://127.0.0.1:9/elsewhere"} if 300 <= status < 400 else None
        return web.Response(text=text, status=status, content_type=content_type, headers=headers)

    return answer
