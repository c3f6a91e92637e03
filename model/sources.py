"""Who answers the held-out contexts: the bot, and those whom it is compared with.

What a model said is kept in a file of its own while it speaks, so that an interrupted evaluation
goes on where it was, and the same model need not say the same again.
"""

import dataclasses
import hashlib
import json
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from llama_cpp import Llama

from bot import logs
from bot.config import UserError
from model import catalog, drawing, generation, prompts, resident
from model.examples import Example
from model.inference import Sampling
from model.markov import Chain

CONTEXT = 2048  # tokens of a prompt, at most


def others(rows: Sequence[Example], pool: Sequence[Example], seed: int) -> list[str]:
    """To each context what a member said elsewhere, in the same channel where there is such.

    As like a member as it gets, and no answer: the human floor.
    """
    dice = random.Random(seed)
    channels: dict[int, list[str]] = {}
    for row in pool:
        channels.setdefault(row.channel_id, []).append(row.reply)
    everywhere = [row.reply for row in pool]
    for said in (*channels.values(), everywhere):
        dice.shuffle(said)
    found = []
    for row in rows:
        own = channels.get(row.channel_id) or everywhere
        found.append(own.pop() if own else "")
    return found


def markov(rows: Sequence[Example], known: Sequence[str], seed: int) -> list[str]:
    """To each context something that a Markov chain of the training replies makes up."""
    chain, dice = Chain(known), random.Random(seed)
    return [chain.reply(dice) for _ in rows]


def bot(
    path: Path,
    rows: Sequence[Example],
    sampling: Sampling,
    folder: Path,
    load: Callable[[Path, int], Llama] = resident.load,
    seed: int = 0,
    note: str = "",
) -> list[str]:
    """What a model says to each context, as the bot would; kept in `folder`, 0600."""
    kept = folder / f"{_key(path, rows, sampling, seed)}.jsonl"
    said = _read(kept)
    missing = [number for number in range(len(rows)) if number not in said]
    if missing:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        kept.touch(0o600)
        model = load(path, 512)
        try:
            encoder = resident.encoder(model)
            asked = [
                prompts.encode(prompts.build(rows[number].turns), encoder, CONTEXT)
                for number in missing
            ]
            seeds = [seed + number for number in missing]
            meter = logs.meter("replies", len(rows))
            with kept.open("a", encoding="utf-8") as file:
                for place, drawn in generation.replies(model, asked, sampling, seeds):
                    text = prompts.clean(drawing.until(drawn, encoder.template.stops))
                    said[missing[place]] = text
                    file.write(json.dumps({"number": missing[place], "text": text}) + "\n")
                    file.flush()
                    meter(len(said), note or path.name)
        finally:
            model.close()
    return [said[number] for number in range(len(rows))]


def _key(path: Path, rows: Sequence[Example], sampling: Sampling, seed: int) -> str:
    """What decides what a model says: its file, what it is asked, and how it draws."""
    asked = [[dataclasses.astuple(turn) for turn in row.turns] for row in rows]
    facts = [catalog.sha256(path), asked, dataclasses.astuple(sampling), seed]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def _read(kept: Path) -> dict[int, str]:
    """What is complete; a last line that was cut off is asked again."""
    said = {}
    try:
        lines = kept.read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UserError(f"Cannot read {kept}: {error}. Delete it and run this again.") from None
    for line in lines:
        try:
            row = json.loads(line)
            said[int(row["number"])] = str(row["text"])
        except (ValueError, KeyError, TypeError):
            continue
    if lines:
        _rewrite(kept, said)
    return said


def _rewrite(kept: Path, said: dict[int, str]) -> None:
    rows = (json.dumps({"number": number, "text": text}) for number, text in said.items())
    partial = kept.with_suffix(".partial")
    partial.touch(0o600)
    partial.write_text("".join(f"{row}\n" for row in rows), "utf-8")
    os.replace(partial, kept)
