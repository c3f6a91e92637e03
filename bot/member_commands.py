"""What everybody may ask: `/about` the bot, and `/privacy` where members decide for themselves.

Answers are for who asks alone. No text of anybody's is in them.
"""

import asyncio
import contextlib
import logging
import sqlite3
from typing import Any

import discord
from discord import ButtonStyle, app_commands
from discord.ext import commands

from bot import honesty
from bot.admin_cog import NOBODY
from bot.config import Config
from bot.servers import Server, Servers
from data import erasure, privacy
from storage import database, people

log = logging.getLogger(__name__)

Button = discord.ui.Button["Choices"]

PRIVACY = "privacy"
_REASON = "asked for it with /privacy"
_BY_ADMINS = "On this server the admins decide about that. Ask one of them: {}."
_FAILED = "That did not work. Please tell an admin."
_EXCLUDED = (
    "You are on this bot's exclusion list: nothing that you write is stored or learned from. "
    "An admin can take you off it: {}."
)
_SURE = (
    "This deletes all that is stored of you: your messages, your name, and what others quote of "
    "you. From then on nothing that you write is stored. What you wrote stays on Discord. This "
    "cannot be undone."
)


class MemberCommands(commands.Cog):
    """Slash commands only; they hear everybody."""

    def __init__(self, bot: commands.Bot, servers: Servers) -> None:
        self._bot, self._servers = bot, servers
        self._decision, self._sure = Decision(servers), Sure(servers)

    async def cog_load(self) -> None:
        for view in (self._decision, self._sure):
            self._bot.add_view(view)  # the buttons of an earlier run work on

    async def cog_unload(self) -> None:
        for view in (self._decision, self._sure):
            view.stop()

    @app_commands.command(description="What this bot is, and whom to ask about it")
    async def about(self, interaction: discord.Interaction) -> None:
        """Say plainly that it is a bot, what it learned from, and how not to be learned from."""
        here = self._servers[interaction.guild_id or 0]
        model = database.deployed_model(here.connection)
        learned = (
            f"The model, {model.name}, was trained on messages of this server to write like "
            "people here."
            if model
            else "The model was not trained on this server; it is shown the last messages of a "
            "channel, and older ones that fit."
        )
        lines = [
            f"{honesty.PLAIN} {learned}",
            "It runs on the computer of whoever runs this bot, together with its database of "
            "messages.",
            _way_out(here),
        ]
        await _tell(interaction, "\n".join(lines))

    @app_commands.command(name=PRIVACY, description="What the bot knows of you; yes, no, or erase")
    async def privacy_command(self, interaction: discord.Interaction) -> None:
        """Say what is stored of who asks, with buttons to decide about it."""
        here = self._servers[interaction.guild_id or 0]
        if refusal := _refusal(here, interaction.user.id):
            await _tell(interaction, refusal)
            return
        text = _standing(here.connection, interaction.user.id)
        await _tell(interaction, text, self._decision)

    async def cog_app_command_error(
        self, interaction: discord.Interaction, error: app_commands.AppCommandError
    ) -> None:
        await _fail(interaction, error)


def _way_out(here: Server) -> str:
    admins = _admins(here.config)
    if privacy.consent_mode(here.connection) == privacy.ADMIN:
        return f"If it should not learn from you, or forget you, ask an admin: {admins}."
    return (
        "/privacy shows what is stored of you, and there you decide whether it learns from "
        f"you. Questions go to an admin: {admins}."
    )


class Choices(discord.ui.View):
    """Buttons that outlive a restart. Whoever presses one is meant, and nobody else."""

    def __init__(self, servers: Servers) -> None:
        super().__init__(timeout=None)
        self._servers = servers

    async def interaction_check(self, interaction: discord.Interaction) -> bool:
        """A button of earlier days may be pressed when there is nothing to decide any more."""
        refusal = _refusal(self._here(interaction), interaction.user.id)
        if refusal:
            await _tell(interaction, refusal)
        return not refusal

    async def on_error(self, interaction: discord.Interaction, error: Exception, _: object) -> None:
        await _fail(interaction, error)

    def _here(self, interaction: discord.Interaction) -> Server:
        return self._servers[interaction.guild_id or 0]


