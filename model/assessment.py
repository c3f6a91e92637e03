"""Every figure of a report: what each side said to the same contexts, against what members said.

A figure means something beside those of the other sides only: `OTHERS` are members who spoke
elsewhere, as like them as it gets; the Markov chain and the base model are what must be beaten.
"""

import dataclasses
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from model import copying, likeness
from model.detection import Detection, detect
from model.examples import Example, conversations
from model.fit import Embed, fit
from model.sides import SIDES

_PING = re.compile(r"@everyone|@here|<@[!&]?\d+>")


@dataclasses.dataclass(frozen=True)
class Side:
    """What somebody said, and what was found; `facts` go into report.json and hold no text."""

    texts: Sequence[str]
    detection: Detection
    facts: dict[str, Any]


def assess(
    rows: Sequence[Example],
    sides: Mapping[str, Sequence[str]],
    known: Sequence[str],
    embed: Embed,
    count_secrets: Callable[[str], int],
    progress: Callable[[int, str], None] = lambda done, name: None,
    seed: int = 0,
) -> dict[str, Side]:
    """Judge what each side said to the contexts of `rows`; `known` are the replies trained on.

    Raises `UserError` where the rows are too few to conclude anything.
    """
    members = [row.reply for row in rows]
    groups = conversations(rows)
    contexts = ["\n".join(turn.text for turn in row.turns) for row in rows]
    found = {}
    embed = _once(embed)
    for done, name in enumerate(name for name in SIDES if name in sides):
        texts = sides[name]
        progress(done, name)
        detection = detect(members, texts, groups, seed)
        copies = copying.compare(texts, members, known)
        facts = {
            "replies": len(texts),
            "empty": sum(not text for text in texts),
            "match": round(match(detection), 3),
            "detection": _plain(dataclasses.replace(detection, tells=())),
            "likeness": _plain(likeness.compare(members, texts, known, seed)),
            "fit": _plain(fit(contexts, texts, embed, seed)),
            "copies": _plain(dataclasses.replace(copies, examples=())),
            "secrets": sum(map(count_secrets, texts)),
            "pings": sum(bool(_PING.search(text)) for text in texts),
        }
        found[name] = Side(texts, detection, facts)
    return found


def match(detection: Detection) -> float:
    """Twice the share of replies that a machine gets wrong, 1 at most.

    1 where it can only guess, 0 where it knows all. It estimates how far the two ways of writing
    overlap: 1 - their total variation distance (Sriperumbudur et al. 2009).
    """
    return float(min(1.0, max(0.0, 2 * (1 - detection.accuracy))))


def _once(embed: Embed) -> Embed:
    """The same, but a text that comes again is not embedded again."""
    known: dict[str, Any] = {}

    def cached(texts: Sequence[str]) -> list[Any]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, embed(new), strict=True))
        return [known[text] for text in texts]

    return cached


def _plain(value: Any) -> Any:
    """A dataclass, or what is in one, as JSON knows it."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = (field.name for field in dataclasses.fields(value))
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    number = float(value)
    return round(number, 4) if math.isfinite(number) else None
