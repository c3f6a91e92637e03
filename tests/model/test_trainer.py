"""Training: a real trainer on a tiny model, its order of examples, and going on after a stop."""

import dataclasses
import json
import math
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
from model.examples import Pair, Tokens
from model.recipe import Recipe
from model.runs import Plan, Run

trainer = pytest.importorskip("model.trainer", reason="needs requirements-train.txt")
torch = pytest.importorskip("torch")
from model import batches, loading  # noqa: E402  (they need torch)
from model.objectives import Objective  # noqa: E402

RECIPE = Recipe(
    learning_rate=5e-3, rank=4, alpha=8, batch_size=4, accumulation=1, max_steps=6, epochs=100
)


def some_examples(count: int = 60) -> list[Tokens]:
    dice = random.Random(3)
    words = [dice.randrange(100, 900) for _ in range(30)]
    examples = []
    for _ in range(count):
        prompt = [dice.choice(words) for _ in range(dice.randrange(5, 25))]
        examples.append(Tokens([*prompt, 500, 501, 2], 3))
    return examples


def plan(recipe: Recipe = RECIPE, *stages: str) -> Plan:
    return Plan("tiny", "tiny.gguf", "", "0", "1", recipe, 0.0, stages or ("sft",))


def some_data(**more: Any) -> Any:
    return trainer.Data(some_examples(), **more)


def some_pairs(count: int = 20) -> list[Pair]:
    """Replies as in the examples, to be preferred to whatever the model says."""
    return [Pair(example, None, 1.0) for example in some_examples(count)]


def train(folder: Path, base: Path, asked: Plan | None = None, data: Any = None) -> Run:
    data = data or some_data()
    run = trainer.train(folder, asked or plan(), base, data, Event(), 1)
    assert isinstance(run, Run)
    return run


def curve(folder: Path, key: str = "loss") -> list[dict[str, Any]]:
    rows = [json.loads(line) for line in (folder / "loss.jsonl").open()]
    return [row for row in rows if key in row]


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


class StopAtStep(Event):
    """A request to stop that comes when the loss curve tells of so many steps."""

    def __init__(self, folder: Path, step: int) -> None:
        super().__init__()
        self._folder, self._step = folder, step

    def is_set(self) -> bool:
        return (self._folder / "loss.jsonl").exists() and len(curve(self._folder)) >= self._step


def test_training_learns_the_replies_and_leaves_a_complete_run(
    tmp_path: Path, tiny_model: Path
) -> None:
    run = train(tmp_path / "a", tiny_model)
    assert [row["step"] for row in curve(run.folder)] == [1, 2, 3, 4, 5, 6]
    assert run.last_loss < run.first_loss - 1
    assert runs.read(run.folder) == run
    assert not (run.folder / "sft").exists()
    layers = {name.rpartition(".lora_")[0].rpartition(".")[2] for name in weights(run)}
    assert layers == set(loading.TARGETS)


def test_the_loss_is_that_of_the_reply_alone(tmp_path: Path, tiny_model: Path) -> None:
    examples = [Tokens([7, 8, 9, 10, 11, 2], 2), Tokens([7, 9, 12, 2], 1)] * 2
    recipe = Recipe(batch_size=4, accumulation=1, max_steps=1)
    train(tmp_path / "a", tiny_model, plan(recipe), trainer.Data(examples))
    (logged,) = (row["loss"] for row in curve(tmp_path / "a"))
    model = loading.base(tiny_model, loading.choose(tiny_model))
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
    assert trainer.train(folder, plan(), tiny_model, some_data(), StopAfter(2), 1) is None
    assert not (folder / "run.json").exists()
    stage = folder / "sft"
    assert runs.checkpoint(stage) == stage / "checkpoints" / "checkpoint-2"
    resumed = train(folder, tiny_model)
    assert [row["step"] for row in curve(folder)] == [1, 2, 3, 4, 5, 6]
    assert resumed.last_loss == pytest.approx(whole.last_loss, rel=1e-4)
    for name, values in weights(whole).items():
        np.testing.assert_allclose(weights(resumed)[name], values, atol=1e-5)


def test_a_stop_before_the_first_step_trains_nothing(tmp_path: Path, tiny_model: Path) -> None:
    folder = tmp_path / "a"
    stop = Event()
    stop.set()
    assert trainer.train(folder, plan(), tiny_model, some_data(), stop, 1) is None
    assert runs.checkpoint(folder / "sft") is None