class Decision(Choices):
    """Yes, no, or erase."""

    # mypy: discord.py's decorator takes any button and any view (misc)
    @discord.ui.button(label="Learn from my messages", custom_id="privacy:yes")
    async def allow(self, interaction: discord.Interaction, _: Button) -> None:
        await self._decide(interaction, is_given=True)

    @discord.ui.button(label="Do not learn from them", custom_id="privacy:no")
    async def refuse(self, interaction: discord.Interaction, _: Button) -> None:
        await self._decide(interaction, is_given=False)

    @discord.ui.button(
        label="Erase everything of mine", style=ButtonStyle.danger, custom_id="privacy:erase"
    )
    async def erase(self, interaction: discord.Interaction, _: Button) -> None:
        await _tell(interaction, _SURE, Sure(self._servers))

    async def _decide(self, interaction: discord.Interaction, is_given: bool) -> None:
        people.decide(self._here(interaction).connection, interaction.user.id, is_given)
        log.info("%d decided: learn from them: %s", interaction.user.id, is_given)
        done = (
            "Kept: it may learn from your messages."
            if is_given
            else "Kept: it will not learn from your messages, nor look them up. A model that was "
            "trained before has learned from them until it is trained anew."
        )
        await _tell(interaction, done)


class Sure(Choices):
    """The last question before an erasure."""

    @discord.ui.button(
        label="Yes, erase all of it", style=ButtonStyle.danger, custom_id="privacy:sure"
    )
    async def erase(self, interaction: discord.Interaction, _: Button) -> None:
        await interaction.response.defer(ephemeral=True, thinking=True)
        config = self._here(interaction).config
        is_complete, models = await asyncio.to_thread(_erase, config, interaction.user.id)
        lines = ["Erased. Nothing that you write is stored from now on."]
        if models:
            lines.append(
                "A model that was trained before learned from you, and cannot forget. The "
                "admins see that it is to be trained anew."
            )
        if not is_complete:
            lines.append(f"Something is left; please tell an admin: {_admins(config)}.")
        await _tell(interaction, "\n".join(lines))


def _erase(config: Config, user_id: int) -> tuple[bool, bool]:
    """Whether all is gone, and whether a model learned from the person."""
    with contextlib.closing(database.connect(config.database_path)) as connection:
        done = erasure.erase(config, connection, user_id, _REASON, user_id)
    return done.is_complete, bool(done.models)


def _refusal(here: Server, user_id: int) -> str:
    """Why this person has nothing to decide; "" if they have."""
    if user_id in database.excluded_users(here.connection):
        return _EXCLUDED.format(_admins(here.config))
    if privacy.consent_mode(here.connection) == privacy.ADMIN:
        return _BY_ADMINS.format(_admins(here.config))
    return ""


def _standing(connection: sqlite3.Connection, user_id: int) -> str:
    """What is stored of a person, in counts, and what they decided."""
    stored = people.count_stored(connection, user_id)
    kept = ", ".join(f"{what}: {count:,}" for what, count in stored.items())
    decided = people.consents(connection).get(user_id)
    is_learned = privacy.audience(connection).allows(user_id)
    said = "nothing yet" if decided is None else "yes" if decided else "no"
    return (
        f"Stored of you: {kept}.\n"
        f"You said: {said}. So it {'may learn' if is_learned else 'does not learn'} from your "
        "messages."
    )


def _admins(config: Config) -> str:
    return ", ".join(f"<@{admin}>" for admin in sorted(config.admin_ids))


async def _tell(
    interaction: discord.Interaction, text: str, view: discord.ui.View | None = None
) -> None:
    """Say something to who asked, and to nobody else."""
    how: dict[str, Any] = {"ephemeral": True, "allowed_mentions": NOBODY}
    if view:
        how["view"] = view
    if interaction.response.is_done():
        await interaction.followup.send(text, **how)
    else:
        await interaction.response.send_message(text, **how)


async def _fail(interaction: discord.Interaction, error: Exception) -> None:
    log.error("a member's choice failed", exc_info=error)
    with contextlib.suppress(discord.HTTPException):
        await _tell(interaction, _FAILED)
