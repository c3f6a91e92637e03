"""Who may read what: from which channels a message may be recalled in another.

What is recalled shapes a reply, so it is told to whoever reads that reply. It may come from the
same channel, from what everybody in the server may read, and, since whoever reads a thread may read
its parent, from the parent and its public threads. A private thread is recalled in itself alone,
and a channel that is gone or unknown counts as private.
"""

import sqlite3
from collections.abc import Collection, Iterable

import discord

from data.places import to_channel
from storage import channels
from storage.channels import Channel

PRIVATE_THREAD = discord.ChannelType.private_thread.name


def recallable(here: Channel, places: Iterable[Channel], public: Collection[int]) -> frozenset[int]:
    """The ids of those places whose messages may be recalled `here`.

    `public` are the channels that everybody may read; only threads have a `parent_id`.
    """
    readable = {*public, here.id, here.parent_id}
    return frozenset({here.id}) | {
        place.id
        for place in places
        if place.kind != PRIVATE_THREAD and (place.parent_id or place.id) in readable
    }


def public_channels(guild: discord.Guild) -> frozenset[int]:
    """The channels whose messages @everyone may read, old ones included."""
    return frozenset(c.id for c in guild.channels if _is_public(c, guild.default_role))


def around(message: discord.Message, connection: sqlite3.Connection) -> frozenset[int]:
    """The channels from which may be recalled where a message was written."""
    guild, channel = message.guild, message.channel
    if guild is None or not isinstance(channel, discord.abc.GuildChannel | discord.Thread):
        return frozenset({channel.id})
    known = {place.id: place for place in channels.open_threads(connection)}
    known |= {place.id: to_channel(place) for place in (*guild.channels, *guild.threads)}
    return recallable(to_channel(channel), known.values(), public_channels(guild))


def _is_public(channel: discord.abc.GuildChannel, everyone: discord.Role) -> bool:
    allowed = channel.permissions_for(everyone)
    is_vocal = isinstance(channel, discord.VoiceChannel | discord.StageChannel)
    may_enter = allowed.connect or not is_vocal
    return allowed.view_channel and allowed.read_message_history and may_enter
