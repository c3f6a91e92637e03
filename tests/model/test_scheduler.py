"""Several replies in one context: each is what the plain model says, and little is read twice."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import llama_cpp
import numpy as np
import numpy.typing as npt
import pytest
from llama_cpp import Llama

from model import kv_cache, resident
from model.inference import Sampling
from model.scheduler import Job, Scheduler

LENGTH = 512
GREEDY = Sampling(temperature=0.0, max_tokens=8, repeat_penalty=1.0)
WORDS = tuple("the cat sat on a mat and then it went to see some rain in a house".split())  # noqa: SIM905
CLOSE = 0.8  # the plain model's own logits move by 0.6 when a token is read in company or alone


@pytest.fixture(scope="module")
def model(small_model: Path) -> Llama:
    return resident.load(small_model, LENGTH)


@pytest.fixture
def engine(model: Llama) -> Iterator[Scheduler]:
    made = Scheduler(model, LENGTH, places=2)
    yield made
    made.close()


def ids(model: Llama, dice: random.Random, words: int) -> list[int]:
    text = " ".join(dice.choices(WORDS, k=words))
    return list(model.tokenize(text.encode(), add_bos=False))


def run(engine: Scheduler) -> list[int]:
    """Work until everything is done; the numbers of the jobs in the order they ended."""
    over = []
    while engine.is_busy:
        over += [drawn.job.number for drawn in engine.step() if drawn.token is None]
    return over


def logits_after(model: Llama, tokens: list[int]) -> npt.NDArray[np.float32]:
    """What the plain model thinks comes next, read in one go."""
    model.reset()
    model.eval(tokens)
    pointer = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    return np.array(np.ctypeslib.as_array(pointer, (model.n_vocab(),)))


def all_logits(plain: Llama, tokens: list[int]) -> npt.NDArray[np.float32]:
    """The same after each of the tokens, (tokens, vocabulary)."""
    plain.reset()
    plain.eval(tokens)
    return np.array(plain.scores[: len(tokens)])


@pytest.mark.parametrize(("name", "turns"), [("small_model", 8), ("tiny_model", 100)])
def test_greedy_replies_are_the_plain_models(
    name: str, turns: int, request: pytest.FixtureRequest
) -> None:
    """With reuse, batching, and slots that are spilled and come back; three histories a turn.

    Where two tokens are as good as equal the plain model, too, decides by how its sums are split:
    each token drawn here is at most `CLOSE` from the best of the plain model's.
    """
    path, dice = request.getfixturevalue(name), random.Random(1)
    plain = Llama(str(path), n_ctx=LENGTH, logits_all=True, verbose=False)
    model = resident.load(path, 16)
    engine = Scheduler(model, LENGTH, places=2)
    told = {channel: ids(model, dice, 40) for channel in range(5)}
    count = exact = 0
    for turn in range(turns):
        jobs = []
        for channel in dice.sample(sorted(told), 3):
            told[channel] = [*told[channel], *ids(model, dice, dice.randrange(3, 12))][-200:]
            jobs.append(Job(turn * 10 + channel, channel, list(told[channel]), GREEDY))
            engine.add(jobs[-1])
        run(engine)
        for job in jobs:
            thoughts = all_logits(plain, [*job.prompt, *job.said])[len(job.prompt) - 1 :]
            for token, logits in zip(job.said, thoughts, strict=False):
                assert logits[token] >= logits.max() - CLOSE
                exact += int(logits.argmax() == token)
                count += 1
            told[job.channel_id] = [*job.prompt, *job.said]
    engine.close()
    assert count > 100 and exact / count > 0.97


def test_a_conversation_is_read_once(model: Llama, engine: Scheduler) -> None:
    dice, new, read = random.Random(2), 0, 0
    told = {channel: ids(model, dice, 30) for channel in range(6)}
    for turn in range(5):
        for channel in told:
            added = ids(model, dice, 10)
            told[channel] = [*told[channel], *added]
            job = Job(turn * 10 + channel, channel, list(told[channel]), GREEDY)
            engine.add(job)
            run(engine)
            assert job.said
            told[channel] = [*job.prompt, *job.said]
            if turn:
                new, read = new + len(added) + 1, read + job.evaluated  # the last token drawn
    assert read <= 1.1 * new


def test_reading_ahead_leaves_one_token_to_read(model: Llama, engine: Scheduler) -> None:
    prompt = ids(model, random.Random(3), 100)
    engine.add(Job(1, 7, prompt, None))
    assert run(engine) == [1]
    job = Job(2, 7, prompt, GREEDY)
    engine.add(job)
    run(engine)
    assert job.evaluated == 1


def test_reading_ahead_gives_way(model: Llama, engine: Scheduler) -> None:
    """To anything newer in its channel, and to a reply that finds no slot."""
    dice = random.Random(4)
    engine.add(Job(1, 1, ids(model, dice, 150), None))
    engine.add(Job(2, 1, ids(model, dice, 150), None))
    engine.add(Job(3, 2, ids(model, dice, 150), None))
    over = [drawn.job.number for drawn in engine.step()]
    engine.add(Job(4, 3, ids(model, dice, 5), GREEDY))
    over += run(engine)
    assert sorted(over) == [1, 2, 3, 4] and over[0] == 1
    assert over.index(4) < 3


def test_a_short_prompt_does_not_wait_for_a_long_one(model: Llama, engine: Scheduler) -> None:
    dice = random.Random(5)
    long = Job(1, 1, ids(model, dice, 400), GREEDY)
    engine.add(long)
    list(engine.step())
    assert long.slot
    read = len(long.slot.tokens)
    engine.add(Job(2, 2, ids(model, dice, 10), GREEDY))
    (drawn,) = engine.step()
    assert drawn.job.number == 2 and len(long.slot.tokens) == read
    list(engine.step())
    assert len(long.slot.tokens) > read
    run(engine)


def test_one_reply_a_channel_at_a_time(model: Llama, engine: Scheduler) -> None:
    prompt = ids(model, random.Random(6), 10)
    for number in (1, 2, 3):
        engine.add(Job(number, 5, prompt, GREEDY))
    seen = [drawn.job.number for _ in range(60) if engine.is_busy for drawn in engine.step()]
    assert [number for number, _ in itertools.groupby(seen)] == [1, 2, 3]


def test_a_cancel_is_heard_in_the_middle_of_a_prompt(model: Llama) -> None:
    cancelled: set[int] = set()
    engine = Scheduler(model, LENGTH, places=2, chunk=400, is_cancelled=cancelled.__contains__)
    dice = random.Random(7)
    prompt = ids(model, dice, 300)
    asked = itertools.count()

    def is_cancelled(number: int) -> bool:
        if next(asked) > 5:  # by then it is being read
            cancelled.add(number)
        return number in cancelled

    engine._is_cancelled = is_cancelled
    job = Job(1, 1, prompt, GREEDY)
    engine.add(job)
    assert run(engine) == [1] and job.evaluated < len(prompt) and not job.said
    engine._is_cancelled = lambda number: False
    again = Job(2, 1, prompt, GREEDY)
    engine.add(again)
    run(engine)
    assert again.said[0] == int(logits_after(model, prompt).argmax())
    engine.close()


def test_the_same_seed_draws_the_same(model: Llama, engine: Scheduler) -> None:
    prompt = ids(model, random.Random(8), 20)
    said = []
    for number in range(2):
        engine.cache.forget()
        job = Job(number, 1, prompt, Sampling(max_tokens=12), seed=42)
        engine.add(job)
        run(engine)
        said.append(job.said)
    assert said[0] == said[1]


def test_a_prompt_that_leaves_no_room_is_refused(model: Llama, engine: Scheduler) -> None:
    for length in (0, LENGTH - GREEDY.max_tokens + 1):
        with pytest.raises(ValueError, match="does not fit"):
            engine.add(Job(1, 1, [5] * length, GREEDY))
    job = Job(2, 1, [5] * (LENGTH - GREEDY.max_tokens), GREEDY)
    engine.add(job)
    assert run(engine) == [2]


def test_what_was_read_is_forgotten_after_a_while(
    model: Llama, engine: Scheduler, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = ids(model, random.Random(9), 50)
    for number, (seconds, read) in enumerate(
        ((600.0, len(prompt)), (600.0, 1), (0.0, len(prompt)))
    ):
        monkeypatch.setattr(kv_cache, "KEEP_SECONDS", seconds)
        job = Job(number, 1, prompt, GREEDY)
        engine.add(job)
        run(engine)
        assert job.evaluated == read


def test_spilled_slots_stay_within_their_bound(
    model: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Scheduler(model, LENGTH, places=1, spill_bytes=6_000_000)
    dice = random.Random(10)
    for channel in range(6):
        engine.add(Job(channel, channel, ids(model, dice, 80), None))
        run(engine)
    assert 0 < engine.cache.spilled_bytes <= 6_000_000
    engine.close()
