"""The chat format, for training and for replying, and what is cleaned from a reply.

A prompt is laid out in pieces. A piece of markup (`<|im_start|>user\\n`) becomes control tokens; a
piece of chat is data and never does, whatever it spells. The markup is the model's own, read from
its chat template by `model/templates.py`. What one author says in a row is one turn; a prompt only
grows at its end while a conversation goes on, so the engine keeps its prefix.
"""

import dataclasses
import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence

from model import cutting
from storage.messages import Message

SYSTEM = "You're a regular on this Discord server. Chat naturally."
LONGEST_MESSAGE = 600  # characters of a context message that are shown to the model
FOR_OTHERS = ("\n\nUser:", "\n\nuser:")
LONGEST_BURST = 4  # messages that one reply is sent as
BYTES_A_TOKEN, TOKENS_A_TURN = 3, 8  # about; of Latin letters there are more to a token

_MENTION = re.compile(r"<@!?(\d+)>")
_EMOJI = re.compile(r"<a?(:\w+:)\d+>")
_CONTROL = re.compile(r"<[|\uff5c][^<>|\uff5c\s]+[|\uff5c]>|<(?:start|end)_of_turn>|\[/?INST\]")
# What a server might take for a control token of whatever model it runs: `<...>`, `[...]`.
_TOKENLIKE = re.compile(r"<(?=[^<>\s]{1,100}>)|\[(?=/?\w{1,100}\])")
_THOUGHT = re.compile(r"\A\s*<think>.*?(?:</think>|\Z)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Template:
    """The markup of a chat format, around the texts of a conversation.

    `before` the system text comes the first of it, `after_system` opens the first user's turn;
    `to_assistant` closes a user's turn and opens the model's, `to_user` the reverse; `to_reply` is
    what the model is handed to speak, and `stop` what it ends with.
    """

    before: str
    after_system: str
    to_assistant: str
    to_user: str
    to_reply: str
    stop: str

    @property
    def stops(self) -> tuple[str, ...]:
        """What a reply is cut at: its end, or where the model goes on for somebody else."""
        return self.stop, *FOR_OTHERS

    @property
    def is_chatml(self) -> bool:
        """Whether turns may come in any order, with the speaker's name in their header."""
        return self.to_user == CHATML.to_user


CHATML = Template(
    before="<|im_start|>system\n",
    after_system="<|im_end|>\n<|im_start|>user\n",
    to_assistant="<|im_end|>\n<|im_start|>assistant\n",
    to_user="<|im_end|>\n<|im_start|>user\n",
    to_reply="<|im_end|>\n<|im_start|>assistant\n",
    stop="<|im_end|>",
)


ROLES = Template("system", "user", "assistant", "user", "", "")  # a chat API's: `api_messages`


@dataclasses.dataclass(frozen=True)
class Encoder:
    """How a model reads: its chat format, and its tokens.

    `token_ids(text, is_markup)` gives token ids; only markup may become control tokens.
    """

    template: Template
    token_ids: Callable[[str, bool], list[int]]


@dataclasses.dataclass(frozen=True)
class Piece:
    """Some text of a prompt; `is_markup` when it is ours rather than somebody's."""

    text: str
    is_markup: bool


@dataclasses.dataclass(frozen=True)
class Turn:
    """What somebody says in a row; `name` is None for the persona's own."""

    name: str | None
    text: str


@dataclasses.dataclass(frozen=True)
class Prompt:
    """What to answer: the last of `turns`, oldest first; `recalled` was said long before."""

    turns: tuple[Turn, ...]
    recalled: tuple[Turn, ...] = ()


def build(turns: Sequence[Turn], recalled: Sequence[Turn] = ()) -> Prompt:
    """The prompt for a reply to the last of `turns`, with some `recalled` older messages."""
    return Prompt(tuple(turns), tuple(recalled))


def encode(prompt: Prompt, encoder: Encoder, limit: int) -> list[int]:
    """Token ids of the prompt, without the oldest turns that would not fit into `limit`.

    Text before the last turn is dropped first, then the last turn's own beginning.
    """
    for first in range(len(prompt.turns)):
        rest = dataclasses.replace(prompt, turns=prompt.turns[first:])
        ids = _encode(layout(rest, encoder.template), encoder)
        if len(ids) <= limit:
            return ids
    return ids[:1] + ids[len(ids) - limit + 1 :]


def encode_example(
    turns: Sequence[Turn], reply: str, encoder: Encoder, limit: int
) -> tuple[list[int], int] | None:
    """A training example: the token ids, and how many at the end are the reply (with its stop).

    None when the reply alone does not leave room for the turn it answers: a reply is never cut.
    """
    answer = _encode([Piece(reply, False), Piece(encoder.template.stop, True)], encoder)
    room = limit - len(answer)
    shortest = _encode(layout(build(turns[-1:]), encoder.template), encoder)
    if len(shortest) > room:
        return None
    return [*encode(build(turns), encoder, room), *answer], len(answer)


def api_messages(prompt: Prompt, limit: int) -> list[dict[str, str]]:
    """The prompt for a server that knows the chat format itself: roles alternate, a user begins.

    Such a server makes control tokens of any text, so nothing that looks like one is left whole.
    By an estimate it is `limit` tokens at most: shortened as by `encode`.
    """
    for first in range(len(prompt.turns)):
        said = _said(dataclasses.replace(prompt, turns=prompt.turns[first:]))
        if _estimate(said) <= limit:
            return said
    last = prompt.turns[-1]
    room = limit - _estimate(_said(build([Turn(last.name, "")])))
    end = last.text.encode()[-max(room, 1) * BYTES_A_TOKEN :].decode("utf-8", "ignore")
    return _said(build([Turn(last.name, end)]))


def api_stops(prompt: Prompt) -> list[str]:
    """How others' lines begin, where a reply of `api_messages` has to end: the last four's."""
    names = dict.fromkeys(turn.name for turn in reversed(prompt.turns) if turn.name)
    return [f"\n{unlike_tokens(name)}:" for name in names][:4]


def unlike_tokens(text: str) -> str:
    """The text with a space inside of whatever looks like a control token."""
    return _TOKENLIKE.sub(lambda match: f"{match[0]} ", text)


def layout(prompt: Prompt, template: Template) -> list[Piece]:
    """The pieces of a prompt, from the first to where the reply begins."""
    pieces = [Piece(template.before, True), Piece(SYSTEM, False)]
    before = "system"
    *earlier, last = prompt.turns
    for turn in earlier:
        pieces += _turn(turn, before, template)
        before = _role(turn)
    if prompt.recalled:
        pieces += _recalled(prompt.recalled, before, template)
        before = "user"
    pieces += _turn(last, before, template)
    if not template.is_chatml:
        pieces += _to_user(_role(last), template)
    return [*pieces, Piece(template.to_reply, True)]


def turns(
    messages: Iterable[Message], names: Mapping[int, str], persona_id: int | None
) -> list[Turn]:
    """Stored messages, oldest first, as the model sees them: a burst by one author is one turn.

    `names` resolves the people they mention; the messages of `persona_id` are the model's own.
    """
    made = []
    for _, burst in itertools.groupby(messages, key=lambda message: message.author_id):
        said = [turn(message, names, persona_id) for message in burst]
        made.append(Turn(said[-1].name, join(one.text for one in said)))
    return made


def turn(message: Message, names: Mapping[int, str], persona_id: int | None) -> Turn:
    """One stored message as the model sees it."""
    name = None if message.author_id == persona_id else clean_name(message.author_name)
    return Turn(name, context_text(message.content, names))


def join(texts: Iterable[str]) -> str:
    """The messages of a burst as one text."""
    return "\n".join(texts)


def split(text: str) -> list[str]:
    """The messages of a reply, as `join` would take them: a line each, a code fence whole.

    At most `LONGEST_BURST`; the lines that are left stay with the last.
    """
    said: list[str] = []
    is_fenced = False
    for line in text.splitlines():
        if is_fenced:
            said[-1] += f"\n{line}"
        elif line.strip():
            said.append(line)
        is_fenced ^= line.count("```") % 2 == 1
    last = LONGEST_BURST - 1
    return said[:last] + ([join(said[last:])] if said[last:] else [])


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
    return cutting.fit(_CONTROL.split(_THOUGHT.sub("", text), maxsplit=1)[0].strip())


def _turn(turn: Turn, before: str, template: Template) -> list[Piece]:
    """A turn that follows one of the role `before`.

    In ChatML who speaks stands in the header: as `name: text` a model learns to begin with a name
    too. Others know two roles that alternate: all that members say between two of the persona's
    turns is one, with a line for each.
    """
    if template.is_chatml:
        if turn.name is None:
            return [Piece(CHATML.to_assistant, True), Piece(turn.text, False)]
        header = CHATML.to_user.rstrip("\n")
        name = [Piece(header, True), Piece(f" {turn.name}", False), Piece("\n", True)]
        return [*name, Piece(turn.text, False)]
    if turn.name is None:
        opening = [*_to_user(before, template), Piece(template.to_assistant, True)]
        return [*opening, Piece(turn.text, False)]
    return _line(f"{turn.name}: {turn.text}", before, template)


def _recalled(turns: Sequence[Turn], before: str, template: Template) -> list[Piece]:
    lines = "\n".join(f"{turn.name or 'you'}: {turn.text}" for turn in turns)
    text = f"Said here before:\n{lines}"
    if template.is_chatml:
        return [Piece(CHATML.to_user.replace("user", "system"), True), Piece(text, False)]
    return _line(f"{text}\n", before, template)


def _line(text: str, before: str, template: Template) -> list[Piece]:
    """A line of a user's turn, which it opens unless a user spoke before."""
    if before == "user":
        return [Piece(f"\n{text}", False)]
    return [*_to_user(before, template), Piece(text, False)]


def _to_user(before: str, template: Template) -> list[Piece]:
    """What opens a user's turn after a text of the role `before`: nothing, if it is open."""
    openings = {"system": template.after_system, "assistant": template.to_user}
    return [Piece(openings[before], True)] if before in openings else []


def _role(turn: Turn) -> str:
    return "assistant" if turn.name is None else "user"


def _said(prompt: Prompt) -> list[dict[str, str]]:
    said: list[dict[str, str]] = []
    for piece in layout(prompt, ROLES)[:-1]:
        if piece.is_markup:
            said.append({"role": piece.text, "content": ""})
        else:
            said[-1]["content"] += piece.text
    # where the persona began, somebody must have spoken: servers refuse an empty text
    return [{**one, "content": unlike_tokens(one["content"]) or "..."} for one in said]


def _estimate(said: Sequence[Mapping[str, str]]) -> int:
    return sum(len(one["content"].encode()) // BYTES_A_TOKEN + TOKENS_A_TURN for one in said)


def _encode(pieces: Sequence[Piece], encoder: Encoder) -> list[int]:
    return [token for piece in pieces for token in encoder.token_ids(piece.text, piece.is_markup)]
