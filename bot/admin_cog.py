"""What all admin commands share: whom they hear, and what they say when something was wrong."""

import logging
from collections.abc import Collection
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.config import UserError

log = logging.getLogger(__name__)

Context = commands.Context[Any]

NOBODY = discord.AllowedMentions.none()
_WRAPPERS = (
    commands.CommandInvokeError,
    commands.HybridCommandError,
    app_commands.CommandInvokeError,
)


class AdminCog(commands.Cog):
    """Commands for the people in ADMIN_USERS, by their exact id. For everybody else: nothing."""

    def __init__(self, admin_ids: Collection[int]) -> None:
        self._admin_ids = admin_ids

    async def cog_check(self, context: Context) -> bool:
        return context.author.id in self._admin_ids

    async def cog_command_error(self, context: Context, error: Exception) -> None:
        """Tell an admin what was wrong with a command; tell others nothing."""
        if isinstance(error, commands.CheckFailure):
            if context.interaction:
                await answer(context, "This command is for the bot's admins.")
            return
        cause = _cause(error)
        log.warning("command %s failed: %s", context.command, type(cause).__name__)
        if isinstance(cause, commands.UserInputError) and context.command:
            usage = f"{context.prefix}{context.command} {context.command.signature}"
            await answer(context, f"That did not work: {cause} Usage: {usage}")
        elif isinstance(cause, UserError):
            await answer(context, f"That did not work: {cause}")
        else:
            await answer(context, "That did not work; see the log.")


async def answer(context: Context, text: str) -> discord.Message:
    """Say something to who asked; after a slash command, to nobody else."""
    return await context.send(text, ephemeral=True, allowed_mentions=NOBODY)


def _cause(error: BaseException) -> BaseException:
    """What went wrong within a command, which discord.py wraps once or twice."""
    while isinstance(error, _WRAPPERS):
        error = error.original
    return error
