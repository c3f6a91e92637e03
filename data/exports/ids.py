"""Ids and moments as exports write them, and ids for what has none of Discord's."""

import functools
import hashlib
import re
from datetime import datetime, timezone

from data.exports.source import MALFORMED, Skip
from storage.messages import DISCORD_EPOCH_MS, Message, snowflake_at

DAY = 86_400.0
FUTURE, BEFORE_DISCORD = "dated in the future", "dated before 2015"
OUT_OF_RANGE = "an id or type out of range"
_LAST = (1 << 63) - 1  # what SQLite and Discord's own ids go up to
_LOW_BITS = (1 << 22) - 1  # of a snowflake: all but its milliseconds
_MADE_UP = (1 << 53) - 1  # as a snowflake still January 2015, so nobody's real id
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)


def refusal(message: Message, now: float) -> str | None:
    """Why a message cannot be stored, None if it can."""
    place = (message.id, message.channel_id, message.author_id, message.reply_to or 0)
    if not (message.id and message.channel_id and is_in_range(message.kind, *place)):
        return OUT_OF_RANGE
    if message.mentions and not is_in_range(*message.mentions):
        return OUT_OF_RANGE
    if message.id > snowflake_at(now + DAY) or (message.edited_at or 0.0) > now + DAY:
        return FUTURE
    if message.reactions and not is_in_range(*message.reactions.values()):
        return "a reaction count out of range"
    return None


def is_in_range(*numbers: int) -> bool:
    """Whether SQLite can keep these ids or counts; an author of id 0 was deleted on Discord."""
    return min(numbers) >= 0 and max(numbers) <= _LAST


def check_date(timestamp: object, now: float) -> float | None:
    """Seconds since 1970, None for None. Raises `Skip` for a moment that no message can have."""
    if timestamp is None:
        return None
    moment = seconds(timestamp)
    if moment > now + DAY:
        raise Skip(FUTURE)
    if moment * 1000 < DISCORD_EPOCH_MS:
        raise Skip(BEFORE_DISCORD)
    return moment


def seconds(timestamp: object) -> float:
    """Seconds since 1970 of a moment in ISO 8601; one without a zone is UTC. Raises `Skip`."""
    try:
        moment = datetime.fromisoformat(timestamp)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        moment = _written_otherwise(str(timestamp))
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return moment.timestamp()


def _written_otherwise(timestamp: str) -> datetime:
    """Python 3.10 reads neither a `Z` nor one to five, or seven, digits of a second."""
    match = _ISO.fullmatch(timestamp)
    if not match:
        raise Skip(MALFORMED)
    date, time, fraction, zone = match.groups()
    zone = "+00:00" if zone in (None, "Z", "UTC") else f"{zone[:3]}:{zone[-2:]}"
    try:
        return datetime.fromisoformat(f"{date}T{time}.{(fraction or '0')[:6]:0<6}{zone}")
    except ValueError:
        raise Skip(MALFORMED) from None


def is_snowflake(text: str) -> bool:
    """Whether an id is Discord's; other programs count from 1 or write letters."""
    return 15 <= len(text) <= 20 and text.isascii() and text.isdecimal()


def message_id(foreign: str, moment: float) -> int:
    """A snowflake for a message of another program: its moment, then a hash of its id there."""
    after_2015 = round(moment * 1000) - DISCORD_EPOCH_MS
    return (after_2015 << 22) | (_hash(foreign) & _LOW_BITS)


@functools.lru_cache(maxsize=50_000)
def made_up(what: str, name: str) -> int:
    """An id for a channel or a person (`what`) that has only a name, the same every time."""
    return (_hash(f"{what}:{name}") & _MADE_UP) or 1


def number(value: object) -> int:
    """An id or count. Raises `Skip`."""
    if isinstance(value, float | bool):  # a float has lost the last digits of an id already
        raise Skip(MALFORMED)
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        raise Skip(MALFORMED) from None


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
