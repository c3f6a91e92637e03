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

    async def say(self, text: str) -> None:
        """Have the answer read so, unless it does."""
        text = shortened(text)
        if text == self._said:
            return
        self._said = text
        with contextlib.suppress(OSError):  # no network; the next word may get through
            try:
                await self._message.edit(content=text, allowed_mentions=NOBODY)
            except discord.HTTPException:
                await self._say_anew(text)

    async def _say_anew(self, text: str) -> None:
        with contextlib.suppress(discord.HTTPException):  # we may not write here: nobody to tell
            self._message = await self._channel.send(text, allowed_mentions=NOBODY)
