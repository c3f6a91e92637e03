"""Trainings whose adapter is random and large, and what a GGUF says of a sequence."""

from pathlib import Path
from typing import Any

import llama_cpp
import numpy as np
import numpy.typing as npt

from model import catalog, resident, runs
from model.recipe import Recipe
from model.runs import Plan, Run

Array = npt.NDArray[Any]

LEARNED = ("lora_B", "lora_embedding_A")  # zero before a training


def a_run(
    models_dir: Path,
    base: Path,
    weights: Path | None = None,
    std: float = 0.02,
    name: str = "amber",
    dice: int = 1,
    **recipe: Any,
) -> tuple[Run, Any]:
    """A complete training of `base`, and the model in torch with its adapter merged."""
    import torch

    from model import loading

    folder = runs.root(models_dir) / name
    settings = Recipe(rank=4, **recipe)
    plan = Plan("tiny", str(base), str(weights or ""), catalog.sha256(base), "abc", settings, 1.0)
    runs.write_plan(folder, plan)
    model = loading.load(weights or base, settings, loading.Place("cpu", "full", ""))
    torch.manual_seed(dice)
    for tensor, values in model.named_parameters():
        if any(part in tensor for part in LEARNED):
            torch.nn.init.normal_(values, std=std)
    model.save_pretrained(str(folder / "adapter"), save_embedding_layers=False)
    facts = {"steps": 3, "first_loss": 2.0, "last_loss": 1.0, "seconds": 1.0}
    runs.finish_stage(folder, "sft", facts)
    return runs.finish(folder, plan), model.merge_and_unload()


def greedy(model: Any, prompt: list[int], count: int) -> tuple[list[int], Array]:
    """The prompt with the likeliest tokens after it, and the logits of each of those."""
    import torch

    ids, rows = list(prompt), []
    for _ in range(count):
        with torch.no_grad():
            rows.append(model(torch.tensor([ids])).logits[0, -1].numpy())
        ids.append(int(rows[-1].argmax()))
    return ids, np.stack(rows)


def logits(path: Path, ids: list[int], count: int) -> Array:
    """The logits of the last `count` of `ids`, from a model or an adapter as the bot loads it."""
    model = resident.load(path, 128, threads=1)
    rows, read = [], 0
    for known in range(len(ids) - count, len(ids)):
        model.eval(ids[read:known])
        row = np.ctypeslib.as_array(llama_cpp.llama_get_logits(model.ctx), (model.n_vocab(),))
        rows.append(row.copy())
        read = known
    model.close()
    return np.stack(rows)


def kl(true: Array, other: Array) -> float:
    """Mean nats a token by which the logits `other` miss `true`."""
    p, q = (_log_softmax(rows.astype(np.float64)) for rows in (true, other))
    return float((np.exp(p) * (p - q)).sum(-1).mean())


def agree(true: Array, other: Array, slack: float = 0.05) -> bool:
    """Whether the likeliest tokens are the same, wherever rounding cannot decide which they are."""
    second, first = np.sort(true)[:, -2:].T
    same = true.argmax(-1) == other.argmax(-1)
    return bool((same | (first - second < slack)).all())


def _log_softmax(rows: Array) -> Array:
    rows = rows - rows.max(-1, keepdims=True)
    logs: Array = rows - np.log(np.exp(rows).sum(-1, keepdims=True))
    return logs
