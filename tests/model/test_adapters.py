"""One model in memory with several adapters: each says what it says alone, and none is starved."""

import asyncio
import itertools
import random
import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest
from llama_cpp import Llama

from bot.config import UserError
from model import catalog, context, export, prompts, resident
from model.inference import BUSY, QUEUE, AnyEngine, Engine, EngineError, Sampling
from model.prompts import Turn
from model.scheduler import TURN, Job, Scheduler
from tests.model.adapted import a_run
from tests.model.test_inference import worker_of
from tests.model.test_scheduler import CLOSE, GREEDY, LENGTH, all_logits, ids, run

pytest.importorskip("peft", reason="needs requirements-train.txt")

PROMPT = prompts.build([Turn("bob", "what a day")])
LONG = Sampling(temperature=0.0, max_tokens=60, repeat_penalty=1.0)


def made(folder: Path, base: Path, name: str, dice: int = 1) -> Path:
    """The file of a random adapter."""
    training, _ = a_run(folder, base, name=name, dice=dice)
    return export.export(training, folder, catalog.ADAPTER).path


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> list[Path]:
    folder = tmp_path_factory.mktemp("adapters")
    return [made(folder, tiny_model, "amber", 1), made(folder, tiny_model, "basil", 2)]


@pytest.fixture(scope="module")
def names(adapters: list[Path]) -> list[str | None]:
    """What a job calls the base alone, and each adapter."""
    return [None, *map(str, adapters)]


@pytest.fixture(scope="module")
def model(tiny_model: Path, adapters: list[Path]) -> Llama:
    loaded = resident.load(tiny_model, 16)
    for path in adapters:
        resident.add_adapter(loaded, tiny_model, path)
    return loaded


@pytest.fixture
def engine(model: Llama) -> Iterator[Scheduler]:
    scheduler = Scheduler(model, LENGTH, places=2)
    yield scheduler
    scheduler.close()


@pytest.fixture(scope="module")
def plain(tiny_model: Path, names: list[str | None]) -> dict[str | None, Llama]:
    """The model with each adapter alone, as llama-cpp-python runs it."""
    alone = {}
    for name in names:
        alone[name] = Llama(str(tiny_model), n_ctx=LENGTH, logits_all=True, verbose=False)
        if name:
            context.add_adapter(alone[name], Path(name))
    return alone


def agreed(model: Llama, job: Job) -> int:
    """How many tokens of a reply are a model's own first choice; all must be as good as that."""
    rows = all_logits(model, [*job.prompt, *job.said])[len(job.prompt) - 1 :]
    chosen = list(zip(job.said, rows, strict=False))
    assert all(logits[token] >= logits.max() - CLOSE for token, logits in chosen)
    return sum(int(logits.argmax() == token) for token, logits in chosen)


def test_greedy_replies_are_those_of_the_adapter_alone(
    model: Llama, plain: dict[str | None, Llama], names: list[str | None]
) -> None:
    """Concurrent, interrupted and interleaved, with slots that are spilled and come back."""
    engine, dice = Scheduler(model, LENGTH, places=3), random.Random(1)
    told = {channel: ids(model, dice, 40) for channel in range(9)}
    count = exact = foreign = 0
    for turn in range(25):
        jobs = []
        for channel in dice.sample(sorted(told), 5):
            told[channel] = [*told[channel], *ids(model, dice, dice.randrange(3, 12))][-200:]
            name = names[channel % 3]
            jobs.append(Job(turn * 10 + channel, channel, told[channel], GREEDY, adapter=name))
            engine.add(jobs[-1])
            for _ in range(dice.randrange(4)):
                list(engine.step())
        run(engine)
        for job in jobs:
            exact += agreed(plain[job.adapter], job)
            others = all_logits(plain[next(one for one in names if one != job.adapter)], job.said)
            foreign += sum(int(a.argmax() == b) for a, b in zip(others, job.said[1:], strict=False))
            count += len(job.said)
            told[job.channel_id] = [*job.prompt, *job.said]
    engine.close()
    assert count > 400 and exact / count > 0.97
    assert foreign / count < 0.5  # they do differ


