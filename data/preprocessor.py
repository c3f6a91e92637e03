"""From stored messages to training examples, and the files that hold them.

Nothing is normalised: typos, caps, repeats and one-letter replies are the personality. Left out are
only bots, webhooks, notices, excluded people, and messages that are nothing but links.

Held out is the newest tenth of each channel's conversations, never trained on. Active members weigh
more because they wrote more, but nobody more than `AUTHOR_SHARE` of the examples: the surplus of
the most active is thinned evenly over time.
"""

import collections
import dataclasses
import hashlib
import json
import math
import os
import random
import re
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import UserError
from data import conversations, privacy
from model import prompts
from storage import messages
from storage.database import excluded_users
from storage.messages import Message

WINDOW = (5, 10)  # messages in a window, the reply included
PAIR_SHARE = 0.2  # of the examples see one message only
HELD_OUT = 0.1
AUTHOR_SHARE = 0.15
SMALLEST = 50  # examples: below this there is nothing to learn from

_LINK = re.compile(r"<?https?://\S+>?")


@dataclasses.dataclass(frozen=True)
class Example:
    """A reply and what it answers: `turns` is the context, oldest first."""

    turns: tuple[prompts.Turn, ...]
    reply: str
    channel_id: int
    message_id: int
    author_id: int
    context_ids: tuple[int, ...]
    reactions: int


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `prepare` wrote."""

    train: int
    valid: int
    preferences: int
    left_out: dict[str, int]


def prepare(connection: sqlite3.Connection, folder: Path, seed: int = 0) -> Summary:
    """Write train, valid and preferences files and the manifest into `folder`.

    Raises `UserError` when the history is too small to learn from.
    """
    left_out: collections.Counter[str] = collections.Counter()
    excluded = excluded_users(connection)
    names = messages.names(connection)
    kept = _trainable(messages.history(connection), excluded, left_out)
    talks = list(conversations.split(kept))
    learned, held_out = _split_by_time(talks)
    train = _cap_authors(list(_examples(learned, names, random.Random(seed))))
    valid = list(_examples(held_out, names, random.Random(seed + 1)))
    if len(train) < SMALLEST or not valid:
        raise UserError(
            f"Only {len(train)} examples to learn from; at least {SMALLEST} are needed. "
            "Fetch more history first: python scripts/1_fetch_all_history.py"
        )
    preferred = [example for example in train if example.reactions]
    _write(folder / "train.jsonl", map(_row, train))
    _write(folder / "valid.jsonl", map(_row, valid))
    _write(folder / "preferences.jsonl", map(_preference, preferred))
    summary = Summary(len(train), len(valid), len(preferred), dict(left_out))
    _write_manifest(folder, summary, train, valid, seed)
    return summary


def reason_to_leave_out(message: Message, excluded: frozenset[int]) -> str | None:
    """Why a message is not learned from, None for one that is."""
    if message.author_kind != "member":
        return message.author_kind
    if message.author_id in excluded:
        return "excluded person"
    if not privacy.is_allowed(message, excluded):
        return "notice"
    if not message.content.strip():
        return "no text"
    if not _LINK.sub("", message.content).strip():
        return "only links"
    return None


def _trainable(
    history: Iterable[Message], excluded: frozenset[int], left_out: collections.Counter[str]
) -> Iterator[Message]:
    for message in history:
        reason = reason_to_leave_out(message, excluded)
        if reason is None:
            yield message
        else:
            left_out[reason] += 1


def _split_by_time(
    talks: Sequence[list[Message]],
) -> tuple[list[list[Message]], list[list[Message]]]:
    """Hold out each channel's newest conversations, up to `HELD_OUT` of its messages.

    A newest conversation that is longer than that is cut in two, its end held out.
    """
    by_channel: dict[int, list[list[Message]]] = {}
    for talk in talks:
        by_channel.setdefault(talk[0].channel_id, []).append(talk)
    learned: list[list[Message]] = []
    held_out: list[list[Message]] = []
    for own in by_channel.values():
        room = int(HELD_OUT * sum(map(len, own)))
        if 0 < room < len(own[-1]):
            own[-1:] = [own[-1][:-room], own[-1][-room:]]
        for talk in reversed(own):
            room -= len(talk)
            (held_out if room >= 0 else learned).append(talk)
    return learned, held_out


def _examples(
    talks: Iterable[Sequence[Message]], names: Mapping[int, str], dice: random.Random
) -> Iterator[Example]:
    """One example for each message that answers somebody else's."""
    for talk in talks:
        for position in range(1, len(talk)):
            reply, before = talk[position], talk[position - 1]
            if reply.author_id == before.author_id:
                continue
            size = 1 if dice.random() < PAIR_SHARE else dice.randint(*WINDOW) - 1
            context = conversations.context(talk, position, size)
            yield Example(
                turns=tuple(prompts.turn(m, names, persona_id=reply.author_id) for m in context),
                reply=prompts.readable(reply.content, names),
                channel_id=reply.channel_id,
                message_id=reply.id,
                author_id=reply.author_id,
                context_ids=tuple(message.id for message in context),
                reactions=sum(reply.reactions.values()),
            )


def _cap_authors(examples: list[Example]) -> list[Example]:
    """Thin out whoever wrote more than `AUTHOR_SHARE` of the examples, evenly over time."""
    cap = max(SMALLEST, math.ceil(AUTHOR_SHARE * len(examples)))
    totals = collections.Counter(example.author_id for example in examples)
    seen: collections.Counter[int] = collections.Counter()
    kept = []
    for example in examples:
        number, total = seen[example.author_id], totals[example.author_id]
        seen[example.author_id] += 1
        if total <= cap or number * cap // total != (number + 1) * cap // total:
            kept.append(example)
    return kept


def _row(example: Example) -> dict[str, Any]:
    row = dataclasses.asdict(example)
    del row["reactions"]
    return row


def _preference(example: Example) -> dict[str, Any]:
    """A reply that others reacted to; script 3 fills in the rejected side with the model's own."""
    row = _row(example)
    chosen = row.pop("reply")
    return {**row, "chosen": chosen, "rejected": None, "weight": math.log1p(example.reactions)}


def _write_manifest(
    folder: Path, summary: Summary, train: list[Example], valid: list[Example], seed: int
) -> None:
    used = sorted({i for e in (*train, *valid) for i in (e.message_id, *e.context_ids)})
    hashes = [hashlib.sha256(str(i).encode()).hexdigest()[:16] for i in used]
    manifest = {
        **dataclasses.asdict(summary),
        "data_hash": hashlib.sha256("\n".join(hashes).encode()).hexdigest(),
        "made_at": time.time(),
        "settings": {
            "seed": seed,
            "window": WINDOW,
            "pair_share": PAIR_SHARE,
            "held_out": HELD_OUT,
            "author_share": AUTHOR_SHARE,
            "silence_seconds": conversations.SILENCE_SECONDS,
        },
        "message_hashes": hashes,
    }
    _write(folder / "manifest.json", [manifest])


def _write(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """JSON lines, readable by the owner only; put in place when complete."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = path.with_suffix(".partial")
    with os.fdopen(
        os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8"
    ) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    os.replace(partial, path)
