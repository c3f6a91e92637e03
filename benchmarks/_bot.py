"""The real bot in a process of its own, with a stopwatch, talked to through the sandbox.

`talking` starts one. The child is this file as a module: `bot.main` with clocks around the model's
calls and the event loop; the last line that it prints is what they showed, as JSON.
"""

import argparse
import asyncio
import collections
import contextlib
import contextvars
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import discord
import numpy as np
import numpy.typing as npt
import psutil

from bot import config, handlers, logs, main, sending
from bot.config import ROOT
from bot.engines import choose_model
from model.inference import Engine, Sampling
from model.prompts import Prompt
from sandbox import community
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Place, Post, World
from storage import database, messages

COMMUNITY = "gitter-casual"
PATIENCE_SECONDS = 60.0
LAG_SECONDS = 0.005
_MEMBER, MEMBERS = 2**60, 100

# the times within one message's handling: when it came in, and what model and manners took of it
_current: contextvars.ContextVar[list[float]] = contextvars.ContextVar("current")


class Talk:
    """A running bot in a server of a few channels."""

    def __init__(self, sandbox: Sandbox, process: asyncio.subprocess.Process) -> None:
        self.sandbox, self._process = sandbox, process
        self.places: list[Place] = list(sandbox.world.places.values())
        self._log: collections.deque[str] = collections.deque(maxlen=1000)
        self._reading = asyncio.create_task(self._read())
        self.told: dict[str, Any] = {}

    @property
    def bot(self) -> psutil.Process:
        """The bot's own process."""
        return psutil.Process(self._process.pid)

    @property
    def worker(self) -> psutil.Process:
        """The process that owns the model."""
        return next(p for p in self.bot.children(True) if "model.worker" in p.cmdline())

    async def logged(self, text: str) -> str:
        """Wait for a line of the bot's log with this text."""
        while True:
            for line in self._log:
                if text in line:
                    return line
            if self._reading.done():
                raise RuntimeError("the bot ended:\n" + "\n".join(self._log))
            await asyncio.sleep(0.01)

    async def say(self, place: Place, text: str, member: int = 0) -> Post:
        """One of the members writes something."""
        return await self.sandbox.say(place.id, _MEMBER + member, text)

    async def mention(self, place: Place, text: str, member: int = 0) -> Post:
        return await self.say(place, f"<@{self.sandbox.world.bot_id}> {text}", member)

    async def answered(self, asked: Sequence[Post]) -> int:
        """How many of the messages have an answer, once all have or no more come."""
        wanted, count, came_at = {post.id for post in asked}, 0, time.monotonic()
        while count < len(wanted) and time.monotonic() - came_at < PATIENCE_SECONDS:
            found = wanted & {post.reply_to for place in self.places for post in place.posts}
            if len(found) > count:
                count, came_at = len(found), time.monotonic()
            await asyncio.sleep(0.02)
        return count

    def errors(self) -> list[str]:
        """The warnings and errors in the bot's log."""
        return [line for line in self._log if " ERROR " in line or " WARNING " in line]

    async def leave(self) -> None:
        """Have the bot end, and read what its clocks showed."""
        assert self._process.stdin
        self._process.stdin.close()
        await self._process.wait()
        await self._reading
        with contextlib.suppress(ValueError):
            self.told = json.loads(self._log[-1])

    async def _read(self) -> None:
        assert self._process.stdout
        while line := await self._process.stdout.readline():
            self._log.append(line.decode("utf-8", "replace").strip())


