"""What members of a sample community really wrote, for tests of figures about replies."""

import functools
import gzip
import itertools
import json
import random

from bot.config import ROOT
from model import prompts

PATH = ROOT / "sandbox" / "communities" / "gitter-casual" / "messages.jsonl.gz"


@functools.cache
def bursts() -> list[str]:
    """What each member said in a row, oldest first; the room has one channel."""
    with gzip.open(PATH, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    said = [row for row in rows if row["content"] and not row["bot"]]
    turns = itertools.groupby(said, key=lambda row: row["author_id"])
    return [prompts.join(row["content"] for row in turn) for _, turn in turns]


def known() -> list[str]:
    """The older part."""
    return bursts()[:4000]


def two_sides(count: int) -> tuple[list[str], list[str]]:
    """As many replies each, by lot, of the newer part."""
    drawn = random.Random(1).sample(bursts()[4000:], 2 * count)
    return drawn[:count], drawn[count:]