def test_what_was_read_with_one_adapter_is_not_gone_on_from_with_another(
    model: Llama, engine: Scheduler, names: list[str | None]
) -> None:
    prompt, read = ids(model, random.Random(2), 60), []
    for number, name in enumerate([*names, *names]):
        job = Job(number, 1, prompt, GREEDY, adapter=name)
        engine.add(job)
        run(engine)
        read.append(job.evaluated)
    assert read == [len(prompt)] * 3 + [1] * 3


def test_a_first_word_waits_for_no_whole_reply_of_another_adapter(
    model: Llama,
    engine: Scheduler,
    plain: dict[str | None, Llama],
    names: list[str | None],
) -> None:
    """Both places are taken: one reply gives its own up, and goes on later where it was."""
    dice = random.Random(3)
    one, two, three = (
        Job(number, number, ids(model, dice, 30), LONG, adapter=names[number > 2])
        for number in (1, 2, 3)
    )
    engine.add(one)
    engine.add(two)
    for _ in range(10):
        list(engine.step())
    engine.add(three)
    said = len(two.said)
    steps = next(n for n in itertools.count(1) if any(d.job is three for d in engine.step()))
    assert steps <= 2 and said > 5
    over = run(engine)
    assert sorted(over) == [1, 2, 3] and two.evaluated == len(two.prompt)
    for job in (one, two, three):
        assert agreed(plain[job.adapter], job) >= 0.9 * len(job.said)


def test_adapters_take_turns(model: Llama, engine: Scheduler, names: list[str | None]) -> None:
    prompt = ids(model, random.Random(4), 10)
    for number, name in enumerate(names[1:]):
        engine.add(Job(number, number, prompt, LONG, adapter=name))
    drawn = [one.job.number for _ in range(50) for one in engine.step()]
    turns = [(number, len(list(words))) for number, words in itertools.groupby(drawn)]
    assert turns == [(0, 1), (1, 1), *[(0, TURN), (1, TURN)] * 3]


def test_reading_ahead_waits_for_the_replies_of_every_adapter(
    model: Llama, engine: Scheduler, names: list[str | None]
) -> None:
    dice = random.Random(5)
    ahead = Job(1, 1, ids(model, dice, 200), None, adapter=names[1])
    reply = Job(2, 2, ids(model, dice, 200), GREEDY, adapter=names[2])
    engine.add(ahead)
    engine.add(reply)
    over: list[int] = []
    while 2 not in over:
        assert ahead.evaluated == 0
        over += [drawn.job.number for drawn in engine.step() if drawn.token is None]
    assert run(engine) == [1] and ahead.evaluated == len(ahead.prompt)


def test_an_adapter_that_was_not_loaded_is_refused(model: Llama, engine: Scheduler) -> None:
    with pytest.raises(ValueError, match="was not loaded"):
        engine.add(Job(1, 1, [5], GREEDY, adapter="elsewhere"))


# ---- in the worker


async def say(engine: AnyEngine, channel: int = 1) -> str:
    sampling = Sampling(temperature=0.0, max_tokens=8, repeat_penalty=1.0)
    return "".join([piece async for piece in engine.reply(PROMPT, sampling, channel)])


async def alone(path: Path) -> str:
    engine = Engine(path, context_length=128)
    try:
        return await say(engine)
    finally:
        await engine.close()


@pytest.fixture
async def shared(tiny_model: Path) -> AsyncIterator[Engine]:
    engine = Engine(tiny_model, context_length=128)
    yield engine
    await engine.close()


