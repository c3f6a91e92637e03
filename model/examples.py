"""The rows of what script 2 writes, as values and as tokens."""

import dataclasses
import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from bot.config import UserError
from model import catalog, prompts
from model.prompts import Turn

LIKED = "liked"  # the source of a pair whose better reply the bot wrote
PREPARE = "Run scripts/2_prepare_training_data.py"

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Example:
    """A reply and the turns it answers, oldest first; a burst is one text, a line each."""

    turns: tuple[Turn, ...]
    reply: str
    channel_id: int = 0
    message_ids: tuple[int, ...] = ()


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A whole example as the model reads it; the last `reply_length` ids are what it learns."""

    ids: list[int]
    reply_length: int


@dataclasses.dataclass(frozen=True)
class PairExample:
    """A reply that is better than another; None, of one of them: what the model itself would say.

    `weight`, in (0, 1], says how surely. `is_members` where a member wrote the better one: what a
    bot said is preferred at most, never imitated.
    """

    chosen: Example | None
    rejected: Example | None
    weight: float
    is_members: bool = True


@dataclasses.dataclass(frozen=True)
class Pair:
    """The same as tokens."""

    chosen: Tokens | None
    rejected: Tokens | None
    weight: float
    is_members: bool = True

    @property
    def known(self) -> Tokens:
        """The side that is there, the better one where both are."""
        side = self.chosen or self.rejected
        assert side
        return side


def read(path: Path) -> list[Example]:
    """Every row of a file. Raises `UserError` where the file is missing or damaged."""
    return _read(path, _example)


def read_pairs(path: Path) -> list[PairExample]:
    """Every preference of a file. Raises `UserError` where the file is missing or damaged."""
    return _read(path, _pair)


def development(held_out: Sequence[Example]) -> list[Example]:
    """The older half of each channel's held-out rows: what choices are made by."""
    return _halves(held_out)[0]


def test(held_out: Sequence[Example]) -> list[Example]:
    """The newer half of each channel's held-out rows: what nothing was chosen by."""
    return _halves(held_out)[1]


def conversations(rows: Sequence[Example]) -> list[int]:
    """For each row a number that it shares with those of the same conversation.

    Rows are of one conversation if they show a message in common, or others that link them do.
    """
    first: dict[int, int] = {}  # the first row that shows a message
    same = list(range(len(rows)))

    def root(number: int) -> int:
        while same[number] != number:
            same[number] = number = same[same[number]]
        return number

    for number, row in enumerate(rows):
        for message in row.message_ids:
            same[root(number)] = root(first.setdefault(message, number))
    return [root(number) for number in range(len(rows))]


def data_hash(folder: Path) -> str:
    """What identifies the prepared data: the hash in the folder's manifest.

    Raises `UserError` where there is none, or where a file is not the one it was made for.
    """
    path = folder / "manifest.json"
    try:
        manifest = json.loads(path.read_text("utf-8"))
        for name, digest in manifest["file_hashes"].items():
            if catalog.sha256(folder / name) != digest:
                raise UserError(f"{folder / name} was changed by hand. {PREPARE} again.")
        return str(manifest["data_hash"])
    except FileNotFoundError as error:
        raise UserError(f"There is no {error.filename}. {PREPARE} first.") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path} is damaged. {PREPARE} again.") from None


def tokenise(
    examples: Iterable[Example], encoder: prompts.Encoder, limit: int
) -> Iterator[Tokens | None]:
    """Each example in at most `limit` tokens; None where its reply alone leaves no room."""
    for example in examples:
        encoded = prompts.encode_example(example.turns, example.reply, encoder, limit)
        yield encoded and Tokens(*encoded)


def tokenise_pairs(
    pairs: Iterable[PairExample], encoder: prompts.Encoder, limit: int
) -> Iterator[Pair | None]:
    """Each pair in at most `limit` tokens a side; None where a reply alone leaves no room."""
    for pair in pairs:
        sides = (pair.chosen, pair.rejected)
        there = [side for side in sides if side]
        encoded = list(tokenise(there, encoder, limit))
        if all(encoded):
            left = iter(encoded)
            chosen, rejected = (next(left) if side else None for side in sides)
            yield Pair(chosen, rejected, pair.weight, pair.is_members)
        else:
            yield None


def self_play(pairs: list[Pair], rows: Sequence[Tokens], wanted: int) -> list[Pair]:
    """The pairs, and up to `wanted` ordinary replies to be preferred to the model's own.

    Where people do not react to messages, what they say is still better than what it says (Chen et
    al. 2024, "Self-Play Fine-Tuning").
    """
    known = {tuple(pair.chosen.ids) for pair in pairs if pair.chosen}
    fresh = [row for row in rows if tuple(row.ids) not in known]
    drawn = random.Random(0).sample(fresh, min(wanted, len(fresh)))
    return pairs + [Pair(row, None, 1.0) for row in drawn]


def _halves(rows: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Each channel's rows, which are in the order of time, cut in the middle."""
    channels: dict[int, list[Example]] = {}
    for row in rows:
        channels.setdefault(row.channel_id, []).append(row)
    older = [row for own in channels.values() for row in own[: len(own) // 2]]
    return older, [row for own in channels.values() for row in own[len(own) // 2 :]]


def _read(path: Path, parse: Callable[[dict[str, Any]], T]) -> list[T]:
    try:
        with path.open(encoding="utf-8") as lines:
            return [parse(json.loads(line)) for line in lines if line.strip()]
    except FileNotFoundError:
        raise UserError(f"There is no {path}. {PREPARE} first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {PREPARE} again.") from None


def _pair(row: dict[str, Any]) -> PairExample:
    chosen = None if row["reply"] is None else _example(row)
    rejected = row["rejected"]
    if rejected is not None:
        rejected = Example(_turns(row), _text(rejected))
    if not (chosen or rejected):
        raise ValueError("a pair needs a reply")
    is_members = chosen is not None and row.get("source") != LIKED
    return PairExample(chosen, rejected, float(row["weight"]), is_members)


def _turns(row: dict[str, Any]) -> tuple[Turn, ...]:
    turns = tuple(Turn(turn["name"], turn["text"]) for turn in row["turns"])
    if not turns:
        raise ValueError("a row needs turns")
    return turns


def _example(row: dict[str, Any]) -> Example:
    turns = _turns(row)
    ids = (*row.get("context_ids", ()), *row.get("reply_ids", ()))
    return Example(turns, _text(row["reply"]), int(row.get("channel_id", 0)), tuple(map(int, ids)))


def _text(reply: Any) -> str:
    """A reply's text, of one message or of a burst."""
    burst = [reply] if isinstance(reply, str) else reply
    if not isinstance(burst, list) or not burst:
        raise ValueError("a reply needs text")
    return prompts.join(burst)
