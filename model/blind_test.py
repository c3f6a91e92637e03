"""Whether people can tell the bot from members: a page to judge on, and what judges came to.

The page is one file that friends open offline. It holds contexts and replies, numbered, and not
which replies are the bot's: that is in NAME.key.json, which stays with who made the page. A judge
sends back a small file of choices under a made-up code; `model/blind_verdict.py` merges them.
"""

import base64
import dataclasses
import hashlib
import json
import os
import random
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bot.config import UserError
from model.prompts import Turn

PAIRS, FORM = "pairs", "form"
CHOICES = {PAIRS: ("A", "B"), FORM: ("member", "bot")}
REASONS = (
    *("too long", "too formal", "too correct", "off topic", "repeats itself"),
    "odd word or emoji",
)
RUBRIC = {
    "Authenticity": "sounds like a real member of the server",
    "Naturalness": "flows like normal conversation",
    "Appropriateness": "matches the context and its tone",
    "Vocabulary": "uses the server's own words",
    "Length": "is as long as such a message should be",
}
GROUPS = {  # whether a judge knows the people who wrote
    "member": "Members",
    "acquaintance": "Acquaintances",
    "stranger": "Strangers",
}
LONGEST_NOTE = 200  # characters, here and in the page

_PAGE = Path(__file__).with_suffix(".html")
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
_CODE = re.compile(r"[0-9a-z]{6,32}")
_LARGEST_RESULT = 1_000_000  # bytes; an honest one has a few thousand


@dataclasses.dataclass(frozen=True)
class Item:
    """A context, oldest turn first, with the member's reply to it and the bot's.

    In an attention check `bot` is a reply that nobody who reads along takes for a member's.
    """

    id: str
    context: tuple[Turn, ...]
    real: str
    bot: str
    is_check: bool = False


@dataclasses.dataclass(frozen=True)
class Key:
    """Which page, of which kind, the right choice by question, and which are attention checks."""

    page: str
    kind: str
    answers: Mapping[str, str]
    checks: frozenset[str]


@dataclasses.dataclass(frozen=True)
class Answer:
    """A choice, with reasons and a note (pairs), or a mark from 1 to 5 for each of `RUBRIC`."""

    choice: str
    reasons: frozenset[str]
    note: str
    ratings: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Result:
    """What one judge sent back; `finished` in milliseconds since 1970, by the judge's clock."""

    judge: str
    group: str
    finished: float
    answers: Mapping[str, Answer]


def write(path: Path, items: Sequence[Item], kind: str = PAIRS, seed: int = 0) -> Path:
    """Write a page to judge on, and its key beside it, whose path is returned.

    `pairs` shows both replies of each item. `form` shows one, the member's for one half of the
    items and the bot's for the other, so nobody sees a context twice: 100 items make 50 + 50.
    Raises `UserError` where there is nothing to judge.
    """
    if all(item.is_check for item in items):
        raise UserError("There is nothing to judge yet. Fetch more history first.")
    questions, answers = _draw(items, kind, seed)
    test: dict[str, Any] = {"kind": kind, "reasons": REASONS, "rubric": list(RUBRIC.items())}
    test["questions"] = questions
    test["page"] = hashlib.sha256(_json(test)).hexdigest()[:16]
    key_path = path.with_suffix(".key.json")
    key = {"page": test["page"], "kind": kind, "seed": seed, "answers": answers}
    _write_private(key_path, json.dumps(key, indent=1).encode())
    _write_private(path, _page(test))
    return key_path


def read_key(path: Path) -> Key:
    """The answers to a page. Raises `UserError` where they cannot be read."""
    fields = _read(path, "Choose the NAME.key.json that was written beside the page.")
    try:
        kind, answers = fields["kind"], fields["answers"]
        right = {number: each["answer"] for number, each in answers.items()}
        checks = frozenset(number for number, each in answers.items() if each["is_check"])
        if not set(right.values()) <= set(CHOICES[kind]):
            raise ValueError
        return Key(fields["page"], kind, right, checks)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(
            f"{path} is no key of a blind test. Choose the NAME.key.json beside the page."
        ) from None


