"""Copying a server's history into SQLite, page by page, over REST alone.

No gateway session is opened, so a fetch costs none of the 1,000 logins a day and can run while the
bot does. A page of 100 messages and how far its channel is fetched are stored in one transaction:
killed at any point, the next run goes on where this one stopped.
"""

import asyncio
import contextlib
import dataclasses
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable

import aiohttp
import discord

from bot.config import Config
from data import discord_api
from storage import messages
from storage.database import transaction
from storage.messages import Channel

log = logging.getLogger(__name__)

PAGE = 100
PAGES_PER_SECOND = 40.0  # below Discord's 50 a second for everything, the bot's own replies too
AT_ONCE = 20

Readable = discord.TextChannel | discord.VoiceChannel | discord.StageChannel | discord.Thread
OnProgress = Callable[[int, int, int], None]
"""`on_progress(channels done, channels, messages)`."""


@dataclasses.dataclass
class Report:
    """What a fetch did."""

    messages: int = 0
    channels: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)


class Pace:
    """Lets callers through one by one, evenly spaced."""

    def __init__(self, per_second: float) -> None:
        self._interval = 1 / per_second
        self._next = 0.0

    async def wait(self) -> None:
        """Return when it is this caller's turn."""
        now = asyncio.get_running_loop().time()
        turn = max(now, self._next)
        self._next = turn + self._interval
        await asyncio.sleep(turn - now)


async def fetch(
    config: Config, connection: sqlite3.Connection, on_progress: OnProgress = lambda *_: None
) -> Report:
    """Fetch everything new in every channel, thread and forum post that the bot may read.

    Raises `UserError` when the token, the server or the message content intent is not right.
    """
    report = Report()
    async with _login(config) as (client, guild):
        found = await _places(client, guild, config, connection, report)
        report.channels = len(found)
        pace, slots = Pace(PAGES_PER_SECOND), asyncio.Semaphore(AT_ONCE)
        done = 0

        async def one(place: Readable) -> None:
            nonlocal done
            async with slots:
                await _fetch_channel(place, config, connection, pace, report, advance)
            done += 1
            on_progress(done, len(found), report.messages)

        def advance() -> None:
            on_progress(done, len(found), report.messages)

        await asyncio.gather(*map(one, found))
    return report


@contextlib.asynccontextmanager
async def _login(config: Config) -> AsyncIterator[tuple[discord.Client, discord.Guild]]:
    discord_api.use(config.api_base)
    async with discord.Client(intents=discord.Intents.none()) as client:
        try:
            await client.login(config.token)
            guild = await client.fetch_guild(config.server_id)
        except discord.LoginFailure:
            raise discord_api.refused(config) from None
        except (discord.NotFound, discord.Forbidden):
            raise discord_api.not_a_member(config) from None
        except (discord.DiscordServerError, aiohttp.ClientError, OSError) as error:
            raise discord_api.unreachable(error) from None
        flags = client.application_flags
        if not (flags.gateway_message_content or flags.gateway_message_content_limited):
            raise discord_api.no_message_content(config)
        yield client, guild


async def _places(
    client: discord.Client,
    guild: discord.Guild,
    config: Config,
    connection: sqlite3.Connection,
    report: Report,
) -> list[Readable]:
    """Everything with messages that the bot may read, noted in the database."""
    assert client.user
    member = await guild.fetch_member(client.user.id)
    wanted = [
        channel
        for channel in await guild.fetch_channels()
        if not isinstance(channel, discord.CategoryChannel)
        and (not config.channel_ids or channel.id in config.channel_ids)
    ]
    readable = {channel.id: channel for channel in wanted if _may_read(channel, member)}
    found: list[Readable] = [
        c for c in readable.values() if not isinstance(c, discord.ForumChannel)
    ]
    found += [t for t in await guild.active_threads() if t.parent_id in readable]
    for channel in readable.values():
        if isinstance(channel, discord.TextChannel | discord.ForumChannel):
            found += [thread async for thread in _archived(channel)]
    unique = list({place.id: place for place in found}.values())
    forbidden = [channel for channel in wanted if channel.id not in readable]
    report.skipped += [channel.name for channel in forbidden]
    with transaction(connection):
        for place in (*unique, *forbidden):
            messages.save_channel(connection, _channel(place))
        for channel in forbidden:
            messages.mark_channel(connection, channel.id, "forbidden")
    return unique


def _may_read(channel: discord.abc.GuildChannel, member: discord.Member) -> bool:
    """Without these Discord answers with an empty page, which must not pass for "all fetched"."""
    allowed = channel.permissions_for(member)
    return allowed.view_channel and allowed.read_message_history


async def _archived(
    channel: discord.TextChannel | discord.ForumChannel,
) -> AsyncIterator[discord.Thread]:
    """Archived threads: public ones, and the private ones if the bot may see them."""
    async for thread in channel.archived_threads(limit=None):
        yield thread
    if isinstance(channel, discord.TextChannel):
        with contextlib.suppress(discord.Forbidden):
            async for thread in channel.archived_threads(limit=None, private=True, joined=True):
                yield thread


async def _fetch_channel(
    place: Readable,
    config: Config,
    connection: sqlite3.Connection,
    pace: Pace,
    report: Report,
    advance: Callable[[], None],
) -> None:
    known = {channel.id: channel.fetched_through for channel in messages.channels(connection)}
    through = known[place.id]
    try:
        while True:
            await pace.wait()
            after = discord.Object(through)
            page = [m async for m in place.history(limit=PAGE, after=after, oldest_first=True)]
            if page:
                through = page[-1].id
                _store(connection, place.id, page, config.application_id)
                report.messages += len(page)
                advance()
            if len(page) < PAGE:
                return
    except discord.Forbidden:
        messages.mark_channel(connection, place.id, "forbidden")
        report.skipped.append(place.name)
    except discord.NotFound:
        messages.mark_channel(connection, place.id, "gone")
        report.skipped.append(place.name)
    except (discord.DiscordServerError, discord.HTTPException, OSError) as error:
        log.warning("channel %d stopped at %d: %s", place.id, through, type(error).__name__)
        report.failed.append(place.name)


def _store(
    connection: sqlite3.Connection,
    channel_id: int,
    page: Iterable[discord.Message],
    own_id: int,
) -> None:
    kept = [discord_api.to_message(message, own_id) for message in page]
    with transaction(connection):
        messages.save(connection, kept)
        messages.fetched_through(connection, channel_id, kept[-1].id)


def _channel(place: Readable | discord.abc.GuildChannel) -> Channel:
    parent = place.parent_id if isinstance(place, discord.Thread) else None
    return Channel(place.id, place.name, place.type.name, parent)
