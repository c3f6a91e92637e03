"""Copying a server's history into SQLite, page by page, over REST alone.

No gateway session is opened, so a fetch costs none of the 1,000 logins a day and can run while the
bot does. A page of 100 messages and how far its channel is fetched are stored in one transaction:
killed at any point, the next run goes on where this one stopped.

Every page also says what is missing: a stored message that Discord no longer has is marked deleted.
"""

import asyncio
import contextlib
import dataclasses
import logging
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import aiohttp
import discord

from bot.config import Config
from data import discord_api, pages, payloads, places
from data.exports.ids import DAY, refusal
from data.pace import Pace
from data.pages import Raw
from data.places import Readable
from storage import channels, database, lock_file, messages, people
from storage.database import transaction
from storage.messages import DEFAULT, REPLY, Message

log = logging.getLogger(__name__)

PAGE = 100
ALONE, BESIDE_THE_BOT = 49, 40  # requests a second of Discord's 50; the bot needs some too
FRESH_SECONDS = 60.0  # a sign of life from the bot
ANSWER_SECONDS = 5.0  # what is newer than so long before a page was asked for may not be on it
SHOWN = 10  # names in a line
# what a message object shows of others: it would stay when they delete it, or are excluded
COPIES = ("referenced_message", "interaction", "interaction_metadata")
SILENT = 50  # messages without any content: then it is not the members who say nothing
CONTENT = (
    *("content", "attachments", "embeds", "sticker_items", "components", "poll"),
    "message_snapshots",  # of a forward, which has nothing else
)

UNANSWERED = (discord.DiscordException, aiohttp.ClientError, asyncio.TimeoutError, OSError)

OnProgress = Callable[[int, int, int], None]
"""`on_progress(channels done, channels, messages)`."""


@dataclasses.dataclass
class Report:
    """What a fetch did. Channels by name; the rest are numbers of messages, and of refusals."""

    messages: int = 0
    channels: int = 0
    deleted: int = 0
    malformed: int = 0
    future: int = 0
    refused: int = 0
    skipped: list[str] = dataclasses.field(default_factory=list)
    failed: list[str] = dataclasses.field(default_factory=list)
    emptied: list[str] = dataclasses.field(default_factory=list)

    def sentences(self) -> list[str]:
        """What a person should know of it, a line each; only channels are named."""
        if not self.channels:
            return [
                "There is no channel that the bot may read. Give its role View Channel and "
                "Read Message History, or check CHANNELS."
            ]
        told = [f"Fetched {self.messages:,} new messages from {_channels(self.channels)}."]
        told += [
            f"{count:,} {what}"
            for count, what in (
                (self.deleted, "known messages are deleted now."),
                (self.malformed, "messages were not as Discord describes them and were left out."),
                (self.future, "messages bear a date in the future and were left out."),
                (self.refused, "requests were refused as too many (429) and made again."),
            )
            if count
        ]
        told += [
            f"{what}: {_some(names)}"
            for names, what in (
                (self.skipped, "Not readable for the bot, skipped"),
                (self.emptied, "Suddenly empty, so what is stored of it stays"),
                (self.failed, "Discord did not answer for these; fetch again later"),
            )
            if names
        ]
        return told


async def fetch(
    config: Config, connection: sqlite3.Connection, on_progress: OnProgress = lambda *_: None
) -> Report:
    """Fetch everything new in every channel, thread and forum post that the bot may read.

    Raises `UserError` when the token, the server or the message content intent is not right, and
    while another fetch is running.
    """
    with lock_file.held(
        config.data_dir / ".fetching", "Another fetch is running. Wait until it is done."
    ):
        pace = Pace(BESIDE_THE_BOT if _is_bot_up(connection) else ALONE)
        async with _login(config, pace) as (client, found):
            fetching = _Fetch(config, connection, client, on_progress)
            await fetching.run(found)
        fetching.report.refused = pace.refused
        return fetching.report


