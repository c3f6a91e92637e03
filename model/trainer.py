"""LoRA fine-tuning: token ids in, an adapter out, by one or two stages (see `model/objectives.py`).

The order of all batches is decided before the first step, so a training that was interrupted goes
on with the very next batch. Only this module and those it imports load torch.
"""

import dataclasses
import os
import random
import threading
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accelerate
import peft
import torch
import transformers

from bot.config import UserError
from model import batches, loading, on_policy, provenance, runs
from model.batches import Row
from model.examples import Pair, Tokens
from model.loading import Place
from model.loop import Loop, Stopped
from model.objectives import Objective
from model.recipe import DPO, ORPO, SFT, Recipe
from model.runs import Plan, Run

HELD_OUT = 128  # rows that show whether training still helps


@dataclasses.dataclass(frozen=True)
class Data:
    """What to learn from, and what to look at meanwhile, as tokens."""

    train: Sequence[Tokens]
    valid: Sequence[Tokens] = ()
    pairs: Sequence[Pair] = ()
    valid_pairs: Sequence[Pair] = ()


def train(
    folder: Path,
    plan: Plan,
    weights: Path | str,
    data: Data,
    stop: threading.Event,
    threads: int = 0,
    manifest: Path | None = None,
) -> Run | None:
    """Train, from where `folder` stopped if it did; None when `stop` was set.

    `weights` is a GGUF file, or whatever transformers can load; `manifest` is the prepared data's,
    kept to know later whom the model learned from. Raises `UserError` for weights that cannot be
    trained; nothing is written then.
    """
    _silence()
    if threads:
        torch.set_num_threads(threads)
    place = loading.choose(weights, plan.recipe.precision)
    print(f"Training {place.why}.", flush=True)
    processes = accelerate.PartialState(cpu=place.device == "cpu")
    # the name of a folder may be the time: they agree on the first one's
    folder, plan = accelerate.utils.broadcast_object_list([folder, plan])
    training = _Training(folder, plan, weights, place, data, stop)
    if processes.is_main_process:
        runs.write_plan(folder, plan)
        if manifest:
            provenance.keep(manifest, folder)
    try:
        for stage in plan.stages:
            training.run(stage)
    except Stopped:
        return None
    if processes.is_main_process:
        runs.finish(folder, plan)
    processes.wait_for_everyone()
    return runs.read(folder)