def read_results(paths: Sequence[Path], key: Key) -> list[Result]:
    """What each judge sent: of several by the same judge, the newest of the complete ones.

    Raises `UserError`, naming the file, for one that is damaged or belongs to another page.
    """
    newest: dict[str, Result] = {}
    results = [_read_result(path, key) for path in paths]
    for result in sorted(
        results, key=lambda one: (len(one.answers) == len(key.answers), one.finished)
    ):
        newest[result.judge] = result
    return list(newest.values())


def _draw(
    items: Sequence[Item], kind: str, seed: int
) -> tuple[list[dict[str, Any]], dict[str, dict[str, Any]]]:
    """The questions in their order, and the answers.

    The dice are thrown by all texts and what they are, not by the seed alone: who has the page
    and this file could throw them again.
    """
    asked = [dataclasses.asdict(item) for item in items]
    dice = random.Random(hashlib.sha256(_json([seed, asked])).digest())
    drawn = _halve([item for item in items if not item.is_check], dice)
    drawn += _halve([item for item in items if item.is_check], dice)
    dice.shuffle(drawn)
    questions, answers = [], {}
    for number, (item, is_heads) in enumerate(drawn, 1):
        if kind == PAIRS:
            replies = [item.bot, item.real] if is_heads else [item.real, item.bot]
        else:
            is_heads = is_heads and not item.is_check
            replies = [item.real if is_heads else item.bot]
        context = [[turn.name, turn.text] for turn in item.context]
        questions.append({"id": str(number), "context": context, "replies": replies})
        answer = CHOICES[kind][not is_heads]
        answers[str(number)] = {"item": item.id, "answer": answer, "is_check": item.is_check}
    return questions, answers


def _halve(items: Sequence[Item], dice: random.Random) -> list[tuple[Item, bool]]:
    """Heads for one half of the items and tails for the other, by chance."""
    heads = [number % 2 == 0 for number in range(len(items))]
    dice.shuffle(heads)
    return list(zip(items, heads, strict=True))


def _page(test: dict[str, Any]) -> bytes:
    """The page with the test in it, allowed to run its own script and nothing else."""
    page = _PAGE.read_text("utf-8")
    script = _SCRIPT.findall(page)[-1].encode()
    allowed = base64.b64encode(hashlib.sha256(script).digest()).decode()
    page = page.replace("SCRIPT_HASH", f"sha256-{allowed}")
    return page.replace("TEST_DATA", _json(test).decode()).encode()


def _json(value: Any) -> bytes:
    """JSON that is ASCII and cannot end a script block, whatever people wrote."""
    text = json.dumps(value)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode()


def _write_private(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    os.replace(partial, path)


def _read(path: Path, way_out: str) -> dict[str, Any]:
    """A JSON object from a file, which may have been pasted into a text editor."""
    try:
        with path.open("rb") as file:
            fields = json.loads(file.read(_LARGEST_RESULT).decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"Cannot read {path}: {error.strerror}. {way_out}") from None
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise UserError(f"{path} is damaged. {way_out}")
    return fields


def _read_result(path: Path, key: Key) -> Result:
    way_out = "Ask the judge to send the result again, or leave this file out."
    fields = _read(path, way_out)
    if fields.get("page") != key.page:
        raise UserError(f"{path} is no result of this page. Score it with its own key.")
    try:
        answers = {number: _answer(each, key.kind) for number, each in fields["answers"].items()}
        result = Result(fields["judge"], fields["group"], fields["finished"], answers)
        if not (_CODE.fullmatch(result.judge) and result.group in GROUPS):
            raise ValueError
        if type(result.finished) not in (int, float) or not answers.keys() <= key.answers.keys():
            raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError(f"{path} is damaged. {way_out}") from None
    return result


def _answer(fields: dict[str, Any], kind: str) -> Answer:
    """An answer as the page writes it. Raises what `_read_result` catches where it is not."""
    reasons, note = frozenset(fields.get("reasons", ())), fields.get("other", "")
    answer = Answer(fields["choice"], reasons, note, tuple(fields.get("ratings", ())))
    if answer.choice not in CHOICES[kind] or not reasons <= set(REASONS):
        raise ValueError
    if not isinstance(note, str) or len(note) > LONGEST_NOTE:
        raise ValueError
    marks = len(RUBRIC) if kind == FORM else 0
    if len(answer.ratings) != marks or any(
        type(mark) is not int or not 1 <= mark <= 5 for mark in answer.ratings
    ):
        raise ValueError
    return answer
