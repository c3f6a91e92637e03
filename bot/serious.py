"""Serious moments: grief, self-harm and quarrels, in which a bot that jokes does harm.

For the handler, after the kill word and before anything is decided (`recent`: the channel's last
messages, oldest first, the new one last; `now`: seconds since 1970):

    moment = serious.moment(recent, now)
    if moment and is_addressed: reply with serious.answer(moment, message, recent), if it is a text
    if moment: say nothing else; no model is asked

Nothing is kept: a moment is over when it left the last messages, when its time is over, or when
the message that began it was deleted.

Unless addressed the bot is silent. When addressed it does not let a model speak, which imitates
what members say and may joke; it says one plain sentence, once to each person, and then nothing:

- self-harm: that it is a bot, and that people, help lines and the emergency number are there;
- grief: condolences (both only to who wrote of it; to others, silence);
- a quarrel: that it stays out.

English, and made to be right when it speaks up: what is often said in jest ("kms", "this bug is
killing me", "dead lol") does not count. A wish to kill oneself does, also with a "lol" behind it:
to be silent there costs little.
"""

import dataclasses
import enum
import functools
from collections.abc import Sequence

from bot.plain_text import plain
from bot.serious_words import (
    CURSE,
    DESPAIR,
    FRIENDLY,
    INSULT,
    JOKE,
    LOSS,
    PLAY,
    SURELY,
    WISH_TO_DIE,
)
from storage.messages import Message


class Kind(enum.Enum):
    """What a moment is about, the gravest first."""

    SELF_HARM = "self-harm"
    GRIEF = "grief"
    QUARREL = "a quarrel"


SECONDS = {Kind.SELF_HARM: 3_600.0, Kind.GRIEF: 1_800.0, Kind.QUARREL: 600.0}
QUARREL_SPAN_SECONDS = 300.0  # insults further apart are not one exchange
INSULTS = 3  # of two people, before it is one
_TEXTS = {
    Kind.SELF_HARM: (
        "I'm only a bot, so I'm not the one to talk to about this, but you matter. Please talk to "
        "somebody you trust or to a local help line (findahelpline.com lists them by country). If "
        "you are in danger now, call your emergency number."
    ),
    Kind.GRIEF: "I'm so sorry for your loss.",
    Kind.QUARREL: "I'm a bot and stay out of this one.",
}


@dataclasses.dataclass(frozen=True)
class Moment:
    """A serious moment, and who brought it about."""

    kind: Kind
    people: frozenset[int]


def moment(recent: Sequence[Message], now: float) -> Moment | None:
    """The gravest moment that a channel is in."""
    said = [m for m in recent if m.author_kind == "member"]
    for kind in Kind:
        shown = _quarrel(said) if kind is Kind.QUARREL else [m for m in said if _is(kind, m)]
        people = frozenset(m.author_id for m in shown if now - m.sent_at < SECONDS[kind])
        if people:
            return Moment(kind, people)
    return None


def answer(moment: Moment, message: Message, recent: Sequence[Message]) -> str | None:
    """All that is to be said to who addresses the bot in a moment; None for nothing.

    To whom it was said before is known by the message that it was a reply to.
    """
    text = _TEXTS[moment.kind]
    if moment.kind is not Kind.QUARREL and message.author_id not in moment.people:
        return None
    own = {m.reply_to for m in recent if m.author_kind == "self" and m.content == text}
    is_told = any(m.id in own and m.author_id == message.author_id for m in recent)
    return None if is_told else text


def kind_of(text: str) -> Kind | None:
    """What a single message shows; `QUARREL` for an insult that may belong to one."""
    return _read(text).kind


@dataclasses.dataclass(frozen=True)
class _Reading:
    kind: Kind | None
    is_friendly: bool = False
    is_curse: bool = False  # a wish that somebody die


@functools.lru_cache(maxsize=256)
def _read(text: str) -> _Reading:
    text = plain(text)
    is_joke = JOKE.search(text) is not None
    is_friendly = is_joke or FRIENDLY.search(text) is not None
    if WISH_TO_DIE.search(text) or (not is_joke and DESPAIR.search(text)):
        return _Reading(Kind.SELF_HARM)
    is_play = is_joke or (PLAY.search(text) and not SURELY.search(text))
    if not is_play and LOSS.search(text):
        return _Reading(Kind.GRIEF)
    is_curse = not is_friendly and CURSE.search(text) is not None
    is_insult = is_curse or (not is_friendly and INSULT.search(text) is not None)
    return _Reading(Kind.QUARREL if is_insult else None, is_friendly, is_curse)


def _is(kind: Kind, message: Message) -> bool:
    return kind_of(message.content) is kind


def _quarrel(said: Sequence[Message]) -> list[Message]:
    """The newest exchange of insults between people who do not laugh, or the newest curse."""
    insults = [m for m in said if _is(Kind.QUARREL, m)]
    for newest in reversed(insults):
        if _read(newest.content).is_curse:
            return [newest]
        near = [m for m in insults if 0 <= newest.sent_at - m.sent_at <= QUARREL_SPAN_SECONDS]
        people = {m.author_id for m in near}
        if len(near) >= INSULTS and len(people) > 1 and not _laughs(said, near[0], people):
            return near
    return []


def _laughs(said: Sequence[Message], first: Message, people: set[int]) -> bool:
    """Whether one of those who insult each other is friendly since: that is banter."""
    since = (m for m in said if m.id >= first.id and m.author_id in people)
    return any(_read(m.content).is_friendly for m in since)
