"""An answer that goes on: edited as things move, and written anew where it cannot be edited."""

import contextlib

import discord

from bot.admin_cog import NOBODY, shortened

Editable = discord.Message | discord.PartialMessage


class Telling:
    """One answer to a command, kept up to date.

    A slash command's answer can be edited for 15 minutes; what comes later is an ordinary message.
    """

    def __init__(self, message: Editable, channel: discord.abc.Messageable) -> None:
        self._message, self._channel = message, channel
        self._said = ""

    async def say(self, text: str) -> bool:
        """Have the answer read so, unless it does; False where there is no network."""
        text = shortened(text)
        if text == self._said:
            return True
        try:
            await self._message.edit(content=text, allowed_mentions=NOBODY)
        except discord.HTTPException:
            await self._say_anew(text)
        except OSError:
            return False
        self._said = text
        return True

    async def _say_anew(self, text: str) -> None:
        with contextlib.suppress(discord.HTTPException, OSError):  # we may not write here
            self._message = await self._channel.send(text, allowed_mentions=NOBODY)
