"""A model on a server (ENGINE_URL) in the place of one in a worker; vectors are still made here."""

import asyncio
import contextlib
import copy
import itertools
import logging
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from bot import addresses
from model import chat_server, prompts
from model.chat_server import ChatServer, Refused
from model.inference import STALL_SECONDS, Engine, EngineError, Sampling
from model.prompts import Prompt

log = logging.getLogger(__name__)

# To the first token: a server may read a long prompt without a graphics card, have others to serve
# first, or load the model for us. Between tokens `STALL_SECONDS` are as many as of our own worker.
FIRST_SECONDS = 120.0
RETRY_SECONDS = (1, 2, 5, 10, 30)
SPARE_TOKENS = 16  # of the context, for what a server puts around the messages


class RemoteEngine:
    """Replies of a server's model; the calls are `Engine`'s.

    `model` is the one to ask, or "" for the server's first; `embedder_dir` and `embedder` are as
    for `Engine`.
    """

    def __init__(
        self,
        url: str,
        *,
        model: str = "",
        key: str = "",
        embedder_dir: Path | None = None,
        embedder: str = "",
        context_length: int = 2048,
        threads: int = 0,
    ) -> None:
        self.name = _short(model)
        self._url, self._model, self._key = url, model, key
        self._context_length = context_length
        self._server = ChatServer(url, key)
        self._vectors = Engine(None, embedder_dir=embedder_dir, embedder=embedder, threads=threads)
        self._takes_extras, self._is_view = True, False

    def with_model(self, model: str) -> "RemoteEngine":
        """Another model of the server; connections and vectors are shared, and ours to close."""
        view = copy.copy(self)
        view._model, view.name, view._is_view = model, _short(model), True
        return view

    @property
    def embedder(self) -> dict[str, Any] | None:
        """What makes the vectors on this computer."""
        return self._vectors.embedder

    async def start(self) -> None:
        """Find the model, waiting for the server if need be.

        Raises `UserError` for a wrong key or address, and a model that the server does not have.
        """
        host = urlsplit(self._url).hostname
        if not addresses.is_here(self._url):
            log.warning("what members write is sent to %s for replies (ENGINE_URL)", host)
        for wait in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
            try:
                self._model = await chat_server.find_model(self._url, self._key, self._model)
                break
            except EngineError as error:
                log.warning("no model at %s yet: %s; trying again in %d s", host, error, wait)
                await asyncio.sleep(wait)
        self.name = _short(self._model)
        log.info("replies come from %s at %s", self.name, host)
        await self._vectors.start()

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        """Yield a reply piece by piece. Leaving the loop early ends the server's work on it.

        Raises `EngineError`. What the server refuses is asked once more: shorter where it was too
        long, else, from then on, without what not every server knows.
        """
        room = max(self._context_length - sampling.max_tokens - SPARE_TOKENS, 1)
        is_shortened = has_begun = False
        while True:
            try:
                async with contextlib.aclosing(self._reply(prompt, sampling, room)) as pieces:
                    async for piece in pieces:
                        has_begun = True
                        yield piece
                return
            except Refused as refused:
                if has_begun or (refused.is_too_long and is_shortened):
                    raise
                if refused.is_too_long:
                    is_shortened, room = True, room // 2
                elif refused.status in (400, 422) and self._takes_extras:
                    self._takes_extras = False
                else:
                    raise

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        """Nothing: a server has others to serve, and reads a prompt when it is asked to reply."""

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Unit vectors (float32) of the texts, one each, made on this computer."""
        return await self._vectors.embed(texts)

    async def close(self) -> None:
        """End the connections, and the worker that makes vectors, unless others use them."""
        if not self._is_view:
            await self._server.close()
            await self._vectors.close()

    async def _reply(
        self, prompt: Prompt, sampling: Sampling, room: int
    ) -> AsyncGenerator[str, None]:
        """One request, with a prompt of about `room` tokens."""
        patience, most = FIRST_SECONDS, 64 * sampling.max_tokens
        request = self._request(prompt, sampling, room)
        async with contextlib.aclosing(self._server.stream(request)) as texts:
            while most > 0:
                try:
                    text = await asyncio.wait_for(anext(texts, None), patience)
                except asyncio.TimeoutError:
                    raise EngineError(f"no token from the server for {patience:.0f} s") from None
                if text is None:
                    return
                most -= len(text) + 1  # no server may go on for ever
                if text:
                    patience = STALL_SECONDS
                    yield text

    def _request(self, prompt: Prompt, sampling: Sampling, room: int) -> dict[str, Any]:
        request: dict[str, Any] = {
            "model": self._model,
            "messages": prompts.api_messages(prompt, room),
            "stream": True,
            "max_tokens": sampling.max_tokens,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "stop": prompts.api_stops(prompt),
        }
        if sampling.seed is not None:
            request["seed"] = sampling.seed
        if self._takes_extras:
            request |= {
                "top_k": sampling.top_k,
                "min_p": sampling.min_p,
                "repeat_penalty": sampling.repeat_penalty,  # llama.cpp's and LM Studio's name
                "repetition_penalty": sampling.repeat_penalty,  # vLLM's
            }
        return request


def _short(model: str) -> str:
    """A model's id without folders: some servers name a file of theirs."""
    name = model.replace("\\", "/").rpartition("/")[2].removesuffix(".gguf")
    return "".join(filter(str.isprintable, name))[:80] or "a server's model"
