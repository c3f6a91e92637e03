"""What admins may ask of the bot, as `!command` and as `/command`. For everybody else: nothing."""

import hashlib
import json
import logging
import sqlite3
import time
from typing import Any

import discord
from discord import app_commands
from discord.ext import commands

from storage import database, messages

log = logging.getLogger(__name__)

Context = commands.Context[Any]


class Admin(commands.Cog):
    """Commands for the people in ADMIN_USERS, by their exact id."""

    def __init__(
        self, connection: sqlite3.Connection, admin_ids: frozenset[int], model: str
    ) -> None:
        self._connection, self._admin_ids, self._model = connection, admin_ids, model
        self._started = time.time()

    async def cog_check(self, context: Context) -> bool:
        return context.author.id in self._admin_ids

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(description="How the bot is doing")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def status(self, context: Context) -> None:
        """Say what is running and how it is set."""
        settings = database.settings(self._connection)
        lines = [
            f"Up {(time.time() - self._started) / 3600:.1f} h with {self._model}",
            f"Answers {settings.response_rate:.0%} of messages, and always when mentioned",
            f"Temperature {settings.temperature:g}, at most {settings.max_tokens} tokens",
            f"Messages known: {messages.count(self._connection):,}",
        ]
        await context.send("\n".join(lines), ephemeral=True)

    @commands.hybrid_command(description="Set the share of messages answered")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def setrate(self, context: Context, rate: commands.Range[float, 0.0, 1.0]) -> None:
        """Set the response rate: 0.05 is one message in twenty."""
        database.change_setting(self._connection, "response_rate", rate)
        log.info("response rate set to %g by %d", rate, context.author.id)
        await context.send(f"Answering {rate:.0%} of messages now.", ephemeral=True)

    async def cog_command_error(self, context: Context, error: Exception) -> None:
        """Tell an admin what was wrong with a command; tell others nothing."""
        if isinstance(error, commands.CheckFailure):
            if context.interaction:
                await context.send("This command is for the bot's admins.", ephemeral=True)
            return
        log.warning("command %s failed: %s", context.command, type(error).__name__)
        usage = f"{context.prefix}{context.command} {context.command and context.command.signature}"
        await context.send(f"That did not work: {error} Usage: {usage}", ephemeral=True)


async def sync(bot: commands.Bot, connection: sqlite3.Connection, server_id: int) -> None:
    """Tell Discord about the slash commands, only when they changed since the last time."""
    guild = discord.Object(server_id)
    bot.tree.copy_global_to(guild=guild)
    payload = [command.to_dict(bot.tree) for command in bot.tree.get_commands(guild=guild)]
    described = json.dumps([server_id, payload], sort_keys=True, default=str)
    digest = hashlib.sha256(described.encode()).hexdigest()
    if database.recall(connection, "synced_commands") != digest:
        await bot.tree.sync(guild=guild)
        database.remember(connection, "synced_commands", digest)
        log.info("slash commands synced")
