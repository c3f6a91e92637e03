"""A message as an admin names it: by its link, by its id, or by replying to it."""

import dataclasses
import re

from bot.admin_cog import Context, WrongValue

_LINK = re.compile(
    r"<?https://(?:(?:ptb|canary)\.)?discord(?:app)?\.com/channels/"
    r"([0-9]{15,20})/([0-9]{15,20})/([0-9]{15,20})>?"
)
_ID = re.compile(r"(?:([0-9]{15,20})-)?([0-9]{15,20})")


@dataclasses.dataclass(frozen=True)
class Named:
    """A message of this server; the channel is None where only the id was given."""

    message_id: int
    channel_id: int | None = None


def read(context: Context, text: str, command: str) -> Named:
    """Which message is meant. Raises `WrongValue`, a sentence, if none can be."""
    text = text.strip()
    if not text:
        replied = context.message.reference if not context.interaction else None
        if replied and replied.message_id:
            return Named(replied.message_id, replied.channel_id)
    elif link := _LINK.fullmatch(text):
        if context.guild and int(link[1]) == context.guild.id:
            return Named(_snowflake(link[3]), _snowflake(link[2]))
        raise WrongValue("That message is not of this server.")
    elif match := _ID.fullmatch(text):
        return Named(_snowflake(match[2]), _snowflake(match[1]) if match[1] else None)
    raise WrongValue(
        f"{command} takes a message: its link, its id, or a reply to it that says !{command}."
    )


def link(guild_id: int, channel_id: int, message_id: int) -> str:
    """Where a message is, to click on."""
    return f"https://discord.com/channels/{guild_id}/{channel_id}/{message_id}"


def _snowflake(digits: str) -> int:
    """An id, cut to what SQLite can hold, where there is no such message anyway."""
    return min(int(digits), 2**63 - 1)
