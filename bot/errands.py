"""What the launcher runs for an admin: asked for in the database, and told of in Discord."""

import asyncio
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable

from discord.ext import commands

from bot.admin_cog import Context, answer
from bot.config import UserError
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

    def __init__(
        self, bot: commands.Bot, connection: sqlite3.Connection, restart: Callable[[], None]
    ) -> None:
        self._bot, self._connection, self._restart = bot, connection, restart
        self._following: set[asyncio.Task[None]] = set()

    async def ask(self, context: Context, step: str, argument: str = "") -> None:
        """Have a step run, and answer with how it goes."""
        if open_one := requests.open_request(self._connection):
            heard = requests.answer(self._connection, open_one.id)
            said = heard.text if heard else "It begins in a moment."
            raise UserError(f"Something runs already, one thing at a time. {said}")
        told = await answer(context, "Asking the launcher ...")
        request = requests.ask(self._connection, step, context.channel.id, told.id, argument)
        if request is None:
            raise UserError("Something else was asked for at the same moment. Ask again later.")
        log.info("%s asked for by %d", step, context.author.id)
        self._keep(self._follow(request, Telling(told, context.channel)))

    def go_on(self) -> None:
        """Tell of what was asked for before the bot started."""
        for request in requests.untold(self._connection):
            channel = self._bot.get_partial_messageable(request.channel_id)
            told = channel.get_partial_message(request.answer_id)
            self._keep(self._follow(request, Telling(told, channel)))

    def stop(self) -> None:
        """Tell of nothing any more; what runs goes on."""
        for task in self._following:
            task.cancel()

    def _keep(self, following: Awaitable[None]) -> None:
        task = asyncio.ensure_future(following)
        self._following.add(task)
        task.add_done_callback(self._following.discard)

    async def _follow(self, request: Request, telling: Telling) -> None:
        await self._bot.wait_until_ready()
        asked_at = said_at = time.monotonic()
        while True:
            heard = requests.answer(self._connection, request.id)
            now = time.monotonic()
            if heard is None and now - asked_at > PATIENCE_SECONDS:
                requests.withdraw(self._connection, request.id)
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
        requests.mark_told(self._connection, request.id)
        log.info("%s: %s", request.step, heard.state)
        if request.step == DEPLOY and heard.state == DONE:
            self._restart()
