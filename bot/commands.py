"""What admins may ask of the bot, as `!command` and as `/command`."""

import asyncio
import contextlib
import hashlib
import json
import logging
import sqlite3
import time

import discord
from discord import app_commands
from discord.ext import commands

from bot.admin_cog import NOBODY, AdminCog, Context, answer
from bot.config import Config, UserError
from data import fetcher, privacy
from storage import database, messages

log = logging.getLogger(__name__)

TELL_SECONDS = 10.0  # between two words about how far a fetch is


class Admin(AdminCog):
    """How the bot is doing, how it is set, and what it should fetch."""

    def __init__(self, config: Config, connection: sqlite3.Connection, model: str) -> None:
        super().__init__(config.admin_ids)
        self._config, self._connection, self._model = config, connection, model
        self._started = time.time()
        self._fetching: asyncio.Task[None] | None = None

    async def cog_unload(self) -> None:
        if self._fetching:
            self._fetching.cancel()

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
        await answer(context, "\n".join(lines))

    @commands.hybrid_command(description="Set the share of messages answered")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def setrate(self, context: Context, rate: commands.Range[float, 0.0, 1.0]) -> None:
        """Set the response rate: 0.05 is one message in twenty."""
        database.change_setting(self._connection, "response_rate", rate)
        log.info("response rate set to %g by %d", rate, context.author.id)
        await answer(context, f"Answering {rate:.0%} of messages now.")

    @commands.hybrid_command(description="Fetch the messages that are not known yet")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def fetch(self, context: Context) -> None:
        """Fetch what is new in the server, and tell how it went in the answer."""
        if self._fetching and not self._fetching.done():
            await answer(context, "A fetch is running already.")
            return
        if not database.has_permission(self._connection):
            raise privacy.permission_needed()
        told = await answer(context, "Fetching ...")
        self._fetching = asyncio.create_task(self._fetch(told))

    async def _fetch(self, told: discord.Message) -> None:
        progress = _Progress()
        telling = asyncio.create_task(progress.tell_forever(told))
        try:
            report = await fetcher.fetch(self._config, self._connection, progress.update)
            outcome = "\n".join(report.sentences())
        except UserError as error:
            outcome = f"The fetch did not work: {error}"
        except Exception as error:
            log.exception("the fetch failed")
            outcome = f"The fetch broke off ({type(error).__name__}); what was stored is kept."
        finally:
            telling.cancel()
        await _edit(told, outcome)


class _Progress:
    """How far a fetch is, told now and then by editing the answer to who asked for it."""

    def __init__(self) -> None:
        self._done = self._channels = self._messages = 0

    def update(self, done: int, channels: int, count: int) -> None:
        self._done, self._channels, self._messages = done, channels, count

    async def tell_forever(self, told: discord.Message) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await _edit(
                told,
                f"Fetching: {self._done:,} of {self._channels:,} channels, "
                f"{self._messages:,} messages so far ...",
            )


async def _edit(told: discord.Message, text: str) -> None:
    with contextlib.suppress(discord.HTTPException):  # deleted, or a slash answer grown too old
        await told.edit(content=text, allowed_mentions=NOBODY)


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
