"""What admins ask about one of the bot's replies: `!why` it was said, and that it was `!bad`."""

import asyncio
import contextlib
import hashlib
import logging
from pathlib import Path

import discord
from discord import app_commands
from discord.ext import commands

from bot import message_links
from bot.admin_cog import AdminCog, Context, answer
from bot.config import UserError
from bot.message_links import Named
from bot.servers import Server
from storage import database, explanations, judgements, messages
from storage.explanations import Said, Why

log = logging.getLogger(__name__)

NEAREST = 3
_HASH = 12  # characters of one that tell it from others
_UNKNOWN = (
    "Nothing is known of that message: it is no reply of the bot's, or it is older than its memory."
)


_NOWHERE = "There is no such message (any more). With its link it is found anywhere."


class ReplyCommands(AdminCog):
    """Answers hold counts, values and links; nothing of what anybody wrote."""

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(description="Why the bot said something")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(message="the link or the id of one of the bot's messages")
    async def why(self, context: Context, *, message: str = "") -> None:
        """Say what led to a reply; give its link or id, or reply to it."""
        named = message_links.read(context, message, "why")
        await context.defer(ephemeral=True)
        here = self._here(context)
        said = explanations.find(here.connection, named.message_id)
        if said is None:
            await answer(context, _UNKNOWN)
            return
        lines = [*_lines(said), *await asyncio.to_thread(_of_model, _models(here), said.model)]
        near = await _nearest(here, said)
        if near:
            links = (message_links.link(here.id, m.channel_id, m.id) for m in near)
            lines.append("Closest in meaning of what it knows: " + " ".join(links))
        await answer(context, "\n".join(lines))

    @commands.hybrid_command(description="Delete a reply and learn not to say such things")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(message="the link or the id of one of the bot's messages")
    async def bad(self, context: Context, *, message: str = "") -> None:
        """Delete a reply and keep it as a bad example; give its link or id, or reply to it."""
        named = message_links.read(context, message, "bad")
        await context.defer(ephemeral=True)
        said = explanations.find(self._here(context).connection, named.message_id)
        if said and not said.is_fixed:
            await answer(context, await self._take_back(context, said))
        else:
            await answer(context, await self._delete_own(context, named))
        log.info("message %d was called bad by %d", named.message_id, context.author.id)

    async def _take_back(self, context: Context, said: Said) -> str:
        """Delete a reply, all of its messages, and keep its text as a bad example."""
        connection = self._here(context).connection
        doomed = explanations.parts(connection, said)
        channel = context.bot.get_partial_messageable(said.channel_id)
        judgements.reject(connection, said.reply_id)
        if not doomed:
            return "It was deleted before; it counts as bad now."
        try:
            for message_id in doomed:
                with contextlib.suppress(discord.NotFound):
                    await channel.get_partial_message(message_id).delete()
                messages.mark_deleted(connection, [message_id])
        except discord.HTTPException as error:
            raise UserError(
                f"Discord does not let me delete it (HTTP {error.status}). Look at the bot's "
                "permissions in that channel. It counts as bad all the same."
            ) from None
        return "Deleted, and kept as an example of what not to say."

    async def _delete_own(self, context: Context, named: Named) -> str:
        """Delete a message that is no reply, such as an answer to a command."""
        channel_id = named.channel_id or context.channel.id
        try:
            channel = context.bot.get_channel(channel_id)
            channel = channel or await context.bot.fetch_channel(channel_id)
            if getattr(channel, "guild", None) != context.guild:
                return _NOWHERE
            found = await channel.fetch_message(named.message_id)
            if found.author.id != self._here(context).config.application_id:
                return "That is not the bot's message. It takes back its own ones only."
            await found.delete()
        except discord.NotFound:
            return _NOWHERE
        except discord.HTTPException as error:
            raise UserError(
                f"Discord does not let me see or delete it (HTTP {error.status}). Look at the "
                "bot's permissions in that channel."
            ) from None
        return "Deleted. It was no reply of the model's, so there is nothing to learn."


async def _nearest(here: Server, said: Said) -> list[messages.Message]:
    """Older messages that mean much the same, if the reply is still there."""
    own = messages.by_ids(here.connection, [said.reply_id])
    known = {said.reply_id, said.trigger_id}
    near = await here.recall.related(own[0].content, known) if own else []
    return near[:NEAREST]


def _models(here: Server) -> dict[str, database.Model]:
    return {model.path.stem: model for model in database.models(here.connection)}


def _lines(said: Said) -> list[str]:
    head = f"Said with {said.model} in {said.seconds:.1f} s."
    lines = [f"{head} It was deleted since." if said.is_deleted else head]
    if said.why is None:
        return [*lines, "Why is not known: it was said before reasons were kept."]
    return [*lines, *_because(said.why)]


def _because(why: Why) -> list[str]:
    lines = [f"Reason: {why.reason}, with a probability of {why.probability:.1%}."]
    if why.sampling:
        given = ", ".join(f"{name} {value}" for name, value in why.sampling.items())
        shown = f"It was shown {why.context_count} messages and {why.recalled_count} recalled ones."
        lines += [shown, f"Drawn with {given}."]
    return lines


def _of_model(models: dict[str, database.Model], stem: str) -> list[str]:
    """The marks by which a model and its data can be found again."""
    model = models.get(stem)
    if model is None:
        return []
    manifest = _digest(model.path.with_name("manifest.json"))
    named = f", manifest {manifest}" if manifest else ""
    return [f"Model {model.name} on {model.base}, data {model.data_hash[:_HASH]}{named}."]


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()[:_HASH]
    except OSError:
        return ""