def test_batches_hold_like_lengths_and_miss_nobody() -> None:
    dice = random.Random(1)
    lengths = [dice.randrange(20, 400) for _ in range(803)]
    order = batches.order(lengths, 8, epochs=2.0)
    assert len(order) == 2 * 800
    assert len(set(order[:800])) == len(set(order[800:])) == 800
    steps = [order[start : start + 8] for start in range(0, len(order), 8)]
    padded = sum(8 * max(lengths[i] for i in step) for step in steps)
    assert padded < 1.15 * sum(lengths[i] for i in order)
    longest = [max(lengths[i] for i in step) for step in steps[:100]]
    assert longest != sorted(longest) != longest[::-1]
    assert longest[0] == max(longest)  # what does not fit fails at once
    assert order == batches.order(lengths, 8, epochs=2.0)
    assert order != batches.order(lengths, 8, epochs=2.0, seed=1)


def test_max_steps_ends_what_would_take_longer_and_nothing_else() -> None:
    for epochs, most, steps in ((1.0, 2, 2), (3.0, 10, 10), (1.0, 10, 6), (0.5, 0, 3)):
        assert len(batches.order([5] * 50, 8, epochs, most)) == 8 * steps
    with pytest.raises(ValueError, match="do not fill one step"):
        batches.order([5] * 7, 8, epochs=1.0)


