"""Sending one message: once, to nobody's phone, and not again where Discord said no."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import aiohttp
import discord

if TYPE_CHECKING:
    from discord.abc import MessageableChannel

log = logging.getLogger(__name__)

NOBODY = discord.AllowedMentions.none()
PATIENCE_SECONDS = 30.0  # a reply that is later than this is no reply
PAUSE_SECONDS = 1.0  # before the second attempt
INVALID_FORM = 50035


class Sender:
    """Sends into channels, and remembers where it may not."""

    def __init__(self, pause_seconds: float = PAUSE_SECONDS) -> None:
        self._pause_seconds = pause_seconds
        self._refused: dict[int, int] = {}  # channel id -> our permissions at that time
        self._sent_at: dict[int, float] = {}

    async def send(
        self,
        channel: "MessageableChannel",
        text: str,
        nonce: str,
        answers: discord.Message | None = None,
    ) -> discord.Message | None:
        """The message as it was sent, as a reply to `answers` if there is one; None if it was not.

        It is not where we may not write (until our permissions change), where slow mode or a lock
        forbids it, and when what it answers was deleted: who takes a question back wants no answer.
        """
        if not self.may_send(channel):
            return None
        try:
            sent = await asyncio.wait_for(
                self._insist(channel, text, nonce, answers), PATIENCE_SECONDS
            )
        except discord.Forbidden as error:
            self._refused[channel.id] = _permissions(channel).value
            log.warning("may not write in channel %d: code %d", channel.id, error.code)
        except discord.HTTPException as error:
            _log_failure(nonce, error)
        except (discord.RateLimited, aiohttp.ClientError, OSError, asyncio.TimeoutError) as error:
            log.error("message %s not sent: %s", nonce, type(error).__name__)
        else:
            self._sent_at[channel.id] = time.monotonic()
            return sent
        return None

    def may_send(self, channel: "MessageableChannel") -> bool:
        """Whether it makes sense to try: ask before a reply is generated."""
        permissions = _permissions(channel)
        if self._refused.get(channel.id) == permissions.value:
            return False
        self._refused.pop(channel.id, None)
        is_locked = isinstance(channel, discord.Thread) and channel.locked
        if is_locked and not permissions.manage_threads:
            return False
        delay = getattr(channel, "slowmode_delay", 0)
        since = time.monotonic() - self._sent_at.get(channel.id, float("-inf"))
        return since >= delay or permissions.bypass_slowmode

    async def _insist(
        self, channel: "MessageableChannel", text: str, nonce: str, answers: discord.Message | None
    ) -> discord.Message:
        """Send; where the answer got lost, once more: by its nonce Discord knows it again."""
        with contextlib.suppress(discord.DiscordServerError, aiohttp.ClientError, OSError):
            return await _send(channel, text, nonce, answers)
        await asyncio.sleep(self._pause_seconds)
        return await _send(channel, text, nonce, answers)


def nonce(trigger_id: int, position: int) -> str:
    """What names one message of a burst, whichever attempt or process sends it.

    At most 25 characters; discord.py asks Discord to enforce it, which it does for some minutes.
    """
    return f"{trigger_id}-{position}"


@contextlib.asynccontextmanager
async def typing(channel: discord.abc.Messageable) -> AsyncIterator[None]:
    """Show that the bot types, without waiting for Discord."""
    showing = asyncio.create_task(_show_typing(channel))
    try:
        yield
    finally:
        showing.cancel()


async def _show_typing(channel: discord.abc.Messageable) -> None:
    with contextlib.suppress(discord.HTTPException, aiohttp.ClientError, OSError):
        async with channel.typing():
            await asyncio.Event().wait()


async def _send(
    channel: "MessageableChannel", text: str, nonce: str, answers: discord.Message | None
) -> discord.Message:
    if answers is None:
        return await channel.send(text, nonce=nonce, allowed_mentions=NOBODY)
    return await channel.send(
        text, nonce=nonce, allowed_mentions=NOBODY, reference=answers, mention_author=False
    )


def _permissions(channel: "MessageableChannel") -> discord.Permissions:
    """Ours, as the gateway told them; none for a thread whose channel is not known."""
    if isinstance(channel, discord.Thread | discord.abc.GuildChannel):
        with contextlib.suppress(discord.ClientException):
            return channel.permissions_for(channel.guild.me)
    return discord.Permissions.none()


def _log_failure(nonce: str, error: discord.HTTPException) -> None:
    if error.code == INVALID_FORM and "message_reference" in error.text:
        log.info("message %s not sent: what it answers is gone", nonce)
    else:
        log.error("message %s not sent: HTTP %d, code %d", nonce, error.status, error.code)
