"""The engine: a real worker process with a real model, and what happens when it dies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from bot.config import ROOT, UserError
from model import inference, prompts
from model.inference import BUSY, QUEUE, Engine, EngineError, Sampling
from model.prompts import Prompt, Turn

PROMPT = prompts.build([Turn("amber", "hi"), Turn("bob", "what's your favourite food?")])


@contextlib.asynccontextmanager
async def running(model: Path, embedder_dir: Path | None = None) -> AsyncIterator[Engine]:
    engine = Engine(model, embedder_dir=embedder_dir, context_length=512)
    try:
        await engine.start()
        yield engine
    finally:
        await engine.close()


async def say(engine: Engine, prompt: Prompt = PROMPT, tokens: int = 12, seed: int = 1) -> str:
    sampling = Sampling(max_tokens=tokens, seed=seed)
    return "".join([piece async for piece in engine.reply(prompt, sampling, 1)])


def worker_of(engine: Engine) -> psutil.Process:
    (child,) = [c for c in psutil.Process().children() if "model.worker" in c.cmdline()]
    return child


async def test_the_same_seed_gives_the_same_reply(small_model: Path) -> None:
    """From the same state: what is left in the cache changes how the sums are split."""
    said = []
    for seed in (1, 1, 2):
        async with running(small_model) as engine:
            said.append(await say(engine, seed=seed))
    first, second, other = said
    assert first == second
    assert first
    assert first != other


async def test_calls_that_overlap_are_all_answered(small_model: Path) -> None:
    async with running(small_model) as engine:
        answers = await asyncio.gather(*(say(engine, tokens=4, seed=n) for n in range(8)))
    assert all(answers)


async def test_a_prompt_longer_than_the_context_is_still_answered(small_model: Path) -> None:
    turns = [Turn("a", f"message number {n} " * 20) for n in range(60)]
    async with running(small_model) as engine:
        assert await say(engine, prompts.build(turns), tokens=8)


async def test_a_dead_worker_is_an_error_and_then_replaced(small_model: Path) -> None:
    async with running(small_model) as engine:
        worker = worker_of(engine)
        with pytest.raises(EngineError, match="the worker"):
            async for _ in engine.reply(PROMPT, Sampling(max_tokens=200), 1):
                worker.kill()
        assert await say(engine)


async def replaced(engine: Engine, worker: psutil.Process) -> psutil.Process:
    """The worker that follows another one without being asked."""
    await asyncio.to_thread(worker.wait, 20)
    while not (found := [c for c in psutil.Process().children() if "model.worker" in c.cmdline()]):
        await asyncio.sleep(0.05)
    return found[0]


async def test_a_dead_worker_is_back_before_anybody_asks(small_model: Path) -> None:
    async with running(small_model) as engine:
        worker = worker_of(engine)
        worker.kill()
        assert (await asyncio.wait_for(replaced(engine, worker), 20)).pid != worker.pid
        assert await say(engine)


async def test_a_worker_that_grew_too_large_is_replaced_when_idle(
    small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "LOOK_SECONDS", 0.1)
    async with running(small_model) as engine:
        worker = worker_of(engine)
        assert await say(engine, tokens=40)
        assert worker_of(engine).pid == worker.pid
        engine._most_bytes = 1
        next_one = await asyncio.wait_for(replaced(engine, worker), 20)
        assert await say(engine)
        await asyncio.sleep(0.5)
        assert worker_of(engine).pid == next_one.pid


async def test_a_model_that_is_gone_when_the_worker_dies_is_no_crash(
    small_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "model.gguf"
    path.symlink_to(small_model)
    async with running(path) as engine:
        worker = worker_of(engine)
        path.unlink()
        worker.kill()
        await asyncio.to_thread(worker.wait, 20)
        while "it restarts" not in caplog.text:
            await asyncio.sleep(0.05)
        with pytest.raises(EngineError, match="There is no model at"):
            await say(engine)
        while "no worker: There is no model at" not in caplog.text:
            await asyncio.sleep(0.05)
        path.symlink_to(small_model)
        assert await say(engine)


async def test_a_worker_without_a_model_makes_vectors_only() -> None:
    engine = Engine(None, embedder_dir=ROOT / "models")
    try:
        (vector,) = await engine.embed(["hi"])
        assert vector.shape == (384,)
        with pytest.raises(EngineError, match="without a model"):
            await say(engine)
    finally:
        await engine.close()


async def test_a_worker_that_goes_silent_is_replaced(
    small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(small_model) as engine:
        await say(engine, tokens=2)
        stuck = worker_of(engine)
        stuck.suspend()
        with monkeypatch.context() as patch:
            patch.setattr(inference, "STALL_SECONDS", 0.5)
            with pytest.raises(EngineError, match="no token"):
                await say(engine)
        assert await say(engine)
        assert worker_of(engine).pid != stuck.pid


async def test_more_than_can_wait_are_told_so(small_model: Path) -> None:
    async with running(small_model) as engine:
        calls = (say(engine, tokens=2) for _ in range(QUEUE + 4))
        answers = await asyncio.gather(*calls, return_exceptions=True)
    busy = [one for one in answers if isinstance(one, EngineError)]
    assert 1 <= len(busy) <= 4 and {str(one) for one in busy} == {BUSY}
    assert all(one for one in answers if not isinstance(one, EngineError))


async def test_reading_ahead_ends_when_it_has_been_read_or_is_overtaken(small_model: Path) -> None:
    sampling = Sampling(max_tokens=4)
    async with running(small_model) as engine:
        await engine.read(PROMPT, sampling, 1)
        overtaken = asyncio.create_task(engine.read(PROMPT, sampling, 1))
        await asyncio.sleep(0)
        assert await say(engine, tokens=4)
        await asyncio.wait_for(overtaken, 20)


async def test_leaving_early_stops_the_model(small_model: Path) -> None:
    async with running(small_model) as engine:
        pieces = engine.reply(PROMPT, Sampling(max_tokens=400), 1)
        async with contextlib.aclosing(pieces):
            async for _ in pieces:
                break
        assert await asyncio.wait_for(say(engine, tokens=2), 30)


async def test_the_worker_leaves_with_the_engine(small_model: Path) -> None:
    async with running(small_model) as engine:
        worker = worker_of(engine)
    assert not worker.is_running()


async def test_embeddings_tell_meaning(small_model: Path) -> None:
    async with running(small_model, ROOT / "models") as engine:
        cat, kitten, pip = await engine.embed(["my cat", "a small kitten", "pip install fails"])
    assert np.dot(cat, cat) == pytest.approx(1, abs=1e-3)
    assert np.dot(cat, kitten) > np.dot(cat, pip) + 0.2


async def test_many_texts_delay_no_reply_and_are_no_stall(
    small_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inference, "STALL_SECONDS", 5.0)
    texts = [f"message {n} about nothing in particular " * 20 for n in range(300)]
    async with running(small_model, ROOT / "models") as engine:
        vectors = asyncio.create_task(engine.embed(texts))
        await asyncio.sleep(0.1)
        assert await say(engine, tokens=2)
        assert not vectors.done()
        assert len(await vectors) == len(texts)
        given_up = asyncio.create_task(engine.embed(texts))
        await asyncio.sleep(0.1)
        given_up.cancel()
        assert len(await asyncio.wait_for(engine.embed(["hi"]), 5)) == 1


async def test_an_engine_without_embedder_says_so(small_model: Path) -> None:
    async with running(small_model) as engine:
        with pytest.raises(EngineError, match="without an embedder"):
            await engine.embed(["hi"])


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (None, "There is no model at"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 2\n", "Git-LFS"),
        (b"<html>404</html>", "not a GGUF"),
        (b"", "not a GGUF"),
        (b"GGUF" + bytes(60), "damaged or incomplete"),
        (b"GGUF\x03" + bytes(3) + b"\xff" * 16, "damaged or incomplete"),
        (b"GGUF" + bytes(3) + b"\x03" + bytes(16), "big endian"),
        ("truncated", "damaged or incomplete"),
        ("without its last byte", "does not end within the file"),
    ],
)
async def test_a_bad_model_file_is_a_sentence(
    tmp_path: Path, small_model: Path, content: bytes | str | None, named: str
) -> None:
    path = tmp_path / "model.gguf"
    if isinstance(content, str):
        path.write_bytes(small_model.read_bytes()[: 5_000_000 if content == "truncated" else -1])
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=named):
        await Engine(path).start()


async def test_a_folder_is_not_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is a folder"):
        await Engine(tmp_path).start()
