"""What all admin commands share: whom they hear, and what they say when something was wrong."""

import logging
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.config import UserError
from bot.servers import Server, Servers

log = logging.getLogger(__name__)

Context = commands.Context[Any]

NOBODY = discord.AllowedMentions.none()
LONGEST = 1900  # characters of an answer; Discord takes 2000
_WRAPPERS = (
    commands.CommandInvokeError,
    commands.HybridCommandError,
    commands.ConversionError,
    app_commands.CommandInvokeError,
)


class WrongValue(commands.BadArgument):
    """A value that a command does not take; its text is a sentence that says which it takes."""


class AdminCog(commands.Cog):
    """Commands for the people in a server's ADMIN_USERS, by their exact id, about that server.

    For everybody else: nothing.
    """

    def __init__(self, servers: Servers) -> None:
        self._servers = servers

    async def cog_check(self, context: Context) -> bool:
        server = self._servers.get(context.guild.id) if context.guild else None
        return server is not None and context.author.id in server.config.admin_ids

    def _here(self, context: Context) -> Server:
        """The server where a command was given, which `cog_check` has seen."""
        assert context.guild
        return self._servers[context.guild.id]

    async def cog_command_error(self, context: Context, error: Exception) -> None:
        """Tell an admin what was wrong with a command; tell others nothing."""
        if isinstance(error, commands.CheckFailure):
            if context.interaction:
                await answer(context, _refusal(context))
            return
        cause = _cause(error)
        log.warning("command %s failed: %s", context.command, type(cause).__name__)
        await answer(context, _sentence(context, cause))


async def answer(context: Context, text: str) -> discord.Message:
    """Say something to who asked; after a slash command, to nobody else."""
    return await context.send(shortened(text), ephemeral=True, allowed_mentions=NOBODY)


def shortened(text: str) -> str:
    """A text that Discord takes."""
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _refusal(context: Context) -> str:
    if context.guild is None:
        return "This command works in the server, not in private."
    return "This command is for the bot's admins."


def _sentence(context: Context, cause: BaseException) -> str:
    """What to say of an error; nothing of what was typed is said again."""
    if isinstance(cause, WrongValue):
        return str(cause)
    if isinstance(cause, commands.MissingRequiredArgument):
        wanted = getattr(cause.param.converter, "sentence", "")  # of what says what it takes
        if wanted:
            return str(wanted)
    if isinstance(cause, commands.UserInputError) and context.command:
        usage = f"{context.prefix}{context.command} {context.command.signature}"
        return f"That did not work: {_said(cause)} Usage: {usage}"
    if isinstance(cause, UserError):
        return f"That did not work: {cause}"
    log.error("command %s", context.command, exc_info=cause)
    return "That did not work; see the log."


def _said(cause: commands.UserInputError) -> str:
    if isinstance(cause, commands.MissingRequiredArgument | commands.BadArgument):
        return str(cause)
    return "it cannot be read that way."  # discord.py would quote it, such as its quotation marks


def _cause(error: BaseException) -> BaseException:
    """What went wrong within a command, which discord.py wraps more than once."""
    while True:
        if isinstance(error, _WRAPPERS):
            error = error.original
        elif isinstance(error, app_commands.TransformerError) and error.__cause__:
            error = error.__cause__
        else:
            return error