@contextlib.asynccontextmanager
async def talking(
    model: Path, places: int = 1, known: int = 200, program: str = "benchmarks._bot"
) -> AsyncIterator[Talk]:
    """A bot in a server of so many channels, with as many messages to recall.

    It never speaks unasked, and says a few tokens at a time.
    """
    world = World("Benchmark")
    for number in range(MEMBERS):
        world.add_person(_MEMBER + number, f"fox-{number}")
    for number in range(places):
        world.add_place(f"channel-{number}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with Sandbox(world, has_rate_limits=False) as sandbox:
            path = write_env(folder, sandbox, MODEL_PATH=str(model))
            _fill(folder / "database" / "bot.sqlite3", known)
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", program, "--env", str(path), "--supervised"),
                cwd=ROOT,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            talk = Talk(sandbox, process)
            try:
                await talk.logged("connected as")
                await talk.logged("recall ready")
                yield talk
                await talk.leave()
            finally:
                if process.returncode is None:
                    process.kill()
                    await process.wait()


def _fill(path: Path, count: int) -> None:
    """The first messages of a community, for the bot to recall."""
    lines = community.load(COMMUNITY).lines[:count]
    with contextlib.closing(database.connect(path)) as connection:
        database.change_setting(connection, "response_rate", 0)
        database.change_setting(connection, "max_tokens", 10)
        with database.transaction(connection):
            messages.save(
                connection,
                (
                    messages.Message(line.id, line.place_id, line.author_id, "fox", line.content)
                    for line in lines
                ),
            )


# --- the child ---


class _Timed(Engine):
    """The engine, and how long each message waits for it."""

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        with _clocked():
            async with contextlib.aclosing(super().reply(prompt, sampling, channel_id)) as pieces:
                async for piece in pieces:
                    yield piece

    async def embed(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        with _clocked():
            return await super().embed(texts)


@contextlib.contextmanager
def _clocked() -> Any:
    started = time.perf_counter()
    yield
    if times := _current.get(None):
        times[1] += time.perf_counter() - started


def _leave_out(owner: type, name: str) -> None:
    """Have a wait that good manners ask for count like the model's time."""
    original = getattr(owner, name)

    async def clocked(*arguments: Any) -> Any:
        with _clocked():
            return await original(*arguments)

    setattr(owner, name, clocked)


class _Watched(main.PersonaBot):
    async def on_message(self, message: discord.Message) -> None:
        _current.set([time.perf_counter(), 0.0])
        await super().on_message(message)


class Clocks:
    """What is measured inside the bot: the loop's lag, and each reply without the model's part."""

    def __init__(self) -> None:
        self.lags: list[float] = []
        self.pipeline: list[float] = []
        original = sending.Sender.send

        async def send(sender: Any, *message: Any) -> Any:
            if times := _current.get(None):
                self.pipeline.append(time.perf_counter() - times[0] - times[1])
            return await original(sender, *message)

        setattr(sending.Sender, "send", send)  # noqa: B010 (mypy)
        for name in ("_settled", "_type"):
            _leave_out(handlers.Handler, name)

    async def watch(self) -> None:
        """Note by how much a short sleep is too long, from the first reply on."""
        while True:
            started = time.perf_counter()
            await asyncio.sleep(LAG_SECONDS)
            if self.pipeline:
                self.lags.append(time.perf_counter() - started - LAG_SECONDS)

    def figures(self) -> dict[str, Any]:
        """Milliseconds."""
        return {
            "lag_p99_ms": _percentile(self.lags, 99),
            "pipeline_ms_p50": _percentile(self.pipeline, 50),
            "pipeline_ms_p95": _percentile(self.pipeline, 95),
        }


def _percentile(seconds: Sequence[float], percent: int) -> float | None:
    if len(seconds) < 2:
        return None
    return round(1000 * statistics.quantiles(seconds, n=100)[percent - 1], 2)


async def _run(env: Path) -> None:
    clocks = Clocks()
    main.PersonaBot = _Watched  # type: ignore[misc]
    settings = config.load(env)
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        watching = asyncio.create_task(clocks.watch())
        model = choose_model(settings, connection)
        engine = _Timed(model, embedder_dir=settings.models_dir)
        await main.run([(settings, connection)], [engine], is_supervised=True)
        watching.cancel()
    print(json.dumps(clocks.figures()), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--supervised", action="store_true")
    logs.setup("INFO")
    asyncio.run(_run(parser.parse_args().env))
