"""The resident model, seen from the bot: an asyncio client of the worker process that owns it.

llama.cpp is native code that can abort or stall. It lives alone in `model/worker.py`; when it dies
the bot stays connected, and the next call starts it again.
"""

import asyncio
import base64
import contextlib
import dataclasses
import itertools
import json
import logging
import time
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import psutil

from bot.config import UserError
from model import catalog, worker_process
from model.prompts import Prompt
from storage.database import Settings

log = logging.getLogger(__name__)

STALL_SECONDS = 10.0  # without a word from a worker that has something to do
QUEUE = 32  # replies of an adapter that may wait
LOOK_SECONDS = 30.0  # between two looks at the worker's memory
AGAIN_SECONDS, RARELY_SECONDS = 1.0, 60.0  # before one that died is replaced; doubled each time
BUSY = "busy: too many replies are waiting"


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a reply is drawn; the specification's parameters and their defaults."""

    temperature: float = 0.75
    max_tokens: int = 150
    top_p: float = 0.9
    top_k: int = 40
    min_p: float = 0.05
    repeat_penalty: float = 1.1
    seed: int | None = None

    @classmethod
    def of(cls, settings: Settings) -> "Sampling":
        """As the settings in force say."""
        known = {field.name for field in dataclasses.fields(cls)}
        values = dataclasses.asdict(settings).items()
        return cls(**{name: value for name, value in values if name in known})


class EngineError(Exception):
    """A reply could not be made; the engine recovers by itself."""


class EngineBusy(EngineError):
    """Too many replies wait already."""