def _is_bot_up(connection: sqlite3.Connection) -> bool:
    heartbeat = database.heartbeat(connection, "bot")
    return heartbeat is not None and time.time() - heartbeat.beat_at < FRESH_SECONDS


@contextlib.asynccontextmanager
async def _login(config: Config, pace: Pace) -> AsyncIterator[tuple[discord.Client, places.Places]]:
    """A client that may read what people write, and where it may."""
    discord_api.use(config.api_base)
    intents = discord.Intents.none()
    async with discord.Client(intents=intents, http_trace=pace.trace) as client:
        try:
            await client.login(config.token)
            guild = await client.fetch_guild(config.server_id)
            flags = client.application_flags
            if not (flags.gateway_message_content or flags.gateway_message_content_limited):
                raise discord_api.no_message_content(config)
            found = await places.find(client, guild, config.channel_ids)
        except discord.LoginFailure:
            raise discord_api.refused(config) from None
        except (discord.NotFound, discord.Forbidden):
            raise discord_api.not_a_member(config) from None
        except UNANSWERED as error:
            raise discord_api.unreachable(error) from None
        yield client, found


class _Fetch:
    """One run over all places."""

    def __init__(
        self,
        config: Config,
        connection: sqlite3.Connection,
        client: discord.Client,
        on_progress: OnProgress,
    ) -> None:
        self._config, self._connection, self._client = config, connection, client
        self._folder = config.data_dir / "messages"
        self._on_progress = on_progress
        self._done = 0
        self.report = Report()

    async def run(self, found: places.Places) -> None:
        """Fetch every place at once: each page waits its turn, so small ones are done soon."""
        self.report.channels = len(found.readable)
        self.report.skipped += [channel.name for channel in found.forbidden]
        with transaction(self._connection):
            for place in (*found.readable, *found.forbidden):
                channels.save(self._connection, places.to_channel(place))
            for channel in found.forbidden:
                channels.mark(self._connection, channel.id, "forbidden")
        self._purge()
        through = {c.id: c.fetched_through for c in channels.known(self._connection)}
        tasks = [
            asyncio.ensure_future(self._channel(place, through[place.id]))
            for place in found.readable
        ]
        try:
            await asyncio.gather(*tasks)
        finally:  # after an error in one the others must not go on without a connection
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _purge(self) -> None:
        """Take out of the raw pages what was deleted since this was done last."""
        started = time.time()
        since = float(database.recall(self._connection, "pages_purged_at") or 0)
        unwanted: dict[int, set[int]] = {}
        for channel_id, message_id in messages.deleted_since(self._connection, int(since)):
            unwanted.setdefault(channel_id, set()).add(message_id)
        pages.purge(self._folder, unwanted)
        database.remember(self._connection, "pages_purged_at", str(started))

    async def _channel(self, place: Readable, through: int) -> None:
        try:
            is_last = False
            while not is_last:
                asked_at = time.time()
                page, is_last = await self._page(place.id, after=through)
                if page or await self._is_cut_short(place, through):
                    through = self._store(place, through, page, is_last, asked_at)
        except discord.Forbidden:
            channels.mark(self._connection, place.id, "forbidden")
            self.report.skipped.append(place.name)
        except discord.NotFound:
            channels.mark(self._connection, place.id, "gone")
            self.report.skipped.append(place.name)
        except UNANSWERED as error:
            log.warning("channel %d stopped at %d: %s", place.id, through, type(error).__name__)
            self.report.failed.append(place.name)
        self._done += 1
        self._advance()

    async def _page(
        self, channel_id: int, limit: int = PAGE, **where: int
    ) -> tuple[list[Raw], bool]:
        """Messages as Discord sends them, oldest first, and whether nothing follows.

        Those without an id, and those of the future, are left out: neither says how far it is read.
        """
        try:
            found: Any = await self._client.http.logs_from(channel_id, limit, **where)
        except ValueError:  # it was no JSON
            found = None
        if not isinstance(found, list):
            raise discord.DiscordException("what came is no page")
        page = [dict(raw) for raw in found if isinstance(raw, dict) and _has_id(raw)]
        latest = messages.snowflake_at(time.time() + DAY)
        past = sorted((raw for raw in page if _id(raw) <= latest), key=_id)
        self.report.malformed += len(found) - len(page)
        self.report.future += len(page) - len(past)
        return past, len(found) < limit or len(past) < len(page) or not page

    async def _is_cut_short(self, place: Readable, through: int) -> bool:
        """Whether all that we know after an id, where Discord has nothing now, was deleted.

        A channel whose history may no longer be read looks the same, but for its newest message:
        it has none.
        """
        if next(messages.history(self._connection, place.id, through + 1), None) is None:
            return False
        newest, _ = await self._page(place.id, limit=1)
        if not newest:
            self.report.emptied.append(place.name)
        return bool(newest) and _id(newest[0]) <= through

    def _store(
        self, place: Readable, after: int, page: list[Raw], is_last: bool, asked_at: float
    ) -> int:
        """Keep a page, and give back the id through which its channel is fetched now."""
        parsed = list(self._parsed(page))
        kept = [message for _, message in parsed]
        if _is_silenced(parsed):
            raise discord_api.no_message_content(self._config)
        last = _id(page[-1]) if page else after
        newest = messages.snowflake_at(asked_at - ANSWER_SECONDS) if is_last else 0
        with transaction(self._connection):
            messages.save(self._connection, kept)
            missing = messages.mark_missing(
                self._connection, place.id, after, max(last, newest), map(_id, page)
            )
            channels.fetched_through(self._connection, place.id, last)
            # within, so that nobody is excluded between the two
            allowed = self._allowed([raw for raw, _ in parsed])
            pages.write(self._folder, place.id, after, allowed, None if is_last else last)
        self.report.messages += len(kept)
        self.report.deleted += len(missing)
        self._advance()
        return last

    def _parsed(self, page: Sequence[Raw]) -> Iterator[tuple[Raw, Message]]:
        """Those messages of a page that are as Discord describes them."""
        now = time.time()
        for raw in page:
            try:
                message = payloads.message(raw, self._config.application_id)
                problem = refusal(message, now)
            except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
                problem = type(error).__name__
            if problem:
                log.warning("message %d was left out: %s", _id(raw), problem)
                self.report.malformed += 1
            else:
                yield raw, message

    def _allowed(self, page: Sequence[Raw]) -> list[Raw]:
        """A page without excluded people, what was trimmed of erased ones, and copies."""
        excluded = database.excluded_users(self._connection)
        trimmed = people.trimmed(self._connection, map(_id, page))
        allowed = (payloads.without(_alone(raw), excluded) for raw in page)
        return [
            {**raw, "content": trimmed.get(_id(raw), raw["content"])}
            for raw in allowed
            if raw is not None
        ]

    def _advance(self) -> None:
        self._on_progress(self._done, self.report.channels, self.report.messages)


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count:,} channels and threads"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _has_id(raw: Raw) -> bool:
    return re.fullmatch("[0-9]{1,20}", str(raw.get("id"))) is not None


def _id(raw: Raw) -> int:
    return int(raw["id"])


def _alone(raw: Raw) -> Raw:
    return {name: value for name, value in raw.items() if name not in COPIES}


def _is_silenced(page: Sequence[tuple[Raw, Message]]) -> bool:
    """Whether many messages that people wrote have no content: the bot may not see it then.

    Notices, such as that somebody joined, never have any.
    """
    written = [raw for raw, message in page if message.kind in (DEFAULT, REPLY)]
    return len(written) >= SILENT and not any(map(_says_anything, written))


def _says_anything(raw: Raw) -> bool:
    return any(raw.get(part) for part in CONTENT)
