"""Everything in a server that holds messages the bot may read."""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Collection

import discord

from storage.channels import Channel

Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
Parent = discord.TextChannel | discord.ForumChannel


@dataclasses.dataclass(frozen=True)
class Places:
    """What can be read, and the channels that cannot."""

    readable: list[Readable]
    forbidden: list[discord.abc.GuildChannel]


async def find(client: discord.Client, guild: discord.Guild, wanted: Collection[int]) -> Places:
    """Channels, active and archived threads, forum and media posts, and voice channels' chats.

    Only those in `wanted`, with their threads, where it names any.
    """
    assert client.user
    member = await guild.fetch_member(client.user.id)
    found = [
        channel
        for channel in await guild.fetch_channels()
        if not isinstance(channel, discord.CategoryChannel) and (not wanted or channel.id in wanted)
    ]
    readable = {channel.id: channel for channel in found if _may_read(channel, member)}
    parents = [channel for channel in readable.values() if isinstance(channel, Parent)]
    archived = await asyncio.gather(*(_archived(parent, member) for parent in parents))
    places: list[Readable] = [
        *(c for c in readable.values() if not isinstance(c, discord.ForumChannel)),
        *(t for t in await guild.active_threads() if t.parent_id in readable),
        *(thread for threads in archived for thread in threads),
    ]
    unique = list({place.id: place for place in places}.values())
    return Places(unique, [channel for channel in found if channel.id not in readable])


def to_channel(place: Readable | discord.abc.GuildChannel) -> Channel:
    """A place as the database keeps it."""
    parent = place.parent_id if isinstance(place, discord.Thread) else None
    return Channel(place.id, place.name, place.type.name, parent)


def _may_read(channel: discord.abc.GuildChannel, member: discord.Member) -> bool:
    """Without these Discord answers with an empty page, which must not pass for "all fetched"."""
    allowed = channel.permissions_for(member)
    return allowed.view_channel and allowed.read_message_history


async def _archived(channel: Parent, member: discord.Member) -> list[discord.Thread]:
    """Archived threads: public ones, and the private ones that the bot may see."""
    found = await _collect(channel.archived_threads(limit=None))
    if isinstance(channel, discord.TextChannel):
        may_see_all = channel.permissions_for(member).manage_threads
        private = channel.archived_threads(limit=None, private=True, joined=not may_see_all)
        found += await _collect(private)
    return found


async def _collect(threads: AsyncIterator[discord.Thread]) -> list[discord.Thread]:
    """As many as Discord tells of: a channel may vanish, or forbid it, in between."""
    found = []
    with contextlib.suppress(discord.Forbidden, discord.NotFound):
        async for thread in threads:
            found.append(thread)
    return found
