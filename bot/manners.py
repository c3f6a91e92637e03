"""When the bot holds its tongue: pure decisions, handed the time and the messages.

For the handler, before it generates (`recent`: the channel's last messages, the trigger included;
`now`: seconds since 1970):

    manners.silence(message, is_addressed, recent, settings, now) -> Silence | None

and again before each first message is sent (`since`: what the channel holds from the trigger on,
`list(messages.history(connection, channel_id, first=trigger.message.id))`; `took`: the seconds that
writing took, without what was waited on purpose):

    manners.is_stale(trigger, since, took) -> bool
    manners.needs_link(trigger, since) -> bool      send it as a Discord reply

Who addresses the bot is answered at any hour, however much it spoke: quiet hours, the share cap
and a silent room hold back only what nobody asked for. A member who is awake at night and asks
something disturbs nobody with the answer; a bot that speaks up by itself might.
"""

import datetime
import enum
from collections.abc import Sequence

from bot.bursts import Trigger
from storage.database import Settings
from storage.messages import Message

SHARE_OF = 30  # messages, of which the bot's own share is taken
EMPTY_ROOM_SECONDS = 3_600.0
PATIENCE_SECONDS = 20.0  # a remark that nobody asked for is of no use later
MOVED_ON = 4  # newer messages: the talk is elsewhere


class Silence(enum.Enum):
    """Why the bot says nothing, in words for a log or an admin."""

    NO_MEMBER = "no member wrote it"
    QUIET_HOURS = "quiet hours"
    SPOKE_ENOUGH = "it spoke enough"
    SPOKE_LAST = "nobody spoke since its own message"
    EMPTY_ROOM = "nobody was here for an hour"


def silence(
    message: Message,
    is_addressed: bool,
    recent: Sequence[Message],
    settings: Settings,
    now: float,
    zone: datetime.tzinfo | None = None,
) -> Silence | None:
    """Why not to answer a message, or None; `zone` is the computer's own if it is not given.

    Another bot, a webhook and the bot itself are never answered, so that no two bots can go on
    for ever.
    """
    if message.author_kind != "member":
        return Silence.NO_MEMBER
    if is_addressed:
        return None
    if is_quiet_hour(settings.quiet_from, settings.quiet_until, now, zone):
        return Silence.QUIET_HOURS
    said = [m for m in recent if m.author_kind in ("member", "self")]
    if said and said[-1].author_kind == "self":
        return Silence.SPOKE_LAST
    if now - max((m.sent_at for m in said), default=0.0) > EMPTY_ROOM_SECONDS:
        return Silence.EMPTY_ROOM
    return Silence.SPOKE_ENOUGH if spoke_enough(said, settings.share_cap) else None


def spoke_enough(said: Sequence[Message], share_cap: float) -> bool:
    """Whether one message more were more than the bot's share of the last `SHARE_OF`.

    Where fewer were written the missing ones count as others': a first word is always free,
    unless the cap is 0. A cap of 1 is none.
    """
    own = sum(m.author_kind == "self" for m in said[-SHARE_OF + 1 :])
    return own + 1 > share_cap * SHARE_OF


def is_quiet_hour(
    begin: float, end: float, now: float, zone: datetime.tzinfo | None = None
) -> bool:
    """Whether `now` is from the hour `begin` to the hour `end`, across midnight if need be.

    Hours are 0 to 24 and may be broken (22.5); two equal ones mean never, 0 to 24 always.
    """
    moment = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).astimezone(zone)
    hour = moment.hour + moment.minute / 60 + moment.second / 3600
    if begin <= end:
        return begin <= hour < end
    return hour >= begin or hour < end


def is_stale(
    trigger: Trigger, since: Sequence[Message], took: float, patience: float = PATIENCE_SECONDS
) -> bool:
    """Whether an answer, which it `took` so many seconds to write, is out of place by now.

    Always when its trigger was deleted. Only where nobody asked for it also when it took too
    long, when somebody else answered and the talk went on, when it went on without an answer, or
    when our own message would follow our own.
    """
    message = trigger.message
    if not any(m.id == message.id for m in since):
        return True
    if trigger.is_addressed:
        return False
    newer = [m for m in since if m.id > message.id]
    said = [m for m in newer if m.author_kind == "member"]
    answers = [number for number, m in enumerate(said) if _answers(m, message)]
    return (
        took > patience
        or len(said) >= MOVED_ON
        or (bool(answers) and answers[0] < len(said) - 1)
        or (bool(newer) and newer[-1].author_kind == "self")
    )


def needs_link(trigger: Trigger, since: Sequence[Message]) -> bool:
    """Whether an answer has to show what it answers, as other messages came between."""
    return any(m.id > trigger.message.id for m in since)


def _answers(message: Message, asked: Message) -> bool:
    """Whether somebody else's message is an answer to one."""
    if message.author_id == asked.author_id:
        return False
    return message.reply_to == asked.id or asked.author_id in message.mentions
