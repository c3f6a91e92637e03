"""The bot: one process, one Discord connection, one model.

    python -m bot.main [--env PATH] [--supervised]

Exit codes: 0 asked to stop, 75 restart me, 78 a person must fix something, anything else a crash.
`--supervised`: closing stdin asks the bot to finish and leave.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import faulthandler
import itertools
import logging
import os
import sqlite3
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import discord
import psutil
from discord.ext import commands

from bot import config, gateway, logs
from bot.commands import add_commands, sync, watch_consent
from bot.config import Config, UserError
from bot.errands import Errands
from bot.gateway import RETRY_SECONDS
from bot.handlers import Handler
from bot.recall import Recall
from bot.sending import NOBODY
from bot.stopping import on_stop_request
from bot.writing import Writer
from data import discord_api, speaking_policy
from model import catalog
from model.inference import AnyEngine, Engine
from model.remote_engine import RemoteEngine
from storage import database, messages

log = logging.getLogger("bot.main")

BEAT_SECONDS = 2.0
HUNG_SECONDS = 15.0  # without a beat; the supervisor loses patience after 20
FINISH_SECONDS = 2.0  # it gives us 3 to leave
AUTHENTICATION_FAILED = 4004


def main() -> int:
    arguments = _arguments()
    faulthandler.enable()  # native code that crashes shows where
    try:
        settings = config.load(arguments.env)
        logs.setup(settings.log_level)
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            engine = choose_engine(settings, connection)
            return asyncio.run(run(settings, connection, engine, arguments.supervised))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        return 0


def choose_engine(settings: Config, connection: sqlite3.Connection) -> AnyEngine:
    """The server in ENGINE_URL, else a worker with the model to run."""
    if settings.engine_url:
        return RemoteEngine(
            settings.engine_url,
            model=settings.engine_model,
            key=settings.engine_key,
            embedder_dir=settings.models_dir,
            embedder=settings.embedder,
            context_length=settings.context_length,
            threads=settings.threads,
        )
    return Engine(
        choose_model(settings, connection),
        embedder_dir=settings.models_dir,
        embedder=settings.embedder,
        context_length=settings.context_length,
        threads=settings.threads,
        gpu_layers=settings.gpu_layers,
    )


def choose_model(settings: Config, connection: sqlite3.Connection) -> Path:
    """The model to run: MODEL_PATH, else the chosen one, else BASE_MODEL, else the small one."""
    path = settings.model_path or database.chosen_path(connection) or settings.base_model
    path = path or catalog.small_model(settings.models_dir)
    catalog.check_gguf(path)
    return path


async def run(
    settings: Config, connection: sqlite3.Connection, engine: AnyEngine, is_supervised: bool
) -> int:
    """Load the model, connect, and stay until asked to stop; the exit code."""
    discord_api.use(settings.api_base)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we do not speak
    recall = Recall(engine, settings.database_path, settings.embeddings_dir)
    own_id, policy = settings.application_id, speaking_policy.load(settings.participation_path)
    writer = Writer(connection, engine, recall, own_id)
    cache_seconds = settings.response_cache_seconds
    answerer = Handler(connection, engine, writer, own_id, policy, cache_seconds=cache_seconds)
    leaving = Leaving(answerer)
    parts = Parts(settings, connection, engine, recall, writer, answerer, leaving, is_supervised)
    leaving.talking = talking = asyncio.create_task(_talk(parts))
    beating = asyncio.create_task(_beat_forever(connection, engine))
    on_stop_request(leaving.ask, watch_stdin=is_supervised)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await talking
    finally:
        beating.cancel()
        await engine.close()
        recall.close()
    return leaving.exit_code


async def _talk(parts: "Parts") -> None:
    await asyncio.gather(parts.engine.start(), parts.writer.open(parts.settings.database_path))
    indexing = asyncio.create_task(parts.recall.index_forever())
    try:
        shards = await gateway.shards(parts.settings)
        database.remember(parts.connection, "shards", str(shards))  # the launcher counts the logins
        bot = PersonaBot(parts) if shards == 1 else ShardedPersonaBot(parts, shard_count=shards)
        await _stay_connected(bot, parts.settings)
    finally:
        indexing.cancel()
    if bot.failure:
        raise bot.failure


class Leaving:
    """A request to stop, followed when the reply in progress is finished."""

    def __init__(self, answerer: Handler) -> None:
        self.is_asked, self.exit_code = False, 0
        self.talking: asyncio.Task[None] | None = None  # what keeps us connected
        self._answerer = answerer

    def ask(self) -> None:
        """Let what is being written be finished, then end the task that keeps us connected."""
        if not self.is_asked:
            self.is_asked = True
            self._task = asyncio.ensure_future(self._follow())

    def ask_to_restart(self) -> None:
        """The same, and have the supervisor start a new process."""
        self.exit_code = config.RESTART_ME
        self.ask()

    async def _follow(self) -> None:
        log.info("stopping")
        deadline = time.monotonic() + FINISH_SECONDS
        while self._answerer.in_flight and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.talking:
            self.talking.cancel()


@dataclasses.dataclass(frozen=True)
class Parts:
    """What the bot is made of."""

    settings: Config
    connection: sqlite3.Connection
    engine: AnyEngine
    recall: Recall
    writer: Writer
    answerer: Handler
    leaving: Leaving
    is_supervised: bool


class PersonaBot(commands.Bot):
    """discord.py's events, handed to the handler and the admin commands."""

    def __init__(self, parts: Parts, **how: Any) -> None:
        intents = discord.Intents(
            guilds=True,
            guild_messages=True,
            guild_reactions=True,
            guild_typing=True,
            emojis_and_stickers=True,
            message_content=True,
        )
        super().__init__(
            command_prefix="!",
            help_command=None,
            intents=intents,
            allowed_mentions=NOBODY,
            max_messages=None,
            member_cache_flags=discord.MemberCacheFlags.none(),
            chunk_guilds_at_startup=False,
            **how,
        )
        self.failure: UserError | None = None
        self._parts, self._answerer = parts, parts.answerer
        self._settings, self._database = parts.settings, parts.connection

    async def setup_hook(self) -> None:
        parts, restart = self._parts, self._parts.leaving.ask_to_restart
        await add_commands(
            self,
            parts.settings,
            parts.connection,
            parts.engine,
            parts.recall,
            restart,
            Errands(self, parts.connection, restart) if parts.is_supervised else None,
        )
        watch = watch_consent(self, parts.connection, parts.settings.server_id)
        self._watching = asyncio.create_task(watch)

    async def on_ready(self) -> None:
        if self.get_guild(self._settings.server_id) is None:
            self.failure = discord_api.not_a_member(self._settings)
            await self.close()
            return
        await sync(self, self._database, self._settings.server_id)
        log.info("connected as %d to server %d", self.application_id, self._settings.server_id)

    async def on_message(self, message: discord.Message) -> None:
        if self._parts.leaving.is_asked or message.author.bot or message.webhook_id:
            return
        if not self._is_ours(message):
            return
        context = await self.get_context(message)
        if context.command is None:
            await self._answerer.handle(message)
        elif message.author.id in self._settings.admin_ids:  # for others nothing happens
            await self.invoke(context)

    async def on_raw_typing(self, event: discord.RawTypingEvent) -> None:
        if event.user_id != self.application_id:
            self._answerer.bursts.typed(event.channel_id, event.user_id)

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

    def _is_ours(self, message: discord.Message) -> bool:
        """Whether the message was written in the server and one of the channels we serve."""
        if not message.guild or message.guild.id != self._settings.server_id:
            return False
        chosen = self._settings.channel_ids
        parent = getattr(message.channel, "parent_id", None)
        return not chosen or message.channel.id in chosen or parent in chosen


class ShardedPersonaBot(PersonaBot, commands.AutoShardedBot):
    """The same on several connections, each of which is told of its share of the servers.

    Not for one: after an outage discord.py logs in anew here, and misses what was said meanwhile.
    """


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


async def _beat_forever(connection: sqlite3.Connection, engine: AnyEngine) -> None:
    """Write a sign of life that stops when the event loop does; then say where it is stuck."""
    started = time.time()
    while True:
        # written by a thread that needs no Python: functions and line numbers, no values
        faulthandler.dump_traceback_later(HUNG_SECONDS)
        beat = database.Heartbeat(os.getpid(), started, time.time(), _memory_mb(), engine.name)
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