class _Training:
    """The stages of a training, one after the other, on one model."""

    def __init__(
        self,
        folder: Path,
        plan: Plan,
        weights: Path | str,
        place: Place,
        data: Data,
        stop: threading.Event,
    ) -> None:
        self._folder, self._plan, self._weights = folder, plan, weights
        self._place, self._data, self._stop = place, data, stop
        self._recipe = plan.recipe
        self._model = loading.load(weights, plan.recipe, place)
        self._learned: Path | None = None  # the adapter of the last complete stage

    def run(self, stage: str) -> None:
        """Do a stage, or take over what it came to. Raises `Stopped` when asked to stop."""
        if runs.stage_facts(self._folder, stage) is None:
            started = time.monotonic()
            rows, held_out = self._rows(stage)
            while (found := self._attempt(stage, rows, held_out)) is None:
                self._halve()
            facts = {**found, "seconds": round(time.monotonic() - started, 1)}
            processes = accelerate.PartialState()
            if processes.is_main_process:
                runs.finish_stage(self._folder, stage, facts)
            processes.wait_for_everyone()
        best = self._folder / stage / "best"
        if best.exists():
            self._learned = best
            load_adapter(self._model, best)

    def _attempt(
        self, stage: str, rows: Sequence[Row], held_out: Sequence[Row]
    ) -> dict[str, Any] | None:
        """What a stage came to; None where the memory did not suffice."""
        recipe, processes = of_stage(self._recipe, stage), int(os.environ.get("WORLD_SIZE", "1"))
        each = max(1, recipe.accumulation // processes)
        recipe, size = dataclasses.replace(recipe, accumulation=each), recipe.batch_size * each
        size *= processes
        order = batches.order(
            [row.length for row in rows], size, recipe.epochs, recipe.max_steps, recipe.seed
        )
        loop = Loop(
            folder=self._folder,
            stage=stage,
            recipe=recipe,
            place=self._place,
            model=self._model,
            rows=rows,
            held_out=held_out,
            order=order,
            step_size=size,
            objective=Objective(stage, _strength(recipe, stage)),
            stop=self._stop,
        )
        try:
            return loop.run()
        except (torch.OutOfMemoryError, MemoryError):
            return None
        except RuntimeError as error:
            if "can't allocate memory" not in str(error):  # what torch says of a CPU's
                raise
            return None

    def _halve(self) -> None:
        """Half as many rows at a time, twice as often: the same steps in less memory.

        The model is loaded anew, as it was when the stage began; its checkpoints go on from there.
        """
        size = self._recipe.batch_size
        if size == 1:
            raise UserError(
                "The memory does not suffice for a single example. Choose a smaller "
                "--max-seq-length or a smaller base; --plan says what a training needs."
            )
        size //= 2
        rest = self._recipe.batch_size * self._recipe.accumulation // size
        self._recipe = dataclasses.replace(self._recipe, batch_size=size, accumulation=rest)
        if accelerate.PartialState().is_main_process:
            runs.write_plan(self._folder, dataclasses.replace(self._plan, recipe=self._recipe))
        print(f"The memory does not suffice; going on with {size} examples at a time.", flush=True)
        del self._model
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        self._model = loading.load(self._weights, self._recipe, self._place)
        if self._learned:
            load_adapter(self._model, self._learned)

    def _rows(self, stage: str) -> tuple[list[Row], list[Row]]:
        """What a stage learns from, and the held-out rows it is watched by."""
        train = [Row(tokens) for tokens in self._data.train]
        valid = _sample([Row(tokens) for tokens in self._data.valid])
        if stage == SFT:
            return train, valid
        watched = _sample(self._data.valid_pairs) if stage == DPO else []
        # ORPO imitates the better side, too
        given = [pair for pair in self._data.pairs if stage == DPO or pair.is_members]
        pairs, valid_pairs = on_policy.complete(
            self._folder / stage / "replies",
            self._model,
            (given, watched),
            self._place,
            self._recipe,
            self._stop,
        )
        if stage == DPO:
            return pairs, valid_pairs
        preferred = {tuple(row.chosen.ids) for row in pairs}
        rest = [row for row in train if tuple(row.chosen.ids) not in preferred]
        if most := self._recipe.max_steps * self._recipe.batch_size * self._recipe.accumulation:
            room = min(len(rest), max(0, most - len(pairs)))  # rows without a pair can wait
            rest = random.Random(self._recipe.seed).sample(rest, room)
        return rest + pairs, valid


def of_stage(recipe: Recipe, stage: str) -> Recipe:
    """The recipe with the settings of a stage in the place of SFT's."""
    if stage == DPO:
        return dataclasses.replace(
            recipe, learning_rate=recipe.dpo_learning_rate, epochs=recipe.dpo_epochs
        )
    if stage == ORPO:
        return dataclasses.replace(recipe, learning_rate=recipe.orpo_learning_rate)
    return recipe


def load_adapter(model: Any, folder: Path) -> None:
    """Give a PEFT model the weights of a saved adapter."""
    peft.set_peft_model_state_dict(model, peft.load_peft_weights(str(folder), device="cpu"))


def _strength(recipe: Recipe, stage: str) -> float:
    return {DPO: recipe.dpo_beta, ORPO: recipe.orpo_lambda}.get(stage, 0.0)


def _sample(rows: Sequence[Any]) -> list[Any]:
    """At most `HELD_OUT` rows, always the same ones."""
    return list(rows) if len(rows) <= HELD_OUT else random.Random(0).sample(rows, HELD_OUT)


def _silence() -> None:
    """Progress and errors are told by us; the libraries' own chatter helps nobody."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
