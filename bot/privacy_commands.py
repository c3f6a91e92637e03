"""What admins may ask about a person: `!exclude` and `!include`. For everybody else: nothing."""

import asyncio
import contextlib
import logging
import re
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.config import Config, UserError
from data import erasure
from data.erasure import Erasure
from storage import database, people

log = logging.getLogger(__name__)

Context = commands.Context[Any]

NOBODY = discord.AllowedMentions.none()
_PERSON = re.compile(r"<@!?([0-9]{15,20})>|([0-9]{15,20})")


class PrivacyCommands(commands.Cog):
    """Commands for the people in ADMIN_USERS, by their exact id. Answers hold no text of anybody's.

    An erasure runs on a thread, with a connection of its own, while the bot goes on.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._one_at_a_time = asyncio.Lock()

    async def cog_check(self, context: Context) -> bool:
        return context.author.id in self._config.admin_ids

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(hidden=True, description="Exclude a person and erase what is known")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def exclude(self, context: Context, person: str, *, reason: str = "") -> None:
        """Erase a person, given as a mention or an id, and store nothing of theirs any more."""
        user_id = _id_of(person)
        await context.defer(ephemeral=True)
        async with self._one_at_a_time:
            done = await asyncio.to_thread(self._erase, user_id, reason, context.author.id)
        await context.send(_outcome(user_id, done), ephemeral=True, allowed_mentions=NOBODY)

    @commands.hybrid_command(hidden=True, description="Let an excluded person in again")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def include(self, context: Context, person: str) -> None:
        """Take an exclusion back; what was erased comes back only with a new fetch."""
        user_id = _id_of(person)
        was_excluded = await asyncio.to_thread(self._include, user_id)
        outcome = "is no longer excluded" if was_excluded else "was not excluded"
        log.info("%d %s, asked by %d", user_id, outcome, context.author.id)
        await context.send(f"{user_id} {outcome}.", ephemeral=True, allowed_mentions=NOBODY)

    async def cog_command_error(self, context: Context, error: Exception) -> None:
        """Tell an admin what was wrong with a command; tell others nothing."""
        if isinstance(error, commands.CheckFailure):
            if context.interaction:
                await context.send("This command is for the bot's admins.", ephemeral=True)
            return
        cause = _cause(error)
        log.warning("command %s failed: %s", context.command, type(cause).__name__)
        is_told = isinstance(cause, (UserError, commands.UserInputError))
        what = f"That did not work: {cause}" if is_told else "That did not work; see the log."
        await context.send(what, ephemeral=True, allowed_mentions=NOBODY)

    def _erase(self, user_id: int, reason: str, admin: int) -> Erasure:
        with contextlib.closing(database.connect(self._config.database_path)) as connection:
            return erasure.erase(self._config, connection, user_id, reason, admin)

    def _include(self, user_id: int) -> bool:
        with contextlib.closing(database.connect(self._config.database_path)) as connection:
            return people.include(connection, user_id)


def _id_of(person: str) -> int:
    match = _PERSON.fullmatch(person.strip())
    if not match:
        raise commands.BadArgument("Name the person by a mention or by their id.")
    return int(match[1] or match[2])


def _cause(error: BaseException) -> BaseException:
    """What went wrong within a command, which discord.py wraps once or twice."""
    while isinstance(
        error,
        (commands.CommandInvokeError, commands.HybridCommandError, app_commands.CommandInvokeError),
    ):
        error = error.original
    return error


def _outcome(user_id: int, done: Erasure) -> str:
    """The outcome in two or three lines, without a word of what the person wrote."""
    lines = [f"{user_id} is excluded. Messages erased: {done.removed['messages']:,}."]
    if done.models:
        lines.append(f"Models that learned from them, to be trained anew: {', '.join(done.models)}")
    if not done.is_complete:
        lines.append(
            f"Something is left. Stop the bot and run: python scripts/forget_person.py {user_id}"
        )
    return "\n".join(lines)
