"""The bot: one process, one login to Discord, one model in memory, and the servers it serves.

    python -m bot.main [--env PATH] [--supervised]

Exit codes: 0 asked to stop, 75 restart me, 78 a person must fix something, anything else a crash.
`--supervised`: closing stdin asks the bot to finish and leave.
"""

import argparse
import asyncio
import contextlib
import ctypes
import faulthandler
import itertools
import logging
import os
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import discord
import psutil
from discord.ext import commands

from bot import config, engines, gateway, logs, more_servers
from bot.commands import add_commands, sync, watch_consent
from bot.config import Config, UserError
from bot.errands import Errands
from bot.gateway import RETRY_SECONDS
from bot.sending import NOBODY
from bot.servers import Server, Servers, open_server
from bot.stopping import on_stop_request
from data import discord_api
from model.inference import AnyEngine
from storage import database, messages

log = logging.getLogger("bot.main")

BEAT_SECONDS = 2.0
HUNG_SECONDS = 15.0  # without a beat; the supervisor loses patience after 20
FINISH_SECONDS = 2.0  # it gives us 3 to leave
AUTHENTICATION_FAILED = 4004
_ARENA_MAX = -8  # M_ARENA_MAX of glibc's malloc.h


def main() -> int:
    arguments = _arguments()
    faulthandler.enable()  # native code that crashes shows where
    _keep_memory_together()
    try:
        settings = more_servers.load(arguments.env)
        logs.setup(settings[0].log_level)
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(_database(config)) for config in settings]
            places = list(zip(settings, opened, strict=True))
            voices = engines.choose(places)
            return asyncio.run(run(places, voices, arguments.supervised))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        return 0


