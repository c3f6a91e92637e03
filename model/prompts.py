"""The chat format, for training and for replying, and what is cleaned from a reply.

A prompt is a list of pieces. A piece of markup (`<|im_start|>user\\n`) becomes control tokens; a
piece of chat is data and never does, whatever it spells. What one author says in a row is one
turn; a prompt only grows at its end while a conversation goes on, so the engine keeps its prefix.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from storage.messages import Message

SYSTEM = "You're a regular on this Discord server. Chat naturally."
STOP = "<|im_end|>"
DISCORD_LIMIT = 2000
LONGEST_MESSAGE = 600  # characters of a context message that are shown to the model

Encode = Callable[[str, bool], list[int]]
"""`encode(text, is_markup)` gives token ids; only markup may become control tokens."""

_MENTION = re.compile(r"<@!?(\d+)>")
_EMOJI = re.compile(r"<a?(:\w+:)\d+>")
_CONTROL = re.compile(r"<\|[a-z_]+\|>")


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some text of a prompt; `is_markup` when it is ours rather than somebody's."""

    text: str
    is_markup: bool


@dataclasses.dataclass(frozen=True)
class Turn:
    """A message as the model sees it; `name` is None for the persona's own."""

    name: str | None
    text: str


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What to answer: `turns`, oldest first, may be dropped from the front; the rest may not."""

    head: tuple[Piece, ...]
    turns: tuple[tuple[Piece, ...], ...]
    tail: tuple[Piece, ...]


def build(turns: Sequence[Turn], recalled: Sequence[Turn] = ()) -> Prompt:
    """The prompt for a reply to the last of `turns`, with some `recalled` older messages."""
    *earlier, last = turns
    return Prompt(
        head=_markup("system", SYSTEM),
        turns=tuple(_turn(turn) for turn in earlier),
        tail=(*_recalled(recalled), *_turn(last), Piece("<|im_start|>assistant\n", True)),
    )


def encode(prompt: Prompt, encode_text: Encode, limit: int) -> list[int]:
    """Token ids of the prompt, without the oldest turns that would not fit into `limit`.

    Text before the last turn is dropped first, then the last turn's own beginning.
    """
    head, tail = _encode(prompt.head, encode_text), _encode(prompt.tail, encode_text)
    room = limit - len(head) - len(tail)
    kept: list[list[int]] = []
    for turn in reversed(prompt.turns):
        ids = _encode(turn, encode_text)
        room -= len(ids)
        if room < 0:
            break
        kept.append(ids)
    ids = [*head, *(token for turn in reversed(kept) for token in turn), *tail]
    return ids[:1] + ids[len(ids) - limit + 1 :] if len(ids) > limit else ids


def encode_example(
    turns: Sequence[Turn], reply: str, encode_text: Encode, limit: int
) -> tuple[list[int], int] | None:
    """A training example: the token ids, and how many at the end are the reply (with its stop).

    None when the reply alone does not leave room for the turn it answers: a reply is never cut.
    """
    answer = [*encode_text(reply, False), *encode_text(STOP, True)]
    room = limit - len(answer)
    prompt = build(turns)
    if room < sum(len(_encode(part, encode_text)) for part in (prompt.head, prompt.tail)):
        return None
    return [*encode(prompt, encode_text, room), *answer], len(answer)


def turns(
    messages: Iterable[Message], names: Mapping[int, str], persona_id: int | None
) -> list[Turn]:
    """Stored messages, oldest first, as the model sees them: a burst by one author is one turn.

    `names` resolves the people they mention; the messages of `persona_id` are the model's own.
    """
    made = []
    for author_id, burst in itertools.groupby(messages, key=lambda message: message.author_id):
        said = list(burst)
        name = None if author_id == persona_id else clean_name(said[-1].author_name)
        made.append(Turn(name, join([context_text(message.content, names) for message in said])))
    return made


def turn(message: Message, names: Mapping[int, str], persona_id: int | None) -> Turn:
    """A stored message as the model sees it; `names` resolves the people it mentions."""
    return turns([message], names, persona_id)[0]


def join(texts: Iterable[str]) -> str:
    """The messages of a burst as one text."""
    return "\n".join(texts)


def context_text(text: str, names: Mapping[int, str]) -> str:
    """A message of the context: readable, and cut where a long paste would fill the prompt."""
    return readable(text, names)[:LONGEST_MESSAGE]


def readable(text: str, names: Mapping[int, str]) -> str:
    """Discord's markup as members see it: `<@5>` is `@name`, `<:pog:77>` is `:pog:`."""
    text = _MENTION.sub(lambda match: "@" + clean_name(names.get(int(match[1]), "someone")), text)
    return _EMOJI.sub(r"\1", text)


def clean_name(name: str) -> str:
    """A name that fits on a line before a colon."""
    return re.sub(r"[\s:]+", " ", name).strip()[:32] or "someone"


def clean(text: str) -> str:
    """The reply without template artefacts, within Discord's limit. Its style is not touched."""
    text = _CONTROL.split(text, maxsplit=1)[0].strip()
    return text[:DISCORD_LIMIT].rstrip()


def _turn(turn: Turn) -> tuple[Piece, ...]:
    """Who speaks stands in the header: as `name: text` a model learns to begin with a name too."""
    if turn.name is None:
        return _markup("assistant", turn.text)
    header = (Piece("<|im_start|>user", True), Piece(f" {turn.name}", False), Piece("\n", True))
    return (*header, Piece(turn.text, False), Piece(f"{STOP}\n", True))


def _recalled(turns: Sequence[Turn]) -> tuple[Piece, ...]:
    if not turns:
        return ()
    lines = "\n".join(f"{turn.name or 'you'}: {turn.text}" for turn in turns)
    return _markup("system", f"Said here before:\n{lines}")


def _markup(role: str, text: str) -> tuple[Piece, ...]:
    return (Piece(f"<|im_start|>{role}\n", True), Piece(text, False), Piece(f"{STOP}\n", True))


def _encode(pieces: Sequence[Piece], encode_text: Encode) -> list[int]:
    return [token for piece in pieces for token in encode_text(piece.text, piece.is_markup)]
