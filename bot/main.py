"""The bot: one process, one Discord connection, one model.

    python -m bot.main [--env PATH] [--supervised]

Exit codes: 0 asked to stop, 75 restart me, 78 a person must fix something, anything else a crash.
`--supervised`: closing stdin asks the bot to finish and leave.
"""

import argparse
import asyncio
import contextlib
import faulthandler
import itertools
import logging
import os
import sqlite3
import sys
import time
from pathlib import Path

import aiohttp
import discord
import psutil
from discord.ext import commands

from bot import config, logs
from bot.commands import Admin, sync
from bot.config import Config, UserError
from bot.handlers import NOBODY, Handler
from bot.privacy_commands import PrivacyCommands
from bot.recall import Recall
from bot.stopping import on_stop_request
from data import discord_api
from model import catalog
from model.inference import Engine
from storage import database, messages

log = logging.getLogger("bot.main")

BEAT_SECONDS = 2.0
HUNG_SECONDS = 15.0  # without a beat; the supervisor loses patience after 20
FINISH_SECONDS = 2.0  # it gives us 3 to leave
RETRY_SECONDS = (1, 2, 5, 10, 30)
AUTHENTICATION_FAILED = 4004


def main() -> int:
    arguments = _arguments()
    faulthandler.enable()  # native code that crashes shows where
    try:
        settings = config.load(arguments.env)
        logs.setup(settings.log_level)
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            model = choose_model(settings, connection)
            asyncio.run(run(settings, connection, model, arguments.supervised))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        return 0
    return 0


def choose_model(settings: Config, connection: sqlite3.Connection) -> Path:
    """The model to run: MODEL_PATH, else the deployed one, else BASE_MODEL, else the small one."""
    deployed = database.deployed_model(connection)
    path = settings.model_path or (deployed and deployed.path) or settings.base_model
    path = path or catalog.small_model(settings.models_dir)
    catalog.check_gguf(path)
    return path


async def run(
    settings: Config, connection: sqlite3.Connection, model: Path, is_supervised: bool
) -> None:
    """Load the model, connect, and stay until asked to stop."""
    discord_api.use(settings.api_base)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we do not speak
    engine = Engine(
        model,
        embedder_dir=settings.models_dir,
        embedder=settings.embedder,
        context_length=settings.context_length,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )
    recall = Recall(engine, settings.database_path, settings.embeddings_dir)
    bot = PersonaBot(settings, connection, engine, recall)
    talking = asyncio.create_task(_talk(bot, engine, recall, settings))
    beating = asyncio.create_task(_beat_forever(connection, model.stem))
    on_stop_request(lambda: bot.request_stop(talking), watch_stdin=is_supervised)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await talking
    finally:
        beating.cancel()
        await engine.close()
        recall.close()
    if bot.failure:
        raise bot.failure


async def _talk(bot: "PersonaBot", engine: Engine, recall: Recall, settings: Config) -> None:
    await engine.start()
    indexing = asyncio.create_task(recall.index_forever())
    try:
        await _stay_connected(bot, settings)
    finally:
        indexing.cancel()