def _keep_memory_together() -> None:
    """Have glibc take memory for all threads from two places, not from eight for each core.

    LanceDB's threads leave holes in each: of 10,000 messages added in tens, 130 MB instead of 40.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 2)


def _database(settings: Config) -> contextlib.closing[sqlite3.Connection]:
    return contextlib.closing(database.connect(settings.database_path))


async def run(
    places: Sequence[tuple[Config, sqlite3.Connection]],
    voices: Sequence[AnyEngine],
    is_supervised: bool,
) -> int:
    """Load the models, connect, and stay until asked to stop; the exit code.

    A place is a server, and has its engine among the `voices`, in the same order.
    """
    discord_api.use(places[0][0].api_base)
    discord.VoiceClient.warn_nacl = discord.VoiceClient.warn_dave = False  # we do not speak
    opened = [open_server(*place, voice) for place, voice in zip(places, voices, strict=True)]
    servers = {server.id: server for server in opened}
    leaving = Leaving(servers)
    leaving.talking = talking = asyncio.create_task(_talk(servers, leaving, is_supervised))
    beating = asyncio.create_task(_beat_forever(servers))
    on_stop_request(leaving.ask, watch_stdin=is_supervised)
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await talking
    finally:
        beating.cancel()
        for server in opened:
            await server.engine.close()
            server.recall.close()
    return leaving.exit_code


async def _talk(servers: Servers, leaving: "Leaving", is_supervised: bool) -> None:
    home, *_ = opened = list(servers.values())
    for server in opened:
        await asyncio.gather(server.engine.start(), server.writer.open(server.config.database_path))
    indexing = [asyncio.create_task(server.recall.index_forever()) for server in opened]
    try:
        shards = await gateway.shards(home.config)
        database.remember(home.connection, "shards", str(shards))  # the launcher counts the logins
        kind = PersonaBot if shards == 1 else ShardedPersonaBot
        bot = kind(servers, leaving, is_supervised, shard_count=shards)
        await _stay_connected(bot, home.config)
    finally:
        for task in indexing:
            task.cancel()
    if bot.failure:
        raise bot.failure


class Leaving:
    """A request to stop, followed when the reply in progress is finished."""

    def __init__(self, servers: Servers) -> None:
        self.is_asked, self.exit_code = False, 0
        self.talking: asyncio.Task[None] | None = None  # what keeps us connected
        self._answerers = [server.answerer for server in servers.values()]

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
        while any(one.in_flight for one in self._answerers) and time.monotonic() < deadline:
            await asyncio.sleep(0.05)
        if self.talking:
            self.talking.cancel()


class PersonaBot(commands.Bot):
    """discord.py's events, handed to what serves the server where they happen, and the commands."""

    def __init__(self, servers: Servers, leaving: Leaving, is_supervised: bool, **how: Any) -> None:
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
        self._servers, self._leaving, self._is_supervised = servers, leaving, is_supervised

    async def setup_hook(self) -> None:
        restart = self._leaving.ask_to_restart
        errands = Errands(self, self._servers, restart) if self._is_supervised else None
        await add_commands(self, self._servers, restart, errands)
        self._watching = asyncio.create_task(watch_consent(self, self._servers))

    async def on_ready(self) -> None:
        strange = [one for one in self._servers.values() if self.get_guild(one.id) is None]
        if len(strange) == len(self._servers):
            self.failure = discord_api.not_a_member(strange[0].config)
            await self.close()
            return
        for server in self._servers.values():
            if guild := self.get_guild(server.id):
                database.remember(server.connection, "server_name", guild.name)  # for the launcher
            else:
                log.error("%s", discord_api.not_a_member(server.config))
        await sync(self, self._servers)
        joined = [str(server_id) for server_id in self._servers if self.get_guild(server_id)]
        log.info("connected as %d to server %s", self.application_id, ", ".join(joined))

    async def on_message(self, message: discord.Message) -> None:
        if self._leaving.is_asked or message.author.bot or message.webhook_id:
            return
        server = self._server(message.guild.id if message.guild else None)
        if server is None or not server.serves(message.channel):
            return
        context = await self.get_context(message)
        if context.command is None:
            await server.answerer.handle(message)
        elif message.author.id in server.config.admin_ids:  # for others nothing happens
            await self.invoke(context)

    async def on_raw_typing(self, event: discord.RawTypingEvent) -> None:
        server = self._server(event.guild_id)
        if server and event.user_id != self.application_id:
            server.answerer.bursts.typed(event.channel_id, event.user_id)

    async def on_raw_message_edit(self, event: discord.RawMessageUpdateEvent) -> None:
        server, content = self._server(event.guild_id), event.data.get("content")
        if server and content is not None:
            messages.edit(server.connection, event.message_id, content, time.time())

    async def on_raw_message_delete(self, event: discord.RawMessageDeleteEvent) -> None:
        if server := self._server(event.guild_id):
            messages.mark_deleted(server.connection, [event.message_id])

    async def on_raw_bulk_message_delete(self, event: discord.RawBulkMessageDeleteEvent) -> None:
        if server := self._server(event.guild_id):
            messages.mark_deleted(server.connection, event.message_ids)

    async def on_raw_reaction_add(self, event: discord.RawReactionActionEvent) -> None:
        if server := self._server(event.guild_id):
            messages.add_reaction(server.connection, event.message_id, str(event.emoji), 1)

    async def on_raw_reaction_remove(self, event: discord.RawReactionActionEvent) -> None:
        if server := self._server(event.guild_id):
            messages.add_reaction(server.connection, event.message_id, str(event.emoji), -1)

    def _server(self, guild_id: int | None) -> Server | None:
        """The server where something happened, if we serve it."""
        return self._servers.get(guild_id or 0)


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


async def _beat_forever(servers: Servers) -> None:
    """Write a sign of life that stops when the event loop does; then say where it is stuck."""
    started = time.time()
    while True:
        # written by a thread that needs no Python: functions and line numbers, no values
        faulthandler.dump_traceback_later(HUNG_SECONDS)
        memory_mb = _memory_mb()
        for server in servers.values():
            name = server.engine.name
            beat = database.Heartbeat(os.getpid(), started, time.time(), memory_mb, name)
            try:
                database.beat(server.connection, "bot", beat)
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
