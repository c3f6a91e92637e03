"""Which models there are, and which one speaks: `!model list` and `!model use NAME`."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path

import discord
from discord import app_commands
from discord.ext import commands

from bot import more_servers
from bot.admin_cog import AdminCog, Context, WrongValue, answer
from bot.config import Config, UserError
from bot.errands import Errands
from bot.servers import Server, Servers
from bot.step_commands import NO_LAUNCHER
from model import catalog
from storage import database, requests
from storage.database import Model, Settings

log = logging.getLogger(__name__)

SUGGESTED = 25  # Discord takes no more
_UNTUNED = ("top_p", "min_p", "repeat_penalty")  # a temperature stays the owner's


class ModelCommands(AdminCog):
    """A name is looked up among the models that are known, and is never a path."""

    def __init__(
        self,
        servers: Servers,
        restart: Callable[[], None],
        errands: Errands | None = None,
    ) -> None:
        """`errands` None: nobody supervises the bot."""
        super().__init__(servers)
        self._restart, self._errands = restart, errands

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_group(description="The models", invoke_without_command=True)  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def model(self, context: Context) -> None:
        """List the models, or use another one."""
        await self._list(context)

    @model.command(name="list", description="List the models that there are")  # type: ignore[arg-type]
    async def list_models(self, context: Context) -> None:
        """List the trained models and the base models on this computer."""
        await self._list(context)

    @model.command(name="use", description="Have another model speak")  # type: ignore[arg-type]
    @app_commands.describe(name="a name from the list")
    async def use(self, context: Context, *, name: str) -> None:
        """Deploy a model and restart the bot with it."""
        here = self._here(context)
        trained, bases = await _known(here)
        if here.config.model_path:
            raise UserError(
                f"MODEL_PATH in {here.config.env_path.name} names a model, and it wins. Remove "
                "that line first."
            )
        if name in trained:
            await self._deploy(context, name)
        elif name in bases:
            await self._use_base(context, bases[name])
        else:
            raise WrongValue("There is no model by that name. !model list says which there are.")

    @use.autocomplete("name")
    async def _suggest(
        self, interaction: discord.Interaction, typed: str
    ) -> list[app_commands.Choice[str]]:
        here = self._servers.get(interaction.guild_id or 0)
        if here is None or interaction.user.id not in here.config.admin_ids:
            return []
        trained, bases = await _known(here)
        fitting = [name for name in (*trained, *bases) if typed.casefold() in name.casefold()]
        return [app_commands.Choice(name=name, value=name) for name in fitting[:SUGGESTED]]

    async def _list(self, context: Context) -> None:
        here = self._here(context)
        trained, bases = await _known(here)
        lines = [_mark(here, model.path) + _described(model) for model in trained.values()]
        lines += [f"{_mark(here, path)}`{name}`, a base model" for name, path in bases.items()]
        await answer(context, "\n".join(lines) or "There is no model on this computer.")

    async def _deploy(self, context: Context, name: str) -> None:
        if self._errands is None:
            option = more_servers.option(self._here(context).config.env_path)
            raise UserError(
                f"{NO_LAUNCHER}. Run python scripts/5_deploy_bot.py --model {name}{option} on its "
                "computer, and start the bot again."
            )
        await self._errands.ask(context, self._here(context), requests.DEPLOY, name)

    async def _use_base(self, context: Context, path: Path) -> None:
        usual, connection = Settings(), self._here(context).connection
        with database.transaction(connection):
            database.use_base(connection, path)
            for name in _UNTUNED:
                database.change_setting(connection, name, getattr(usual, name))
        log.info("base model chosen by %d", context.author.id)
        if self._errands is None:
            await answer(context, f"{path.stem} speaks from the next start. {NO_LAUNCHER}.")
            return
        await answer(context, f"Restarting with {path.stem}.")
        self._restart()


def _mark(here: Server, path: Path) -> str:
    is_running = path.stem == here.engine.name
    return "\N{BLACK RIGHT-POINTING SMALL TRIANGLE} " if is_running else ""


async def _known(here: Server) -> tuple[dict[str, Model], dict[str, Path]]:
    """The trained models whose file is there, newest first, and the base models' files."""
    trained = {model.name: model for model in database.models(here.connection)}
    return await asyncio.to_thread(_on_disk, trained, here.config)


def _on_disk(trained: dict[str, Model], config: Config) -> tuple[dict[str, Model], dict[str, Path]]:
    files = sorted((config.models_dir / "base").glob("*.gguf"))
    files += [config.base_model] if config.base_model else []
    bases = {path.stem: path for path in files if path.stem != catalog.EMBEDDER and _is_model(path)}
    return {name: model for name, model in trained.items() if model.path.exists()}, bases


def _is_model(path: Path) -> bool:
    with contextlib.suppress(UserError):
        catalog.check_gguf(path)
        return True
    return False


def _described(model: Model) -> str:
    bits = model.metrics.get("bits_per_char")
    facts = [
        f"on {model.base}",
        time.strftime("%Y-%m-%d", time.gmtime(model.created_at)),
        f"{bits:.3f} bits/char" if isinstance(bits, float) else "",
        f"learned from {model.erased_people} erased since" if model.erased_people else "",
    ]
    return f"`{model.name}`, {', '.join(filter(None, facts))}"
