"""What the launcher runs for an admin: asked for in the database, and told of in Discord."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from discord.ext import commands

from bot.admin_cog import Context, answer
from bot.config import UserError
from bot.servers import Server, Servers
from bot.telling import Telling
from storage import requests
from storage.requests import DEPLOY, DONE, RUNNING, Request

log = logging.getLogger(__name__)

TELL_SECONDS = 10.0  # between two words about how far something is
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 60.0  # until the launcher must have answered


class Errands:
    """Asks the launcher, one thing at a time, and tells who asked how it goes.

    `restart` has the bot start anew, which takes a model that was deployed.
    """

    def __init__(self, bot: commands.Bot, servers: Servers, restart: Callable[[], None]) -> None:
        self._bot, self._servers, self._restart = bot, servers, restart
        self._following: set[asyncio.Task[None]] = set()

    async def ask(self, context: Context, here: Server, step: str, argument: str = "") -> None:
        """Have a step run for a server, and answer with how it goes."""
        if open_one := requests.open_request(here.connection):
            heard = requests.answer(here.connection, open_one.id)
            said = heard.text if heard else "It begins in a moment."
            raise UserError(f"Something runs already, one thing at a time. {said}")
        told = await answer(context, "Asking the launcher ...")
        request = requests.ask(here.connection, step, context.channel.id, told.id, argument)
        if request is None:
            raise UserError("Something else was asked for at the same moment. Ask again later.")
        log.info("%s asked for by %d", step, context.author.id)
        self._keep(self._follow(here, request, Telling(told, context.channel)))

    def go_on(self) -> None:
        """Tell of what was asked for before the bot started."""
        for here in self._servers.values():
            for request in requests.untold(here.connection):
                channel = self._bot.get_partial_messageable(request.channel_id)
                told = channel.get_partial_message(request.answer_id)
                self._keep(self._follow(here, request, Telling(told, channel)))

    def stop(self) -> None:
        """Tell of nothing any more; what runs goes on."""
        for task in self._following:
            task.cancel()

    def _keep(self, following: Awaitable[None]) -> None:
        task = asyncio.ensure_future(following)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, here: Server, request: Request, telling: Telling) -> None:
        await self._bot.wait_until_ready()
        asked_at = said_at = time.monotonic()
        while True:
            heard = requests.answer(here.connection, request.id)
            now = time.monotonic()
            if heard is None and now - asked_at > PATIENCE_SECONDS:
                requests.withdraw(here.connection, request.id)
                await telling.say("The launcher does not answer. Look at its window or its log.")
                return
            if heard and heard.state != RUNNING:
                break
            if heard and now - said_at >= TELL_SECONDS:
                said_at = now
                await telling.say(heard.text)
            await asyncio.sleep(LOOK_SECONDS)
        while not await telling.say(heard.text):
            await asyncio.sleep(TELL_SECONDS)
        requests.mark_told(here.connection, request.id)
        log.info("%s: %s", request.step, heard.state)
        if request.step == DEPLOY and heard.state == DONE:
            self._restart()