class PersonaBot(commands.Bot):
    """discord.py's events, handed to the handler and the admin commands."""

    def __init__(
        self, settings: Config, connection: sqlite3.Connection, engine: Engine, recall: Recall
    ) -> None:
        intents = discord.Intents(
            guilds=True, guild_messages=True, guild_reactions=True, message_content=True
        )
        super().__init__(
            command_prefix="!",
            help_command=None,
            intents=intents,
            allowed_mentions=NOBODY,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
        )
        self.failure: UserError | None = None
        self._settings, self._database = settings, connection
        self._answerer = Handler(connection, engine, recall, settings.application_id)
        self._stopping = False
        self._model_name = engine.name

    async def setup_hook(self) -> None:
        await self.add_cog(Admin(self._settings, self._database, self._model_name))
        await self.add_cog(PrivacyCommands(self._settings))

    async def on_ready(self) -> None:
        if self.get_guild(self._settings.server_id) is None:
            self.failure = discord_api.not_a_member(self._settings)
            await self.close()
            return
        await sync(self, self._database, self._settings.server_id)
        log.info("connected as %d to server %d", self.application_id, self._settings.server_id)

    async def on_message(self, message: discord.Message) -> None:
        if self._stopping or message.author.bot or not self._is_ours(message):
            return
        is_admin = message.author.id in self._settings.admin_ids
        if is_admin and (context := await self.get_context(message)).command:
            await self.invoke(context)
        else:
            await self._answerer.handle(message)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        content = event.data.get("content")
        if event.guild_id == self._settings.server_id and content is not None:
            messages.edit(self._database, event.message_id, content, time.time())

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        messages.mark_deleted(self._database, [event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        messages.mark_deleted(self._database, event.message_ids)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        messages.add_reaction(self._database, event.message_id, str(event.emoji), 1)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        messages.add_reaction(self._database, event.message_id, str(event.emoji), -1)

    def request_stop(self, talking: asyncio.Task[None]) -> None:
        """Finish the reply in progress, then end the task that keeps us connected."""
        if not self._stopping:
            self._stopping = True
            self._leaving = asyncio.ensure_future(self._leave(talking))

    async def _leave(self, talking: asyncio.Task[None]) -> None:
        log.info("stopping")
        deadline = time.monotonic() + FINISH_SECONDS
        while self._answerer.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        talking.cancel()

    def _is_ours(self, message: discord.Message) -> bool:
        """Whether the message was written in the server and one of the channels we serve."""
        if not message.guild or message.guild.id != self._settings.server_id:
            return False
        chosen = self._settings.channel_ids
        parent = getattr(message.channel, "parent_id", None)
        return not chosen or message.channel.id in chosen or parent in chosen


async def _stay_connected(bot: PersonaBot, settings: Config) -> None:
    """Log in, waiting for the network if need be, and run until the bot is closed."""
    async with bot:
        await _log_in(bot, settings)
        try:
            await bot.connect()
        except discord.PrivilegedIntentsRequired:
            raise discord_api.no_message_content(settings) from None
        except discord.ConnectionClosed as error:
            if error.code == AUTHENTICATION_FAILED:
                raise discord_api.refused(settings) from None
            raise


async def _log_in(bot: PersonaBot, settings: Config) -> None:
    for wait in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
        try:
            await bot.login(settings.token)
            return
        except discord.LoginFailure:
            raise discord_api.refused(settings) from None
        except (aiohttp.ClientError, OSError, discord.DiscordServerError) as error:
            reason = type(error).__name__
            log.warning("Discord cannot be reached (%s); trying again in %d s", reason, wait)
            await bot.http.close()  # the next attempt opens a session of its own
            await asyncio.sleep(wait)


async def _beat_forever(connection: sqlite3.Connection, model: str) -> None:
    """Write a sign of life that stops when the event loop does; then say where it is stuck."""
    started = time.time()
    while True:
        # written by a thread that needs no Python: functions and line numbers, no values
        faulthandler.dump_traceback_later(HUNG_SECONDS)
        beat = database.Heartbeat(os.getpid(), started, time.time(), _memory_mb(), model)
        try:
            database.beat(connection, "bot", beat)
        except sqlite3.Error as error:
            log.warning("no sign of life could be written: %s", error)
        await asyncio.sleep(BEAT_SECONDS)


def _memory_mb() -> float:
    """Resident memory of this process and the worker."""
    own, memory = psutil.Process(), 0
    for process in [own, *own.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            memory += process.memory_info().rss
    return memory / 2**20


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The bot process.")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument(
        "--supervised", action="store_true", help="closing stdin asks the bot to leave"
    )
    return parser.parse_args()


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # all is put away; the libraries' own goodbyes take up to a second
