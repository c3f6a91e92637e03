"""One stage of a training: transformers' trainer, with our batches, losses and promises.

Its checkpoints prove that they are complete; it keeps the weights that did best on held-out rows,
and ends when these only get worse, when the loss is no number any more, or when it is asked to.
"""

import collections
import dataclasses
import itertools
import json
import math
import os
import shutil
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import accelerate
import psutil
import torch
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from bot import logs
from bot.config import UserError
from model import batches, objectives, runs
from model.batches import Row
from model.loading import Place
from model.objectives import Objective
from model.recipe import DPO, Recipe

SAVE_SECONDS = 600.0  # at most so much is lost to a power cut
TIE = 0.02  # of a reward; as much comes from rounding to 16 bits alone
RECENT = 10  # steps that the shown loss and speed are means of


class Stopped(Exception):
    """The training was asked to stop; what it has done is saved."""


@dataclasses.dataclass
class Loop:
    """A stage: `rows` in the given `order`, `step_size` a step, watched by `held_out` ones."""

    folder: Path
    stage: str
    recipe: Recipe
    place: Place
    model: Any
    rows: Sequence[Row]
    held_out: Sequence[Row]
    order: Sequence[int]
    step_size: int
    objective: Objective
    stop: threading.Event

    def run(self) -> dict[str, Any]:
        """Train, from the newest checkpoint if there is one; what the stage came to.

        Raises `Stopped`, and `UserError` when the loss is no number any more.
        """
        stage = self.folder / self.stage
        checkpoint = runs.checkpoint(stage)
        steps = len(self.order) // self.step_size
        watch = _Watch(self, steps, len(self.rows) // self.step_size, checkpoint)
        trainer = _Trainer(
            model=self.model,
            args=_arguments(stage / "checkpoints", self.recipe, self.place, steps),
            train_dataset=list(self.rows),
            data_collator=batches.collate,
            callbacks=[watch],
        )
        trainer.remove_callback(PrinterCallback)
        trainer.loop, trainer.watch, watch.trainer = self, watch, trainer
        if self.stop.is_set():
            raise Stopped
        if self.held_out and not checkpoint:
            trainer.evaluate()  # what there is to improve on
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        if trainer.state.global_step < steps and not watch.is_worse:
            raise Stopped
        if not self.held_out:
            save_adapter(trainer.model, stage / "best")
        return watch.facts()


class _Trainer(Trainer):  # type: ignore[misc]
    """transformers' trainer with our order of rows, and checkpoints that prove to be complete."""

    loop: Loop
    watch: "_Watch"
    tokens = 0  # read so far, without padding

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.loop.order

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """What a whole step holds, by which its parts are weighed."""
        totals = torch.stack([objectives.counts(batch) for batch in batch_samples]).sum(0)
        totals = totals.to(device)
        if self.args.world_size > 1:
            totals = self.accelerator.gather(totals).reshape(-1, len(totals)).sum(0)
        return totals

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        self.tokens += int(inputs["attention_mask"].sum())
        loss = self.loop.objective.loss(model, inputs, num_items_in_batch)
        return loss * self.args.world_size  # gradients are averaged over processes

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """The held-out rows' loss; after DPO also how many pairs it got right, and how clearly."""
        loop = self.loop
        rows = sorted(loop.held_out, key=lambda row: row.length)
        size = loop.recipe.batch_size
        parts = [batches.collate(rows[i : i + size]) for i in range(0, len(rows), size)]
        totals = torch.stack([objectives.counts(part) for part in parts]).sum(0)
        loss, rewards = 0.0, []
        self.model.eval()
        with torch.no_grad(), self.compute_loss_context_manager():
            for part in map(self._prepare_inputs, parts):
                if loop.stage == DPO:
                    rewards.append(objectives.rewards(self.model, part, loop.objective.strength))
                    loss += float(objectives.doubt(rewards[-1], part, totals))
                else:
                    loss += float(loop.objective.loss(self.model, part, totals))
        self.model.train()
        found = {"held_out": loss}
        if rewards:
            margins = torch.cat(rewards)
            is_tie = margins.abs() < TIE
            right = torch.where(is_tie, 0.5, (margins > 0).float())
            found |= {"accuracy": float(right.mean()), "margin": float(margins.mean())}
        # all processes decide by what the first one found
        agreed: dict[str, float] = accelerate.utils.broadcast_object_list([found])[0]
        self.watch.keep({"step": self.state.global_step, **agreed})
        self.control.should_evaluate = False  # done, as its own `evaluate` would say
        self.control.should_training_stop |= self.watch.is_worse
        return agreed

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        if self.is_world_process_zero():
            for path in folder.iterdir():
                with path.open("rb+") as file:
                    os.fsync(file.fileno())
            (folder / "partial").touch()
            os.replace(folder / "partial", folder / runs.COMPLETE)


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Reports progress, keeps the loss curve and the best weights, and decides when to end."""

    trainer: _Trainer

    def __init__(self, loop: Loop, steps: int, epoch_steps: int, checkpoint: Path | None) -> None:
        self._loop, self._steps, self._stop = loop, steps, loop.stop
        self._best = loop.folder / loop.stage / "best"
        done = int(checkpoint.name.partition("-")[2]) if checkpoint else 0
        self._curve = loop.folder / "loss.jsonl"
        rows = _cut_curve(self._curve, loop.stage, done)
        self._losses = [row["loss"] for row in rows if "loss" in row]
        self._held = [row for row in rows if "held_out" in row]
        self._every = max(1, min(epoch_steps, max(10, -(-steps // 8))))
        self._recent: collections.deque[tuple[float, int]] = collections.deque(maxlen=RECENT + 1)
        self._saved_at = time.monotonic()
        logs.report(logs.Progress("train", done, steps, None, f"{loop.stage} starting"))

    @property
    def is_worse(self) -> bool:
        """Whether the held-out loss rose as often in a row as the recipe has patience for."""
        patience = self._loop.recipe.patience
        last = [row["held_out"] for row in self._held[-patience - 1 :]]
        rises = [later > earlier for earlier, later in itertools.pairwise(last)]
        return 0 < patience == len(rises) and all(rises)

    def facts(self) -> dict[str, Any]:
        """What the stage came to; the losses are means over its first and last tenth."""
        tenth = max(1, len(self._losses) // 10)
        best = min(self._held, key=lambda row: row["held_out"], default={})
        return {
            "steps": len(self._losses),
            "first_loss": sum(self._losses[:tenth]) / tenth,
            "last_loss": sum(self._losses[-tenth:]) / tenth,
            "before": self._held[0] if self._held else {},
            "best": best,
        }

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._recent.append((time.monotonic(), self.trainer.tokens))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        is_last = step == state.max_steps
        if self._loop.held_out:
            control.should_evaluate = is_last or step % self._every == 0
        is_due = time.monotonic() - self._saved_at > SAVE_SECONDS
        must_stop, is_due = self._any([self._stop.is_set(), is_due])
        if must_stop and not is_last:
            control.should_save = control.should_training_stop = True
        if control.should_save or is_due:
            control.should_save = not is_last
            self._saved_at = time.monotonic()

    def _any(self, claims: list[bool]) -> list[bool]:
        """Which of these holds in any of the processes: what one does, all must do."""
        ours = torch.tensor([claims], dtype=torch.float32, device=self.trainer.args.device)
        theirs: list[bool] = self.trainer.accelerator.gather(ours).any(0).tolist()
        return theirs

    def keep(self, held: dict[str, Any]) -> None:
        """Note what held-out rows say, and keep the weights if they never said better."""
        lowest = min((row["held_out"] for row in self._held), default=math.inf)
        self._held.append(held)
        self._write(held)
        if held["held_out"] < lowest:
            save_adapter(self.trainer.model, self._best)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in logs:
            return
        loss, gradient = float(logs["loss"]), float(logs.get("grad_norm", 0.0))
        if not math.isfinite(loss) or not (args.fp16 or math.isfinite(gradient)):
            raise UserError(
                f"The loss is no number any more at step {state.global_step}. The last good "
                "checkpoint is kept, and --resume goes on from it; if this comes again, train anew "
                "with a smaller --learning-rate."
            )
        self._losses.append(loss)
        self._recent.append((time.monotonic(), self.trainer.tokens))
        speed = self._tell(state.global_step)
        row = {"step": state.global_step, "loss": loss, "learning_rate": logs["learning_rate"]}
        self._write({**row, "tokens_per_s": round(speed)})

    def _tell(self, step: int) -> float:
        """Report how far we are; the tokens a second."""
        (began, first), (now, last) = self._recent[0], self._recent[-1]
        seconds = max(now - began, 1e-9)
        left = seconds / max(1, len(self._recent) - 1) * (self._steps - step)
        loss = sum(self._losses[-RECENT:]) / len(self._losses[-RECENT:])
        note = f"{self._loop.stage} loss {loss:.2f}, {(last - first) / seconds:,.0f} tokens/s"
        note += f", {_memory() / 1e9:.1f} GB"
        logs.report(logs.Progress("train", step, self._steps, round(left, 1), note))
        return (last - first) / seconds

    def _write(self, row: dict[str, Any]) -> None:
        if self.trainer.is_world_process_zero():
            with self._curve.open("a", encoding="utf-8") as file:
                row = {"stage": self._loop.stage, **row, "at": round(time.time(), 1)}
                file.write(json.dumps(row) + "\n")


def save_adapter(model: Any, folder: Path) -> None:
    """Write the adapter's weights; the folder is either the old one or the whole new one."""
    if int(os.environ.get("RANK", "0")):
        return
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(str(partial), save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    os.replace(partial, folder)


def _cut_curve(path: Path, stage: str, done: int) -> list[dict[str, Any]]:
    """Drop what the curve says of a stage after step `done`, where it goes on; what is left."""
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    rows = [json.loads(line) for line in lines]
    kept = [row for row in rows if row["stage"] != stage or (done and row["step"] <= done)]
    if accelerate.PartialState().is_main_process:
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{json.dumps(row)}\n" for row in kept), "utf-8")
        os.replace(partial, path)
    return [row for row in kept if row["stage"] == stage]


def _memory() -> float:
    """Bytes in use: the GPU's peak where there is one, else this process's."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated())
    return float(psutil.Process().memory_info().rss)


def _arguments(folder: Path, recipe: Recipe, place: Place, steps: int) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(recipe.warmup * steps)),
        max_grad_norm=recipe.clip,
        weight_decay=0.0,
        seed=recipe.seed,
        optim="paged_adamw_8bit" if place.precision == "nf4" else "adamw_torch",
        use_cpu=place.device == "cpu",
        bf16=place.mixed is torch.bfloat16,
        fp16=place.mixed is torch.float16,
        gradient_checkpointing=place.backend in ("cuda", "mps"),  # Unsloth has its own
        gradient_checkpointing_kwargs={"use_reentrant": False},
        save_steps=min(200, max(10, steps // 10)),
        save_total_limit=2,
        logging_steps=1,
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        disable_tqdm=True,
        report_to=[],
        dataloader_pin_memory=place.device == "cuda",
        ddp_find_unused_parameters=False,
    )
