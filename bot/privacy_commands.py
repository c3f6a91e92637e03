"""What admins may ask about a person: `!exclude` and `!include`. For everybody else: nothing."""

import asyncio
import contextlib
import logging
import re

from discord import app_commands
from discord.ext import commands

from bot import more_servers
from bot.admin_cog import AdminCog, Context, answer
from bot.config import Config
from data import erasure
from data.erasure import Erasure
from storage import database, people

log = logging.getLogger(__name__)

_PERSON = re.compile(r"<@!?([0-9]{15,20})>|([0-9]{15,20})")


class PrivacyCommands(AdminCog):
    """Answers hold no text of anybody's.

    An erasure runs on a thread, with a connection of its own, while the bot goes on.
    """

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(hidden=True, description="Exclude a person and erase what is known")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def exclude(self, context: Context, person: str, *, reason: str = "") -> None:
        """Erase a person, given as a mention or an id, and store nothing of theirs any more."""
        user_id = _id_of(person)
        await context.defer(ephemeral=True)
        done = await asyncio.to_thread(
            _erase, self._here(context).config, user_id, reason, context.author.id
        )
        option = more_servers.option(self._here(context).config.env_path)
        await answer(context, _outcome(user_id, done, option))

    @commands.hybrid_command(hidden=True, description="Let an excluded person in again")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def include(self, context: Context, person: str) -> None:
        """Take an exclusion back; what was erased comes back only with a new fetch."""
        user_id = _id_of(person)
        was_excluded = await asyncio.to_thread(_include, self._here(context).config, user_id)
        outcome = "is no longer excluded" if was_excluded else "was not excluded"
        log.info("%d %s, asked by %d", user_id, outcome, context.author.id)
        await answer(context, f"{user_id} {outcome}.")


def _erase(config: Config, user_id: int, reason: str, admin: int) -> Erasure:
    with contextlib.closing(database.connect(config.database_path)) as connection:
        return erasure.erase(config, connection, user_id, reason, admin)


def _include(config: Config, user_id: int) -> bool:
    with contextlib.closing(database.connect(config.database_path)) as connection:
        return people.include(connection, user_id)


def _id_of(person: str) -> int:
    match = _PERSON.fullmatch(person.strip())
    if not match:
        raise commands.BadArgument("Name the person by a mention or by their id.")
    return int(match[1] or match[2])


def _outcome(user_id: int, done: Erasure, option: str) -> str:
    """The outcome in two or three lines, without a word of what the person wrote."""
    lines = [f"{user_id} is excluded. Messages erased: {done.removed['messages']:,}."]
    if done.models:
        lines.append(f"Models that learned from them, to be trained anew: {', '.join(done.models)}")
    if not done.is_complete:
        lines.append(
            "Something is left. Stop the bot and run: python scripts/forget_person.py "
            f"{user_id}{option}"
        )
    return "\n".join(lines)