async def test_one_worker_with_one_base_speaks_for_all(
    shared: Engine, tiny_model: Path, adapters: list[Path]
) -> None:
    voices = [shared.with_adapter(path) for path in (None, *adapters)]
    await asyncio.gather(*(voice.start() for voice in voices))
    said = await asyncio.gather(*(say(voice, n) for n, voice in enumerate(voices)))
    assert said == [await alone(path) for path in (tiny_model, *adapters)]
    assert len(set(said)) == 3 and await say(shared, 7) == said[0]
    assert [voice.name for voice in voices] == ["tiny.f16", "amber.adapter", "basil.adapter"]
    if sys.platform == "linux":
        maps = worker_of(shared).memory_maps(grouped=False)
        assert sum(Path(one.path) == tiny_model for one in maps) == 1


async def test_an_engine_of_an_adapter_has_its_base_alone_too(
    tiny_model: Path, adapters: list[Path]
) -> None:
    engine = Engine(adapters[0], context_length=128)
    base, other = engine.with_adapter(None), engine.with_adapter(adapters[1])
    try:
        said = [await say(one) for one in (engine, base, other)]
    finally:
        await engine.close()
    assert said == [await alone(path) for path in (adapters[0], tiny_model, adapters[1])]
    assert (engine.name, base.name) == ("amber.adapter", "tiny.f16")


async def test_the_worker_outlives_a_voice_and_comes_back_with_all(
    shared: Engine, adapters: list[Path]
) -> None:
    one, other = (shared.with_adapter(path) for path in adapters)
    await one.start()
    said, worker = await say(other), worker_of(shared)
    await one.close()
    assert await say(other) == said and worker_of(shared).pid == worker.pid
    worker.kill()
    worker.wait(20)
    await asyncio.sleep(0.1)
    assert await say(other) == said
    with pytest.raises(EngineError, match="was not loaded"):
        await say(shared.with_adapter(Path("late.adapter.gguf")))


async def test_a_crowd_before_one_voice_turns_nobody_away_from_another(
    shared: Engine, adapters: list[Path]
) -> None:
    one, other = (shared.with_adapter(path) for path in adapters)
    await one.start()
    crowd = [asyncio.create_task(say(one, channel)) for channel in range(QUEUE + 8)]
    await asyncio.sleep(0)
    assert await say(other)
    over = await asyncio.gather(*crowd, return_exceptions=True)
    assert {str(error) for error in over if isinstance(error, EngineError)} == {BUSY}


@pytest.mark.parametrize(
    ("what", "named"),
    [
        ("gone", "There is no model at"),
        ("garbage", "not a GGUF model file"),
        ("its first half", "damaged or incomplete"),
        ("other tensors", "damaged or incomplete"),
        ("of another base", "is an adapter for .*qwen.f16.gguf, and cannot share"),
        ("a whole model", "is a model of its own, and cannot share"),
        ("without its manifest", "nothing beside it says to which base"),
    ],
)
async def test_an_adapter_that_cannot_be_used_is_a_sentence(
    shared: Engine, adapters: list[Path], tiny_qwen: Path, tmp_path: Path, what: str, named: str
) -> None:
    if what == "of another base":
        path = made(tmp_path, tiny_qwen, "amber")
    else:
        folder = shutil.copytree(adapters[0].parent, tmp_path / "finetuned" / "amber")
        path = folder / adapters[0].name
    whole = path.read_bytes()
    if what == "gone":
        path.unlink()
    elif what == "a whole model":
        path = tiny_qwen
    elif what == "without its manifest":
        path.with_name("manifest.json").unlink()
    elif what != "of another base":
        damaged = {
            "garbage": b"<html>404</html>",
            "its first half": whole[: len(whole) // 2],
            "other tensors": whole.replace(b"blk.1", b"blk.9"),
        }
        path.write_bytes(damaged[what])
    with pytest.raises(UserError, match=named):
        await shared.with_adapter(path).start()
    assert not [c for c in psutil.Process().children() if "model.worker" in c.cmdline()]
