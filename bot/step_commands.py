"""What admins have run: fetching, training, and the bot itself anew."""

import asyncio
import logging
from collections.abc import Callable

from discord import app_commands
from discord.ext import commands

from bot import more_servers
from bot.admin_cog import AdminCog, Context, answer
from bot.config import UserError
from bot.errands import TELL_SECONDS, Errands
from bot.servers import Server, Servers
from bot.telling import Telling
from data import fetcher, privacy
from storage import database, requests

log = logging.getLogger(__name__)

NO_LAUNCHER = "No launcher runs this bot"
_TRAIN = (
    f"{NO_LAUNCHER}, so nothing is there to train it. Run scripts/2_prepare_training_data.py, "
    "3_train_model.py, 4_evaluate_personality.py and 5_deploy_bot.py on its computer"
)


class StepCommands(AdminCog):
    """The launcher runs the steps, where there is one. Without it the bot fetches by itself."""

    def __init__(
        self,
        servers: Servers,
        restart: Callable[[], None],
        errands: Errands | None = None,
    ) -> None:
        """`errands` None: nobody supervises the bot."""
        super().__init__(servers)
        self._restart, self._errands = restart, errands
        self._fetching: dict[int, asyncio.Task[None]] = {}  # by their servers' ids

    async def cog_load(self) -> None:
        if self._errands:
            self._errands.go_on()

    async def cog_unload(self) -> None:
        if self._errands:
            self._errands.stop()
        for fetching in self._fetching.values():
            fetching.cancel()

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(description="Start the bot anew")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def restart(self, context: Context) -> None:
        """End, and have the launcher start the bot again, with the model that is deployed."""
        if self._errands is None:
            raise UserError(
                f"{NO_LAUNCHER}, so nobody would start it again. Stop it and start it by hand."
            )
        await answer(context, "Restarting. It takes a few seconds.")
        log.info("restart asked for by %d", context.author.id)
        self._restart()

    @commands.hybrid_command(description="Fetch the messages that are not known yet")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def fetch(self, context: Context) -> None:
        """Fetch what is new in the server, and tell how it went in the answer."""
        here = self._here(context)
        fetching = self._fetching.get(here.id)
        if not database.has_permission(here.connection):
            raise privacy.permission_needed()
        if self._errands:
            await self._errands.ask(context, here, requests.FETCH)
        elif fetching and not fetching.done():
            await answer(context, "A fetch is running already.")
        else:
            told = Telling(await answer(context, "Fetching ..."), context.channel)
            self._fetching[here.id] = asyncio.create_task(_fetch(here, told))

    @commands.hybrid_command(description="Train the model anew on what was said here")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def train(self, context: Context) -> None:
        """Prepare the data, train, evaluate, and deploy what is no worse than before."""
        if self._errands is None:
            option = more_servers.option(self._here(context).config.env_path)
            raise UserError(f"{_TRAIN}{f', each with{option}' if option else ''}.")
        await self._errands.ask(context, self._here(context), requests.TRAIN)


async def _fetch(here: Server, telling: Telling) -> None:
    progress = _Progress()
    tells = asyncio.create_task(progress.tell_forever(telling))
    try:
        report = await fetcher.fetch(here.config, here.connection, progress.update)
        outcome = "\n".join(report.sentences())
    except UserError as error:
        outcome = f"The fetch did not work: {error}"
    except Exception as error:
        log.exception("the fetch failed")
        outcome = f"The fetch broke off ({type(error).__name__}); what was stored is kept."
    finally:
        tells.cancel()
    await telling.say(outcome)


class _Progress:
    """How far a fetch is, told now and then by editing the answer to who asked for it."""

    def __init__(self) -> None:
        self._done = self._channels = self._messages = 0

    def update(self, done: int, channels: int, count: int) -> None:
        self._done, self._channels, self._messages = done, channels, count

    async def tell_forever(self, telling: Telling) -> None:
        while True:
            await asyncio.sleep(TELL_SECONDS)
            await telling.say(
                f"Fetching: {self._done:,} of {self._channels:,} channels, "
                f"{self._messages:,} messages so far ..."
            )
