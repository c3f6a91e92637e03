"""On how many connections Discord wants the bot, and whether it may still log in today."""

import asyncio
import dataclasses
import itertools
import logging
from typing import Any

from bot.config import Config
from data import discord_api, discord_rest

log = logging.getLogger(__name__)

RETRY_SECONDS = (1, 2, 5, 10, 30)
MOST_SHARDS, LONGEST_SECONDS = 10_000, 2 * 86_400.0  # anything else is damaged


@dataclasses.dataclass(frozen=True)
class Gateway:
    """`shards` are the connections that Discord recommends; each of them is a login."""

    shards: int
    logins_left: int
    reset_seconds: float  # until the day's logins can be spent again


async def shards(settings: Config) -> int:
    """How many connections to make. Waits for the network, and for enough logins to be left.

    Raises `UserError` when Discord does not accept the token.
    """
    while True:
        gateway = await _ask(settings)
        if gateway.logins_left >= gateway.shards:
            return gateway.shards
        log.error(
            "no login before %.1f h have passed: %d of the day's are left, %d are needed",
            gateway.reset_seconds / 3600,
            gateway.logins_left,
            gateway.shards,
        )
        await asyncio.sleep(gateway.reset_seconds)


async def _ask(settings: Config) -> Gateway:
    for wait in itertools.chain(RETRY_SECONDS, itertools.repeat(RETRY_SECONDS[-1])):
        try:
            return _read(
                await discord_rest.answer(settings.api_base, settings.token, "GET", "/gateway/bot")
            )
        except discord_rest.Refused as error:
            if error.status == 401:
                raise discord_api.refused(settings) from None
            reason = f"HTTP {error.status}"
        except discord_rest.Unreachable:
            reason = "no answer"
        except (KeyError, TypeError, ValueError, OverflowError):
            reason = "a damaged answer"
        log.warning("Discord cannot be reached (%s); trying again in %d s", reason, wait)
        await asyncio.sleep(wait)
    raise AssertionError("the waits never end")


def _read(answer: Any) -> Gateway:
    limit, count = answer["session_start_limit"], int(answer["shards"])
    left, reset_seconds = int(limit["remaining"]), float(limit["reset_after"]) / 1000
    if not (0 < count <= MOST_SHARDS and 0 <= reset_seconds <= LONGEST_SECONDS):
        raise ValueError
    return Gateway(count, left, reset_seconds)
