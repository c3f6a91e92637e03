"""A channel of a real client in the sandbox, in which an admin and a member talk to the bot."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import discord
from discord.ext import commands

from bot import config
from bot.config import Config
from bot.servers import Server, Servers, open_server
from data.discord_api import use
from sandbox.interactions import Interaction
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Person, Place, Post, World
from storage import database
from tests.bot.scripted import Scripted
from tests.sandbox.conftest import ALICE, SECONDS, Client, online


class Bot(Client, commands.Bot):
    """A real bot that keeps every event it is told of."""


MakeCog = Callable[[Bot, Servers], commands.Cog]


class Room:
    """A channel of one of the servers, in which an admin and a member talk to the bot."""

    def __init__(self, sandbox: Sandbox, servers: Servers, bot: Bot, server: Server) -> None:
        self.sandbox, self.servers, self.bot, self.server = sandbox, servers, bot, server
        self.database = server.connection
        (self.admin_id,) = server.config.admin_ids
        self.place = next(p for p in sandbox.world.places.values() if self._is_here(p))

    async def ask(self, text: str, author: int | None = None, **how: Any) -> str:
        """What the bot says to a message, of an admin's unless somebody else is named."""
        asked = await self.say(text, author, **how)
        await self.bot.sees(lambda: bool(self._answers(asked)))
        return self._answers(asked)[-1].content

    async def say(self, text: str, author: int | None = None, **how: Any) -> Post:
        who = author or self.admin_id
        return await self.sandbox.say(self.place.id, who, text, **how)

    async def use(self, name: str, author: int | None = None, **options: Any) -> Interaction:
        """Somebody uses a slash command, an admin unless somebody else is named; answered."""
        who = author or self.admin_id
        used = await self.sandbox.actions.invoke(self.place.id, who, self.command(name), options)
        await asyncio.wait_for(used.answered.wait(), SECONDS)
        return used

    async def suggested(self, name: str, focused: str, **options: Any) -> list[str]:
        """What the bot suggests to an admin who types an option."""
        typing = await self.sandbox.actions.complete(
            self.place.id, self.admin_id, self.command(name), options, focused
        )
        await asyncio.wait_for(typing.answered.wait(), SECONDS)
        return [choice["value"] for choice in typing.choices]

    def command(self, name: str) -> dict[str, Any]:
        """A slash command as it was synced."""
        here = self.sandbox.world.commands_in(self.place.id)
        return next(command for command in here if command["name"] == name)

    @property
    def said(self) -> list[str]:
        """All that the bot said to everybody."""
        own = self.sandbox.world.bot_id
        return [post.content for post in self.place.posts if post.author_id == own]

    def _is_here(self, place: Place) -> bool:
        guild = self.sandbox.world.guild_of(place.id)
        return guild is not None and guild.id == self.server.id

    def _answers(self, asked: Post) -> list[Post]:
        own = self.sandbox.world.bot_id
        return [post for post in self.place.posts if post.id > asked.id and post.author_id == own]


@contextlib.asynccontextmanager
async def room(
    folder: Path, make_cog: MakeCog, engine: Scripted | None = None
) -> AsyncIterator[Room]:
    """One server."""
    async with rooms([folder], make_cog, engine) as (here,):
        yield here


@contextlib.asynccontextmanager
async def rooms(
    folders: Sequence[Path], make_cog: MakeCog, engine: Scripted | None = None
) -> AsyncIterator[list[Room]]:
    """A server for each folder, where its data goes, with an admin of its own, and one bot."""
    world = World("Test server")
    ids = [world.guild_id, *(world.add_server(folder.name) for folder in folders[1:])]
    for server_id in ids:
        world.add_place("general", server_id=server_id)
    world.add_person(ALICE, "amber")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        use(sandbox.api)
        servers: dict[int, Server] = {}
        for folder, server_id in zip(folders, ids, strict=True):
            admin_id = world.owner_id + len(servers)
            world.people.setdefault(admin_id, Person(admin_id, "admin"))
            settings = _settings(folder, sandbox, server_id, admin_id)
            connection = database.connect(settings.database_path)
            servers[server_id] = open_server(settings, connection, engine or Scripted())
        bot = Bot(command_prefix="!", help_command=None, intents=discord.Intents.all())
        await bot.add_cog(make_cog(bot, servers))
        async with online(sandbox, bot):
            await bot.sees(lambda: not any(guild.unavailable for guild in bot.guilds))
            yield [Room(sandbox, servers, bot, server) for server in servers.values()]
        assert not sandbox.actions.pings


def _settings(folder: Path, sandbox: Sandbox, server_id: int, admin_id: int) -> Config:
    folder.mkdir(exist_ok=True)
    own = {"SERVER_ID": str(server_id), "ADMIN_USERS": str(admin_id)}
    return config.load(write_env(folder, sandbox, MODELS_DIR=str(folder / "models"), **own))