def test_weights_that_are_not_there_are_a_sentence_and_leave_nothing(tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    with pytest.raises(UserError, match="--base-weights"):
        trainer.train(tmp_path / "a", plan(), nothing, some_data(), Event())
    assert not (tmp_path / "a").exists()


def test_accumulating_small_batches_is_the_same_training(tmp_path: Path, tiny_model: Path) -> None:
    lengths = [(5, 1), (9, 7), (6, 2), (30, 20)]  # replies of very different lengths
    examples = [Tokens(list(range(100, 100 + total)), reply) for total, reply in lengths]
    found = []
    for size in (4, 1):
        recipe = dataclasses.replace(RECIPE, batch_size=size, accumulation=4 // size, max_steps=3)
        folder = tmp_path / str(size)
        found.append(train(folder, tiny_model, plan(recipe), trainer.Data(examples)))
    whole, parts = found
    assert parts.first_loss == pytest.approx(whole.first_loss, rel=0.01)
    assert parts.last_loss == pytest.approx(whole.last_loss, rel=0.02)


def test_preferences_are_learned_from_what_the_model_said_itself(
    tmp_path: Path, tiny_model: Path
) -> None:
    recipe = dataclasses.replace(RECIPE, max_steps=4, dpo_learning_rate=5e-3)
    data = some_data(valid=some_examples(8), pairs=some_pairs(), valid_pairs=some_pairs(8))
    run = train(tmp_path / "a", tiny_model, plan(recipe, "sft", "dpo"), data)
    assert set(run.stages) == {"sft", "dpo"} and run.steps == 8
    dpo = run.stages["dpo"]
    assert dpo["before"]["accuracy"] == pytest.approx(0.5, abs=0.1)  # 16 bits make some noise
    assert abs(dpo["before"]["margin"]) < 0.02
    assert dpo["before"]["held_out"] == pytest.approx(math.log(2), rel=0.01)
    assert dpo["best"]["accuracy"] > 0.9 and dpo["best"]["margin"] > 0.1
    assert [row["stage"] for row in curve(run.folder)] == ["sft"] * 4 + ["dpo"] * 4


def test_odds_ratios_learn_replies_and_preferences_at_once(
    tmp_path: Path, tiny_model: Path
) -> None:
    recipe = dataclasses.replace(RECIPE, orpo_learning_rate=5e-3, orpo_lambda=0.5)
    data = some_data(valid=some_examples(8), pairs=some_pairs())
    run = train(tmp_path / "a", tiny_model, plan(recipe, "orpo"), data)
    assert run.last_loss < run.first_loss - 1
    assert run.stages["orpo"]["best"]["held_out"] < run.stages["orpo"]["before"]["held_out"] - 1


def test_a_preference_step_that_was_stopped_goes_on_with_the_same_pairs(
    tmp_path: Path, tiny_model: Path
) -> None:
    recipe = dataclasses.replace(RECIPE, max_steps=4)
    data, stages = some_data(pairs=some_pairs(8)), plan(recipe, "sft", "dpo")
    whole = train(tmp_path / "whole", tiny_model, stages, data)
    folder = tmp_path / "stopped"
    assert trainer.train(folder, stages, tiny_model, data, StopAtStep(folder, 6), 1) is None
    assert runs.stage_facts(folder, "sft") and (folder / "dpo" / "replies").exists()
    resumed = train(folder, tiny_model, stages, data)
    for name, values in weights(whole).items():
        np.testing.assert_allclose(weights(resumed)[name], values, atol=1e-5)


def test_it_ends_early_and_keeps_the_best_weights(tmp_path: Path, tiny_model: Path) -> None:
    other = [Tokens([*example.ids[:-3], 700, 701, 2], 3) for example in some_examples(8)]
    recipe = dataclasses.replace(RECIPE, max_steps=60, learning_rate=2e-2)
    run = train(tmp_path / "a", tiny_model, plan(recipe), some_data(valid=other))
    held = [row["held_out"] for row in curve(run.folder, "held_out")]
    assert run.steps < 60
    assert held[-3] < held[-2] < held[-1]
    assert run.stages["sft"]["best"]["held_out"] == min(held)


def test_a_loss_that_is_no_number_ends_it_and_keeps_the_last_good_state(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "a"
    recipe = dataclasses.replace(RECIPE, max_steps=14)
    monkeypatch.setattr(Objective, "loss", _broken(Objective.loss, folder, step=12))
    with pytest.raises(UserError, match=r"no number any more at step 13\. .*--resume"):
        trainer.train(folder, plan(recipe), tiny_model, some_data(), Event(), 1)
    assert runs.checkpoint(folder / "sft") == folder / "sft" / "checkpoints" / "checkpoint-10"
    monkeypatch.undo()
    assert train(folder, tiny_model, plan(recipe)).steps == 14


def _broken(loss: Any, folder: Path, step: int) -> Any:
    def compute(self: Any, model: Any, batch: Any, totals: Any) -> Any:
        return loss(self, model, batch, totals) * (math.nan if len(curve(folder)) >= step else 1)

    return compute


def test_memory_that_does_not_suffice_halves_the_batch_and_trains_the_same(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(tmp_path / "whole", tiny_model)
    real = Objective.loss

    def compute(self: Any, model: Any, batch: Any, totals: Any) -> Any:
        if batch["chosen"] > 2:
            raise torch.OutOfMemoryError
        return real(self, model, batch, totals)

    monkeypatch.setattr(Objective, "loss", compute)
    halved = train(tmp_path / "halved", tiny_model)
    assert (halved.plan.recipe.batch_size, halved.plan.recipe.accumulation) == (2, 2)
    assert halved.last_loss == pytest.approx(whole.last_loss, rel=0.02)

    monkeypatch.setattr(Objective, "loss", _raise)
    with pytest.raises(UserError, match="single example"):
        train(tmp_path / "never", tiny_model)


def _raise(*_: Any) -> Any:
    raise torch.OutOfMemoryError


def rows_of(stage: str, folder: Path, base: Path, pairs: list[Pair]) -> list[Any]:
    """What a stage would learn from."""
    place, data = loading.choose(base), some_data(pairs=pairs)
    training = trainer._Training(folder, plan(RECIPE, stage), base, place, data, Event())
    found: list[Any] = training._rows(stage)[0]
    return found


def echoes(count: int) -> list[Tokens]:
    """Replies that nobody ever gave in the examples."""
    return [Tokens([*example.ids[:-3], 700, 701, 2], 3) for example in some_examples(count)]


def test_what_people_rejected_is_worse_than_what_the_model_says(
    tmp_path: Path, tiny_model: Path
) -> None:
    bad = echoes(4)
    rows = rows_of("dpo", tmp_path, tiny_model, [Pair(None, one, 0.5, False) for one in bad])
    assert [row.rejected for row in rows] == bad
    for row, one in zip(rows, bad, strict=True):
        prompt = one.ids[:-3]
        assert row.chosen.ids[: len(prompt)] == prompt
        assert row.chosen.ids != one.ids and row.weight == 0.5
        assert len(row.chosen.ids) - row.chosen.reply_length == len(prompt)


def test_orpo_imitates_no_reply_that_a_bot_wrote(tmp_path: Path, tiny_model: Path) -> None:
    ours, theirs = echoes(4)[:2], echoes(4)[2:]
    pairs = [Pair(one, None, 1.0, is_members=one in theirs) for one in (*ours, *theirs)]
    learned = [row.chosen for row in rows_of("orpo", tmp_path, tiny_model, pairs)]
    assert [one in learned for one in (*ours, *theirs)] == [False, False, True, True]
