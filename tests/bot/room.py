"""A channel of a real client in the sandbox, in which an admin and a member talk to the bot."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import discord
from discord.ext import commands

from bot import config
from bot.servers import Servers, open_server
from data.discord_api import use
from sandbox.interactions import Interaction
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import Post, World
from storage import database
from tests.bot.scripted import Scripted
from tests.sandbox.conftest import ALICE, SECONDS, Client, online


class Bot(Client, commands.Bot):
    """A real bot that keeps every event it is told of."""


MakeCog = Callable[[Bot, Servers], commands.Cog]


class Room:
    """A channel in which an admin and a member talk to the bot."""

    def __init__(self, sandbox: Sandbox, servers: Servers, bot: Bot) -> None:
        self.sandbox, self.servers, self.bot = sandbox, servers, bot
        (self.server,) = servers.values()
        self.database = self.server.connection
        self.place = next(iter(sandbox.world.places.values()))

    async def ask(self, text: str, author: int | None = None, **how: Any) -> str:
        """What the bot says to a message, of an admin's unless somebody else is named."""
        asked = await self.say(text, author, **how)
        await self.bot.sees(lambda: bool(self._answers(asked)))
        return self._answers(asked)[-1].content

    async def say(self, text: str, author: int | None = None, **how: Any) -> Post:
        who = author or self.sandbox.world.owner_id
        return await self.sandbox.say(self.place.id, who, text, **how)

    async def use(self, name: str, author: int | None = None, **options: Any) -> Interaction:
        """Somebody uses a slash command, an admin unless somebody else is named; answered."""
        who = author or self.sandbox.world.owner_id
        used = await self.sandbox.actions.invoke(self.place.id, who, self.command(name), options)
        await asyncio.wait_for(used.answered.wait(), SECONDS)
        return used

    async def suggested(self, name: str, focused: str, **options: Any) -> list[str]:
        """What the bot suggests to an admin who types an option."""
        typing = await self.sandbox.actions.complete(
            self.place.id, self.sandbox.world.owner_id, self.command(name), options, focused
        )
        await asyncio.wait_for(typing.answered.wait(), SECONDS)
        return [choice["value"] for choice in typing.choices]

    def command(self, name: str) -> dict[str, Any]:
        """A slash command as it was synced."""
        return next(c for c in self.sandbox.world.commands if c["name"] == name)

    @property
    def said(self) -> list[str]:
        """All that the bot said to everybody."""
        own = self.sandbox.world.bot_id
        return [post.content for post in self.place.posts if post.author_id == own]

    def _answers(self, asked: Post) -> list[Post]:
        own = self.sandbox.world.bot_id
        return [post for post in self.place.posts if post.id > asked.id and post.author_id == own]


@contextlib.asynccontextmanager
async def room(
    folder: Path, make_cog: MakeCog, engine: Scripted | None = None
) -> AsyncIterator[Room]:
    world = World("Test server")
    world.add_place("general")
    world.add_person(ALICE, "amber")
    async with Sandbox(world, has_rate_limits=False) as sandbox:
        use(sandbox.api)
        settings = config.load(write_env(folder, sandbox, MODELS_DIR=str(folder / "models")))
        connection = database.connect(settings.database_path)
        server = open_server(settings, connection, engine or Scripted())
        servers = {server.id: server}
        bot = Bot(command_prefix="!", help_command=None, intents=discord.Intents.all())
        await bot.add_cog(make_cog(bot, servers))
        async with online(sandbox, bot):
            yield Room(sandbox, servers, bot)
        assert not sandbox.actions.pings
