"""The missing side of each preference: what the model itself says there. It is the worse one where
people liked what was said, and the better one where they rejected it.

Sentences that nobody would write teach nothing but to be no such sentence; the model's own replies
show how it still differs from people. They are drawn as the bot draws them, in batches.
"""

import importlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import accelerate
import torch
from transformers import LogitsProcessorList
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from bot import logs
from model import batches, objectives, runs
from model.batches import Row
from model.examples import Pair, Tokens
from model.inference import Sampling
from model.loading import Place
from model.loop import Stopped
from model.recipe import Recipe

BATCH = 16
_NO_PROCESSORS = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, "repetition_penalty": 1.0}
LONGEST_REPLY = 150  # tokens

Split = tuple[Sequence[Pair], Sequence[Pair]]


def complete(
    path: Path,
    model: Any,
    pairs: Split,
    place: Place,
    recipe: Recipe,
    stop: Any,
) -> tuple[list[Row], list[Row]]:
    """Pairs to learn from and pairs held out, whole, with what the model thinks of both sides.

    What the model said is kept in `path`, so that a resumed training has the very same pairs; it
    holds no text of anybody's. Pairs in which both sides are the same are left out. Raises
    `Stopped` when asked to stop.
    """
    ends = (len(pairs[0]), len(pairs[0]) + len(pairs[1]))
    every = [*pairs[0], *pairs[1]]
    if not path.exists():
        said = _say(model, every, place, recipe, stop)
        processes = accelerate.PartialState()
        if processes.is_main_process:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            runs.write_json(path, said)
        processes.wait_for_everyone()  # all take the first one's: others may draw differently
    said = json.loads(path.read_text("utf-8"))
    rows = [_row(pair, *kept) for pair, kept in zip(every, said, strict=True)]
    learned, held = rows[: ends[0]], rows[ends[0] : ends[1]]
    return [row for row in learned if row], [row for row in held if row]


def _say(
    model: Any, pairs: Sequence[Pair], place: Place, recipe: Recipe, stop: Any
) -> list[tuple[list[int], float]]:
    """For each pair, the tokens of its other side and ln p(chosen) - ln p(rejected)."""
    replies = [_reply(p.rejected) if p.chosen and p.rejected else [] for p in pairs]
    silent = [number for number, p in enumerate(pairs) if not (p.chosen and p.rejected)]
    prompts = [_prompt(pairs[number].known) for number in silent]
    ends = {pairs[number].known.ids[-1] for number in silent}
    for number, reply in zip(
        silent, generate(model, prompts, ends, place, recipe.seed, stop), strict=True
    ):
        replies[number] = reply
    rows = [_row(pair, reply, 0.0) for pair, reply in zip(pairs, replies, strict=True)]
    with place.autocast():
        margins = iter(_margins(model, [row for row in rows if row], recipe, stop))
    return [
        (reply, next(margins) if row else 0.0) for reply, row in zip(replies, rows, strict=True)
    ]


def generate(
    model: Any,
    prompts: Sequence[list[int]],
    ends: Iterable[int],
    place: Place,
    seed: int,
    stop: Any,
) -> list[list[int]]:
    """A reply to each prompt, with the token that ends it; drawn as the bot draws its own.

    Raises `Stopped` when asked to stop.
    """
    if not prompts:
        return []
    torch.manual_seed(seed)
    _switch(model, place, is_training=False)
    sampling, ends = Sampling(), sorted(ends)
    longest_first = sorted(range(len(prompts)), key=lambda number: -len(prompts[number]))
    groups = [longest_first[i : i + BATCH] for i in range(0, len(prompts), BATCH)]
    replies: dict[int, list[int]] = {}
    for group in logs.track("replies", groups, len(groups)):
        if stop.is_set():
            raise Stopped
        longest = len(prompts[group[0]])
        padding = [longest - len(prompts[number]) for number in group]
        ids = [
            [ends[0]] * pad + prompts[number] for pad, number in zip(padding, group, strict=True)
        ]
        mask = [[0] * pad + [1] * (longest - pad) for pad in padding]
        with torch.no_grad(), place.autocast():
            found = model.generate(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
                do_sample=True,
                **_NO_PROCESSORS,
                logits_processor=_processors(sampling, longest),
                max_new_tokens=LONGEST_REPLY,
                eos_token_id=ends,
                pad_token_id=ends[0],
            )
        for number, row in zip(group, found[:, longest:].tolist(), strict=True):
            replies[number] = _until(row, ends)
    _switch(model, place, is_training=True)
    return [replies[number] for number in range(len(prompts))]


def _processors(sampling: Sampling, prompt_length: int) -> LogitsProcessorList:
    """What the bot does to logits before it draws, in llama.cpp's order.

    transformers has its own: it would be bolder, and penalise whatever stands in the prompt.
    """
    return LogitsProcessorList(
        [
            RepetitionPenaltyLogitsProcessor(
                sampling.repeat_penalty, prompt_ignore_length=prompt_length
            ),
            TopKLogitsWarper(sampling.top_k),
            TopPLogitsWarper(sampling.top_p),
            MinPLogitsWarper(sampling.min_p),
            TemperatureLogitsWarper(sampling.temperature),
        ]
    )


def _margins(model: Any, rows: Sequence[Row], recipe: Recipe, stop: Any) -> list[float]:
    """ln p(chosen) - ln p(rejected) of each row, as the model is now."""
    found: list[float] = []
    model.eval()
    groups = [rows[i : i + recipe.batch_size] for i in range(0, len(rows), recipe.batch_size)]
    for group in logs.track("reference", groups, len(groups)):
        if stop.is_set():
            raise Stopped
        with torch.no_grad():
            found += objectives.rewards(model, batches.collate(group), beta=1.0).tolist()
    model.train()
    return found


def _row(pair: Pair, reply: list[int], reference: float) -> Row | None:
    """The whole pair; None where there is no difference to learn, or no reply at all."""
    if len(reply) < 2 or reply == _reply(pair.known):
        return None
    other = Tokens(_prompt(pair.known) + reply, len(reply))
    chosen, rejected = (pair.known, other) if pair.chosen else (other, pair.known)
    return Row(chosen, rejected, pair.weight, reference)


def _prompt(tokens: Tokens) -> list[int]:
    return tokens.ids[: len(tokens.ids) - tokens.reply_length]


def _reply(tokens: Tokens) -> list[int]:
    return tokens.ids[len(tokens.ids) - tokens.reply_length :]


def _until(ids: list[int], ends: Sequence[int]) -> list[int]:
    """The tokens up to the first that ends a reply, which is among them."""
    for place, token in enumerate(ids):
        if token in ends:
            return ids[: place + 1]
    return ids


def _switch(model: Any, place: Place, is_training: bool) -> None:
    """Make a model ready to learn, or to speak: Unsloth has kernels of its own for each."""
    model.train(is_training)
    if place.backend == "unsloth":
        fast = importlib.import_module("unsloth").FastLanguageModel
        (fast.for_training if is_training else fast.for_inference)(model)
