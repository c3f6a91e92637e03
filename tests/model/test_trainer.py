"""Training: a real trainer on a tiny model, its order of examples, and going on after a stop."""

import dataclasses
import json
import random
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import safetensors.numpy

from bot.config import UserError
from model import runs
from model.examples import Tokens
from model.runs import Plan, Recipe, Run

trainer = pytest.importorskip("model.trainer", reason="needs requirements-train.txt")
torch = pytest.importorskip("torch")

RECIPE = Recipe(learning_rate=5e-3, rank=4, alpha=8, batch_size=4, accumulation=1, max_steps=6)


def some_examples(count: int = 60) -> list[Tokens]:
    dice = random.Random(3)
    words = [dice.randrange(100, 900) for _ in range(30)]
    examples = []
    for _ in range(count):
        prompt = [dice.choice(words) for _ in range(dice.randrange(5, 25))]
        examples.append(Tokens([*prompt, 500, 501, 2], 3))
    return examples


def plan(recipe: Recipe = RECIPE) -> Plan:
    return Plan("tiny", "tiny.gguf", "", "0", "1", recipe, 0.0)


def train(folder: Path, base: Path) -> Run:
    run = trainer.train(folder, plan(), base, some_examples(), Event(), 1)
    assert isinstance(run, Run)
    return run


def weights(run: Run) -> dict[str, npt.NDArray[Any]]:
    return safetensors.numpy.load_file(run.adapter / "adapter_model.safetensors")


class StopAfter(Event):
    """A request to stop that comes at the end of a step."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._left = steps  # and it is asked once before the first

    def is_set(self) -> bool:
        self._left -= 1
        return self._left < 0


def test_training_learns_the_replies_and_leaves_a_complete_run(
    tmp_path: Path, tiny_model: Path
) -> None:
    run = train(tmp_path / "a", tiny_model)
    curve = [json.loads(line) for line in (run.folder / "loss.jsonl").open()]
    assert [row["step"] for row in curve] == [1, 2, 3, 4, 5, 6]
    assert run.last_loss < run.first_loss - 1
    assert runs.read(run.folder) == run
    assert not (run.folder / "checkpoints").exists()
    layers = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in weights(run)}
    assert layers == set(trainer.TARGETS)


def test_the_loss_is_that_of_the_reply_alone(tmp_path: Path, tiny_model: Path) -> None:
    examples = [Tokens([7, 8, 9, 10, 11, 2], 2), Tokens([7, 9, 12, 2], 1)] * 2
    recipe = Recipe(batch_size=4, accumulation=1, max_steps=1)
    trainer.train(tmp_path / "a", plan(recipe), tiny_model, examples, Event(), 1)
    logged = json.loads((tmp_path / "a" / "loss.jsonl").read_text())["loss"]
    model = trainer.load(tiny_model)
    nats = 0.0
    for example in examples:
        with torch.no_grad():
            scores = model(torch.tensor([example.ids])).logits[0].log_softmax(-1)
        for place in range(len(example.ids) - example.reply_length, len(example.ids)):
            nats -= float(scores[place - 1, example.ids[place]])
    assert logged == pytest.approx(nats / sum(e.reply_length for e in examples), rel=0.01)


def test_a_stopped_training_goes_on_as_if_it_had_never_stopped(
    tmp_path: Path, tiny_model: Path
) -> None:
    whole = train(tmp_path / "whole", tiny_model)
    folder = tmp_path / "stopped"
    assert trainer.train(folder, plan(), tiny_model, some_examples(), StopAfter(2), 1) is None
    assert not (folder / "run.json").exists()
    assert runs.checkpoint(folder) == folder / "checkpoints" / "checkpoint-2"
    resumed = train(folder, tiny_model)
    assert len((folder / "loss.jsonl").read_text().splitlines()) == 6
    assert resumed.last_loss == pytest.approx(whole.last_loss, rel=1e-4)
    for name, values in weights(whole).items():
        np.testing.assert_allclose(weights(resumed)[name], values, atol=1e-5)


def test_a_stop_before_the_first_step_trains_nothing(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "a"
    stop = Event()
    stop.set()
    assert trainer.train(folder, plan(), tiny_model, some_examples(), stop, 1) is None
    assert runs.checkpoint(folder) is None


def test_batches_hold_like_lengths_and_miss_nobody() -> None:
    dice = random.Random(1)
    lengths = [dice.randrange(20, 400) for _ in range(803)]
    recipe = Recipe(batch_size=4, accumulation=2, epochs=2.0)
    order = trainer.batch_order(lengths, recipe)
    assert len(order) == 2 * 800
    assert len(set(order[:800])) == len(set(order[800:])) == 800
    batches = [order[start : start + 8] for start in range(0, len(order), 8)]
    padded = sum(8 * max(lengths[i] for i in batch) for batch in batches)
    assert padded < 1.15 * sum(lengths[i] for i in order)
    longest = [max(lengths[i] for i in batch) for batch in batches[:100]]
    assert longest != sorted(longest) != longest[::-1]
    assert order == trainer.batch_order(lengths, recipe)
    assert order != trainer.batch_order(lengths, dataclasses.replace(recipe, seed=1))


def test_max_steps_may_be_less_or_more_than_an_epoch() -> None:
    for steps in (2, 20):
        recipe = Recipe(batch_size=4, accumulation=2, max_steps=steps)
        assert len(trainer.batch_order([5] * 50, recipe)) == 8 * steps
    with pytest.raises(ValueError, match="do not fill one step"):
        trainer.batch_order([5] * 7, recipe)


def test_weights_that_are_not_there_are_a_sentence_and_leave_nothing(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    with pytest.raises(UserError, match="--base-weights"):
        trainer.train(tmp_path / "a", plan(), nothing, some_examples(), Event())
    assert not (tmp_path / "a").exists()


def test_accumulating_small_batches_is_the_same_training(tmp_path: Path, tiny_model: Path) -> None:
    lengths = [(5, 1), (9, 7), (6, 2), (30, 20)]  # replies of very different lengths
    examples = [Tokens(list(range(100, 100 + total)), reply) for total, reply in lengths]
    found = []
    for size in (4, 1):
        recipe = dataclasses.replace(RECIPE, batch_size=size, accumulation=4 // size, max_steps=3)
        folder = tmp_path / str(size)
        found.append(trainer.train(folder, plan(recipe), tiny_model, examples, Event(), 1))
    whole, parts = found
    assert parts.first_loss == pytest.approx(whole.first_loss, rel=0.01)
    assert parts.last_loss == pytest.approx(whole.last_loss, rel=0.02)
