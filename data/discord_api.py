"""The two places where discord.py's world meets ours: its address, and its messages."""

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from bot.config import DISCORD_API, Config, UserError
from storage.messages import Message

PERMISSIONS = discord.Permissions(
    view_channel=True,
    send_messages=True,
    send_messages_in_threads=True,
    read_message_history=True,
    add_reactions=True,
)


def use(api_base: str) -> None:
    """Point discord.py at a sandbox on this machine; nothing to do for Discord itself."""
    if api_base == DISCORD_API:
        return
    Route.BASE = api_base
    origin = yarl.URL(api_base).origin()
    DiscordWebSocket.DEFAULT_GATEWAY = origin.with_scheme("ws")
    discord.Asset.BASE = str(origin / "cdn")


def invite(config: Config) -> str:
    """The link that adds the bot to a server with the permissions it needs and no more."""
    return discord.utils.oauth_url(
        config.application_id, permissions=PERMISSIONS, scopes=("bot", "applications.commands")
    )


def not_a_member(config: Config) -> UserError:
    """What to say when the server in `.env` is not one of the bot's."""
    return UserError(
        f"The bot is not a member of server {config.server_id} (SERVER_ID in {config.env_path}). "
        f"Correct the id, or invite the bot: {invite(config)}"
    )


def refused(config: Config) -> UserError:
    """What to say when Discord does not accept the token."""
    return UserError(
        f"Discord refused the token in {config.env_path}. Make a new one at "
        "https://discord.com/developers/applications > your application > Bot > Reset Token "
        "and put it into DISCORD_TOKEN."
    )


def unreachable(error: Exception) -> UserError:
    """What to say when there is no answer from Discord at all."""
    return UserError(
        f"Discord cannot be reached ({type(error).__name__}). Check the network, look at "
        "https://discordstatus.com, and run the same command again; nothing was lost."
    )


def no_message_content(config: Config) -> UserError:
    """What to say when the bot may not read what people write."""
    return UserError(
        "The bot may not read messages. Switch on Message Content Intent at "
        f"https://discord.com/developers/applications/{config.application_id}/bot "
        "and start it again."
    )


def to_message(message: discord.Message, own_id: int) -> Message:
    """discord.py's message as ours."""
    return Message(
        id=message.id,
        channel_id=message.channel.id,
        author_id=message.author.id,
        author_name=message.author.display_name,
        content=message.content,
        author_kind=_author_kind(message, own_id),
        kind=message.type.value,
        reply_to=message.reference.message_id if message.reference else None,
        mentions=tuple(user.id for user in message.mentions),
        attachments=tuple((file.filename, file.content_type or "") for file in message.attachments),
        reactions={str(reaction.emoji): reaction.count for reaction in message.reactions},
        edited_at=message.edited_at.timestamp() if message.edited_at else None,
    )


def _author_kind(message: discord.Message, own_id: int) -> str:
    if message.author.id == own_id:
        return "self"
    if message.webhook_id and not message.application_id:
        return "webhook"
    return "bot" if message.author.bot else "member"
