"""The rows of train.jsonl and valid.jsonl, as values and as tokens."""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bot.config import UserError
from model import prompts
from model.prompts import Turn

PREPARE = "Run scripts/2_prepare_training_data.py"


@dataclasses.dataclass(frozen=True)
class Example:
    """A reply and the turns it answers, oldest first; a burst is one text, a line each."""

    turns: tuple[Turn, ...]
    reply: str


@dataclasses.dataclass(frozen=True)
class Tokens:
    """A whole example as the model reads it; the last `reply_length` ids are what it learns."""

    ids: list[int]
    reply_length: int


def read(path: Path) -> list[Example]:
    """Every row of a file. Raises `UserError` where the file is missing or damaged."""
    try:
        with path.open(encoding="utf-8") as lines:
            return [_example(json.loads(line)) for line in lines if line.strip()]
    except FileNotFoundError:
        raise UserError(f"There is no {path}. {PREPARE} first.") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"Cannot read {path}: {error}. {PREPARE} again.") from None


def data_hash(folder: Path) -> str:
    """What identifies the prepared data: the hash in the folder's manifest."""
    path = folder / "manifest.json"
    try:
        return str(json.loads(path.read_text("utf-8"))["data_hash"])
    except FileNotFoundError:
        raise UserError(f"There is no {path}. {PREPARE} first.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged. {PREPARE} again.") from None


def tokenise(
    examples: Iterable[Example], encoder: prompts.Encoder, limit: int
) -> Iterator[Tokens | None]:
    """Each example in at most `limit` tokens; None where its reply alone leaves no room."""
    for example in examples:
        encoded = prompts.encode_example(example.turns, example.reply, encoder, limit)
        yield encoded and Tokens(*encoded)


def _example(row: dict[str, Any]) -> Example:
    turns = tuple(Turn(turn["name"], turn["text"]) for turn in row["turns"])
    reply = [row["reply"]] if isinstance(row["reply"], str) else row["reply"]
    if not turns or not isinstance(reply, list) or not reply:
        raise ValueError("a row needs turns and a reply")
    return Example(turns, prompts.join(reply))
