"""LoRA fine-tuning: token ids in, an adapter out. The only module that loads torch.

The loss counts the reply and its stop token only. The order of all batches is decided before the
first step, so that a training that was interrupted continues with the very next batch.
"""

import contextlib
import importlib.util
import io
import json
import os
import random
import shutil
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import datasets
import tokenizers
import torch
import transformers
from peft import LoraConfig
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import SFTConfig, SFTTrainer
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from bot import logs
from bot.config import UserError
from model import provenance, runs
from model.examples import Tokens
from model.runs import Plan, Recipe, Run

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def train(
    folder: Path,
    plan: Plan,
    weights: Path | str,
    examples: Sequence[Tokens],
    stop: threading.Event,
    threads: int = 0,
    manifest: Path | None = None,
) -> Run | None:
    """Train, from the newest checkpoint in `folder` if there is one; None when `stop` was set.

    `weights` is a GGUF file, or whatever transformers can load; `manifest` is the prepared data's,
    kept to know later whom the model learned from. Raises `UserError` for weights
    that cannot be trained; nothing is written then.
    """
    _silence()
    if threads:
        torch.set_num_threads(threads)
    recipe, model = plan.recipe, load(weights)
    runs.write_plan(folder, plan)
    if manifest:
        provenance.keep(manifest, folder)
    order = batch_order([len(example.ids) for example in examples], recipe)
    checkpoint = runs.checkpoint(folder)
    steps = len(order) // (recipe.batch_size * recipe.accumulation)
    watch = _Watch(folder / "loss.jsonl", steps, stop, _step_of(checkpoint))
    trainer = _Trainer(
        model=model,
        args=_arguments(folder, recipe, steps),
        train_dataset=_dataset(examples),
        data_collator=DataCollatorForLanguageModeling(pad_token_id=0),
        processing_class=_no_tokenizer(),
        peft_config=_lora(recipe),
        callbacks=[watch],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer.order = order
    started = time.monotonic()
    if not stop.is_set():
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if trainer.state.global_step < steps:
        return None
    _save_adapter(trainer.model, folder / "adapter")
    return runs.finish(folder, steps, watch.losses, time.monotonic() - started)


def batch_order(lengths: Sequence[int], recipe: Recipe) -> list[int]:
    """Which example comes when, over the whole training: `batch_size` of like length at a time.

    The batches themselves come in random order; each epoch draws them anew. Raises `ValueError`
    for fewer examples than one step takes.
    """
    dice = random.Random(recipe.seed)
    size = recipe.batch_size * recipe.accumulation
    epoch_steps = len(lengths) // size
    if not epoch_steps:
        raise ValueError(f"{len(lengths)} examples do not fill one step of {size}")
    steps = recipe.max_steps or max(1, round(recipe.epochs * epoch_steps))
    order: list[int] = []
    while len(order) < steps * size:
        drawn = dice.sample(range(len(lengths)), epoch_steps * size)
        alike = sorted(drawn, key=lambda number: lengths[number] * dice.uniform(0.9, 1.1))
        batches = [alike[start : start + size] for start in range(0, len(alike), size)]
        dice.shuffle(batches)
        order += [number for batch in batches for number in batch]
    return order[: steps * size]


def load(weights: Path | str) -> Any:
    """The base model, in bfloat16 where a GPU has it, else in float32."""
    on_gpu = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    options: dict[str, Any] = {"dtype": torch.bfloat16 if on_gpu else torch.float32}
    if str(weights).endswith(".gguf"):
        options["gguf_file"], weights = Path(weights).name, Path(weights).parent
    try:
        with contextlib.redirect_stderr(io.StringIO()):  # a bar of its own that has no switch
            model = AutoModelForCausalLM.from_pretrained(str(weights), **options)
    except (OSError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        reason = str(error).strip().splitlines() or ["no reason given"]
        raise UserError(
            f"Cannot load the base weights {weights}: {reason[0]} "
            "Give a folder with a Hugging Face model (config.json, *.safetensors) to --base-weights"
            " and a GGUF file of the same model to --base-gguf."
        ) from None
    if "gguf_file" in options:
        model.is_quantized = False  # it was; these weights are plain floats now
    present = {name.rpartition(".")[2] for name, _ in model.named_modules()}
    if missing := [name for name in TARGETS if name not in present]:
        raise UserError(
            f"{weights} has no layers named {', '.join(missing)}, so it cannot be trained here. "
            "Choose a base of the Llama, Qwen or Gemma family."
        )
    return model


class _Trainer(SFTTrainer):  # type: ignore[misc]
    """trl's trainer with our order of examples, and checkpoints that prove they are complete."""

    order: Sequence[int] = ()

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return self.order

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        (folder / "partial").touch()
        os.replace(folder / "partial", folder / runs.COMPLETE)

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean nats a reply token, without making the logits of any other token.

        trl's own way to do so is a Triton kernel, which only a GPU on Linux can run.
        """
        if self.args.device.type == "cuda" and importlib.util.find_spec("triton"):
            return super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        labels = inputs.pop("labels")[:, 1:]
        outputs = model(**inputs, use_cache=False, logits_to_keep=1, output_hidden_states=True)
        is_learned = labels != -100
        hidden = outputs.hidden_states[-1][:, :-1][is_learned]
        with self.accelerator.autocast():
            logits = self.model.get_output_embeddings()(hidden)
        nats = torch.nn.functional.cross_entropy(
            logits.float(), labels[is_learned], reduction="sum"
        )
        return nats / (is_learned.sum() if num_items_in_batch is None else num_items_in_batch)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """Checkpoints need no README."""


class _Watch(TrainerCallback):  # type: ignore[misc]
    """Reports progress, keeps the loss curve, and ends the training when asked to."""

    def __init__(self, curve: Path, steps: int, stop: threading.Event, done: int) -> None:
        self.losses = _cut_curve(curve, done)
        self._curve, self._stop, self._first = curve, stop, done
        self._recent = deque(self.losses[-10:], maxlen=10)
        self._report: Callable[[int, str], None] = logs.meter("train", steps)
        logs.report(logs.Progress("train", done, steps, None, "starting"))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._stop.is_set() and state.global_step < state.max_steps:
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        self.losses.append(loss)
        self._recent.append(loss)
        row = {"step": state.global_step, "loss": loss, "learning_rate": logs["learning_rate"]}
        with self._curve.open("a", encoding="utf-8") as file:
            file.write(json.dumps({**row, "at": round(time.time(), 1)}) + "\n")
        self._report(state.global_step, f"loss {sum(self._recent) / len(self._recent):.2f}")


def _cut_curve(path: Path, steps: int) -> list[float]:
    """Drop what the curve says after step `steps`, where training goes on; the losses so far."""
    rows = path.read_text("utf-8").splitlines()[:steps] if path.exists() else []
    path.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    return [float(json.loads(row)["loss"]) for row in rows]


def _step_of(checkpoint: Path | None) -> int:
    return int(checkpoint.name.partition("-")[2]) if checkpoint else 0


def _arguments(folder: Path, recipe: Recipe, steps: int) -> SFTConfig:
    on_gpu = torch.cuda.is_available()
    return SFTConfig(
        output_dir=str(folder / "checkpoints"),
        max_steps=steps,
        per_device_train_batch_size=recipe.batch_size,
        gradient_accumulation_steps=recipe.accumulation,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type="cosine",
        warmup_steps=max(1, round(recipe.warmup * steps)),
        max_grad_norm=recipe.clip,
        weight_decay=0.0,
        seed=recipe.seed,
        use_cpu=not on_gpu,
        bf16=torch.cuda.is_bf16_supported() if on_gpu else _cpu_has_bf16(),
        gradient_checkpointing=on_gpu,  # trades time for memory, which a CPU has
        save_steps=min(200, max(10, steps // 10)),
        save_total_limit=2,
        logging_steps=1,
        disable_tqdm=True,
        report_to=[],
        dataset_kwargs={"skip_prepare_dataset": True},
        dataloader_pin_memory=on_gpu,
    )


def _cpu_has_bf16() -> bool:
    """Whether the processor multiplies bfloat16 by itself; it trains twice as fast then."""
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in names)


def _lora(recipe: Recipe) -> LoraConfig:
    return LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules=list(TARGETS),
        task_type="CAUSAL_LM",
    )


def _dataset(examples: Sequence[Tokens]) -> datasets.Dataset:
    labels = [
        [-100] * (len(example.ids) - example.reply_length) + example.ids[-example.reply_length :]
        for example in examples
    ]
    ids = [example.ids for example in examples]
    return datasets.Dataset.from_dict({"input_ids": ids, "labels": labels})


def _no_tokenizer() -> PreTrainedTokenizerFast:
    """trl insists on a tokenizer, but our tokens come from llama.cpp: this one is never used."""
    words = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<pad>": 0}, unk_token="<pad>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>")


def _save_adapter(model: Any, folder: Path) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(str(partial), save_embedding_layers=False)
    (partial / "README.md").unlink(missing_ok=True)
    os.replace(partial, folder)


def _silence() -> None:
    """Progress and errors are told by us; the libraries' own chatter helps nobody."""
    warnings.filterwarnings("ignore")
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    datasets.utils.logging.disable_progress_bar()
