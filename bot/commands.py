"""What the bot hears as `!command` and as `/command`: all of it, put together here."""

import asyncio
import hashlib
import json
import logging
import time
from collections.abc import Callable

import discord
from discord import app_commands
from discord.ext import commands

from bot.admin_cog import AdminCog, Context, answer
from bot.errands import Errands
from bot.member_commands import PRIVACY, MemberCommands
from bot.model_commands import ModelCommands
from bot.privacy_commands import PrivacyCommands
from bot.reply_commands import ReplyCommands
from bot.servers import Server, Servers
from bot.setting_commands import SettingCommands, when_it_speaks
from bot.step_commands import StepCommands
from data import privacy
from storage import database, messages, quiet, recall_trouble, requests, shadow
from storage.stats import Stats, stats

log = logging.getLogger(__name__)

WATCH_SECONDS = 10.0


async def add_commands(
    bot: commands.Bot,
    servers: Servers,
    restart: Callable[[], None],
    errands: Errands | None,
) -> None:
    """Give the bot all of its commands; `errands` None: nobody supervises it."""
    for cog in (
        Admin(servers, errands is not None),
        SettingCommands(servers),
        StepCommands(servers, restart, errands),
        ModelCommands(servers, restart, errands),
        ReplyCommands(servers),
        PrivacyCommands(servers),
        MemberCommands(bot, servers),
    ):
        await bot.add_cog(cog)


async def sync(bot: commands.Bot, servers: Servers) -> None:
    """Tell Discord about the slash commands, only when they changed since the last time.

    What Discord refuses in one server does not keep the others from theirs.
    """
    for server in servers.values():
        if bot.get_guild(server.id):
            try:
                await _sync(bot, server)
            except (discord.HTTPException, OSError) as error:
                reason = type(error).__name__
                log.warning("slash commands of %d not synced: %s", server.id, reason)


async def _sync(bot: commands.Bot, server: Server) -> None:
    guild = discord.Object(server.id)
    bot.tree.copy_global_to(guild=guild)
    if privacy.consent_mode(server.connection) == privacy.ADMIN:
        bot.tree.remove_command(PRIVACY, guild=guild)  # members have nothing to decide there
    payload = [command.to_dict(bot.tree) for command in bot.tree.get_commands(guild=guild)]
    described = json.dumps([server.id, payload], sort_keys=True, default=str)
    digest = hashlib.sha256(described.encode()).hexdigest()
    if database.recall(server.connection, "synced_commands") != digest:
        await bot.tree.sync(guild=guild)
        database.remember(server.connection, "synced_commands", digest)
        log.info("slash commands synced")


async def watch_consent(bot: commands.Bot, servers: Servers) -> None:
    """Tell Discord again whenever a consent mode brings or takes away a command."""
    await bot.wait_until_ready()
    while True:
        await asyncio.sleep(WATCH_SECONDS)
        await sync(bot, servers)


class Admin(AdminCog):
    """How the bot is doing and what it can be told."""

    def __init__(self, servers: Servers, is_supervised: bool) -> None:
        super().__init__(servers)
        self._is_supervised = is_supervised
        self._started = time.time()

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(description="How the bot is doing and how it is set")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def status(self, context: Context) -> None:
        """Say what is running, what it did lately, and how it is set."""
        now, here = time.time(), self._here(context)
        lines = [
            *self._state(here, now),
            *_figures(stats(here.connection, now)),
            *_configuration(here),
        ]
        await answer(context, "\n".join(lines))

    @commands.hybrid_command(description="What the bot can be told")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    async def help(self, context: Context) -> None:
        """List the commands, a line each."""
        lines = [
            f"`!{command.qualified_name} {command.signature}`".replace(" `", "`")
            + f" {command.description}"
            for command in sorted(context.bot.walk_commands(), key=lambda c: c.qualified_name)
            if not command.hidden and not isinstance(command, commands.HybridGroup)
        ]
        lines.append("All of them work as slash commands too; those answer you alone.")
        await answer(context, "\n".join(lines))

    def _state(self, here: Server, now: float) -> list[str]:
        beat = database.heartbeat(here.connection, "bot")
        memory = f", {beat.memory_mb:,.0f} MB of memory" if beat else ""
        launcher = "under the launcher" if self._is_supervised else "without a launcher"
        lines = [
            f"Up {(now - self._started) / 3600:.1f} h with {here.engine.name}, {launcher}{memory}",
            *(_silence(*place) for place in quiet.places(here.connection, now)),
        ]
        if shadow.is_on(here.connection):
            lines.append("Listening only (shadow): nothing is sent. !shadow off has it speak")
        if trouble := recall_trouble.find(here.connection):
            kind, since = trouble
            lines.append(f"Recall of older messages fails since <t:{since:.0f}:f> ({kind})")
        if asked := requests.open_request(here.connection):
            heard = requests.answer(here.connection, asked.id)
            lines.append(f"Running: {asked.step}. {heard.text if heard else ''}".strip())
        return lines


def _configuration(here: Server) -> list[str]:
    settings = database.settings(here.connection)
    channels = here.config.channel_ids
    return [
        f"Answers {100 * settings.response_rate:.4g}% of messages, and always when mentioned",
        when_it_speaks(here),
        f"Temperature {settings.temperature:g}, at most {settings.max_tokens} tokens, "
        f"top-p {settings.top_p:g}, min-p {settings.min_p:g}, repeat penalty "
        f"{settings.repeat_penalty:g}",
        f"Channels: {' '.join(f'<#{channel}>' for channel in sorted(channels)) or 'all'}; "
        f"consent: {privacy.consent_mode(here.connection)}; "
        f"excluded: {len(database.excluded_users(here.connection)):,}",
        f"Messages known: {messages.count(here.connection):,}",
    ]


def _figures(figures: Stats) -> list[str]:
    average, last = figures.average_seconds, figures.last_reply_at
    timed = "" if average is None else f", {average:.1f} s each"
    since = "" if last is None else f"; the last one <t:{last:.0f}:R>"
    return [
        f"In 24 hours: {figures.messages_seen:,} messages seen, {figures.replies:,} replies{timed}",
        f"In 7 days: {figures.replies_in_week:,} replies in {figures.conversations_in_week:,} "
        f"conversations{since}",
    ]


def _silence(channel_id: int, until: float | None) -> str:
    where = "everywhere" if channel_id == quiet.EVERYWHERE else f"in <#{channel_id}>"
    return f"Quiet {where} until " + ("told otherwise" if until is None else f"<t:{until:.0f}:f>")