class AnyEngine(Protocol):
    """What the bot asks of a model, be it here (`Engine`) or on a server (`RemoteEngine`)."""

    name: str

    @property
    def embedder(self) -> dict[str, Any] | None:
        """What makes the vectors, once it was started; None where nothing does."""

    async def start(self) -> None:
        """Be ready to reply. Raises `UserError` when a person must put something right."""

    def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        """Yield a reply piece by piece; leaving early ends it. Raises `EngineError`."""

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        """Have a prompt read ahead. Raises `EngineError`."""

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Unit vectors of the texts, one each. Raises `EngineError`."""

    async def close(self) -> None:
        """End what was started."""


class Engine:
    """The model in its worker process. Calls may overlap; the worker takes them in turn.

    `embedder_dir` is the models folder that holds (or will hold) the embedder, for `embed`, and
    `embedder` says which; the worker tells what it is (`embedder` then holds its facts, or None).
    Without a `model` the worker does nothing else. An adapter's file is a model: its base with it.
    """

    def __init__(
        self,
        model: Path | None,
        *,
        embedder_dir: Path | None = None,
        embedder: str = "",
        context_length: int = 2048,
        threads: int = 0,
        gpu_layers: int = 0,
    ) -> None:
        self.name = model.stem if model else "vectors only"
        self._arguments = ["--model", str(model)] if model else []
        self._arguments += ["--context-length", str(context_length)]
        self._arguments += ["--threads", str(threads), "--gpu-layers", str(gpu_layers)]
        self._arguments += ["--embedder-dir", str(embedder_dir)] if embedder_dir else []
        self._arguments += ["--embedder", embedder] if embedder else []
        own = model if model and catalog.is_adapter(model) else None
        self._model, self._own = model, Voice(self, self.name, own)
        self._adapters = [own] if own else []
        self.embedder: dict[str, Any] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()
        self._answers: dict[int, asyncio.Queue[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)
        self._heard_at = 0.0
        self._ended = asyncio.Event()
        self._most_bytes, self._patience = 0, 1.0
        self._watching: asyncio.Task[None] | None = None

    def with_adapter(self, path: Path | None) -> "Voice":
        """The model's base with another adapter, or alone, in the same worker.

        Before `start`, which loads all adapters. Raises `UserError` for a base that is gone.
        """
        assert self._model
        if path and path not in self._adapters:
            self._adapters.append(path)
        named = path or catalog.base_of(self._model) or self._model
        return Voice(self, named.stem, path)

    async def start(self) -> None:
        """Load the model, unless it is loaded. Raises `UserError` when the file is no good."""
        await self._have_worker()
        if self._watching is None:
            self._watching = asyncio.create_task(self._watch())

    async def _have_worker(self) -> None:
        async with self._starting:
            if self._process and self._process.returncode is None:
                return
            adapters = [part for path in self._adapters for part in ("--adapter", str(path))]
            process, ready = await worker_process.start([*self._arguments, *adapters])
            if "ready" not in ready:
                raise UserError(ready.get("error") or f"The model {self.name} cannot be loaded.")
            log.info("model loaded in %.1fs: %s", ready["ready"], self.name)
            self._most_bytes, self.embedder = ready["most_bytes"], ready["embedder"]
            self._process = process
            self._ended.clear()
            self._reader = asyncio.create_task(self._read(process))

    def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        """Yield a reply piece by piece. Leaving the loop early stops the model at its next token.

        Raises `EngineError` when the worker died or stalled on the way.
        """
        return self._own.reply(prompt, sampling, channel_id)

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        """Have a prompt read ahead, when nothing else is to be done, for the reply that may come.

        Anything newer in the channel takes its place. Raises `EngineError` as `reply` does.
        """
        await self._own.read(prompt, sampling, channel_id)

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Unit vectors (float32) of the texts, one each."""
        async with contextlib.aclosing(self._ask("embed", {"texts": list(texts)})) as answers:
            async for answer in answers:
                return [
                    np.frombuffer(base64.b64decode(text), np.float32) for text in answer["vectors"]
                ]
        raise EngineError("the embedder gave no answer")

    async def close(self) -> None:
        """End the worker."""
        if self._watching:
            self._watching.cancel()
            self._watching = None
        async with self._starting:
            await self._leave()

    async def _leave(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        await worker_process.end(process)
        if self._reader:
            await self._reader

    async def _watch(self) -> None:
        """Have a new worker in place of one that died, or that grew too large and is idle."""
        pause = AGAIN_SECONDS
        while True:
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._ended.wait(), LOOK_SECONDS)
                await asyncio.sleep(pause)
                pause = min(2 * pause, RARELY_SECONDS)
            if not self._ended.is_set() and not await self._leave_if_too_large():
                pause = AGAIN_SECONDS  # it lives
                continue
            try:
                await self._have_worker()
            except (UserError, OSError) as error:
                log.error("no worker: %s", error)

    async def _leave_if_too_large(self) -> bool:
        process, taken = self._process, 0
        if process and process.returncode is None and not self._answers:
            with contextlib.suppress(psutil.Error):
                taken = psutil.Process(process.pid).memory_info().rss
        if taken <= self._patience * self._most_bytes:
            return False
        self._patience *= 1.5  # should the estimate be wrong, this ends
        log.warning("the worker has grown to %d MB; a new one follows it", taken / 1e6)
        async with self._starting:
            await self._leave()
        return True

    async def _ask(
        self, call: str, request: dict[str, Any]
    ) -> AsyncGenerator[dict[str, Any], None]:
        try:
            await self._have_worker()
        except (UserError, OSError) as error:
            raise EngineError(str(error)) from None
        process, number = self._process, next(self._numbers)
        assert process
        answers = self._answers[number] = asyncio.Queue()
        finished = False
        try:
            await self._send(process, {"id": number, "call": call, **request})
            while not finished:
                answer = await self._next(answers)
                finished = "done" in answer or "error" in answer
                if "error" in answer:
                    kind = EngineBusy if answer["error"] == BUSY else EngineError
                    raise kind(answer["error"])
                if not finished:
                    yield answer
        except asyncio.TimeoutError:
            process.kill()  # it is stuck in native code: only the next worker can answer
            await process.wait()
            raise EngineError(f"no token for {STALL_SECONDS:.0f} s; the worker restarts") from None
        finally:
            del self._answers[number]
            if not finished and process.returncode is None:
                with contextlib.suppress(EngineError):
                    await self._send(process, {"id": number, "call": "cancel"})

    async def _next(self, answers: "asyncio.Queue[dict[str, Any]]") -> dict[str, Any]:
        """The next answer. Raises `TimeoutError` when the worker has gone silent."""
        begun = time.monotonic()
        while True:
            silent = time.monotonic() - max(begun, self._heard_at)
            if silent >= STALL_SECONDS:
                raise asyncio.TimeoutError
            with contextlib.suppress(asyncio.TimeoutError):
                return await asyncio.wait_for(answers.get(), STALL_SECONDS - silent + 0.01)

    async def _send(self, process: asyncio.subprocess.Process, request: dict[str, Any]) -> None:
        assert process.stdin
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            await process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise EngineError("the worker went away; it restarts") from None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Hand each answer to the call that waits for it, until the worker is gone."""
        assert process.stdout
        while line := await process.stdout.readline():
            self._heard_at = time.monotonic()
            answer = worker_process.message(line)
            queue = self._answers.get(answer.get("id", 0))
            if queue:
                queue.put_nowait(answer)
        code = await process.wait()
        if is_wanted := self._process is process:
            log.error("the model's worker ended, exit code %s; it restarts", code)
            self._ended.set()
        what = f"the worker ended (exit code {code}); it restarts" if is_wanted else "stopped"
        for queue in self._answers.values():
            queue.put_nowait({"error": what})


class Voice:
    """The model of an engine with one adapter, or none. The engine's maker closes its worker."""

    def __init__(self, engine: Engine, name: str, adapter: Path | None) -> None:
        self.name, self._engine = name, engine
        self._adapter = str(adapter) if adapter else None

    @property
    def embedder(self) -> dict[str, Any] | None:
        """The engine's."""
        return self._engine.embedder

    async def start(self) -> None:
        """Start the engine, unless it is."""
        await self._engine.start()

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        """As `Engine.reply`."""
        request = self._request(prompt, sampling, channel_id)
        async with contextlib.aclosing(self._engine._ask("reply", request)) as answers:
            async for answer in answers:
                if "piece" in answer:
                    yield answer["piece"]

    async def read(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> None:
        """As `Engine.read`."""
        request = self._request(prompt, sampling, channel_id)
        async with contextlib.aclosing(self._engine._ask("read", request)) as answers:
            async for _ in answers:
                pass

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """As `Engine.embed`."""
        return await self._engine.embed(texts)

    async def close(self) -> None:
        """Nothing: others may use the worker."""

    def _request(self, prompt: Prompt, sampling: Sampling, channel_id: int) -> dict[str, Any]:
        return {
            "prompt": dataclasses.asdict(prompt),
            "sampling": dataclasses.asdict(sampling),
            "channel": channel_id,
            "adapter": self._adapter,
        }
