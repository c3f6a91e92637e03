"""A few questions to Discord's REST API, before there is a bot; every failure is a sentence.

discord.py is not used: the window asks these questions, and its process stays free of it.
"""

import asyncio
import json
import math
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from bot.config import DISCORD_API, UserError

SECONDS = 15.0
LARGEST = 8 * 2**20
_CDN = "https://cdn.discordapp.com"
_AGENT = "DiscordBot (https://discord.com/developers, 1.0)"
_STATUS_PAGE = "https://discordstatus.com"


class Refused(UserError):
    """An answer that is an error; `status` is the HTTP status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Unreachable(UserError):
    """No answer at all."""


def ask(api_base: str, token: str, method: str, path: str, body: Any = None) -> Any:
    """The JSON that Discord answers. Blocks; raises `UserError` for everything else."""
    return asyncio.run(answer(api_base, token, method, path, body))


async def answer(api_base: str, token: str, method: str, path: str, body: Any = None) -> Any:
    """As `ask`, in a loop that runs already.

    The token is sent to `api_base` alone: redirects are not followed.
    """
    headers = {"Authorization": f"Bot {token}", "User-Agent": _AGENT}
    status, content = await _fetch(method, api_base + path, headers, body)
    if status == 429:
        raise Refused(status, _slow_down(content))
    if status >= 300:
        raise Refused(status, _refusal(status))
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise damaged() from None


def avatar(api_base: str, user_id: int, image: str, size: int = 64) -> bytes | None:
    """A user's picture as PNG; None where it cannot be had, which is no reason to stop."""
    parts = urlsplit(api_base)
    cdn = _CDN if api_base == DISCORD_API else f"{parts.scheme}://{parts.netloc}/cdn"
    try:
        url = f"{cdn}/avatars/{user_id}/{image}.png?size={size}"
        status, content = asyncio.run(_fetch("GET", url, {}))
    except UserError:
        return None
    return content if status == 200 else None


def damaged() -> UserError:
    """What to say of an answer that makes no sense."""
    return UserError(
        "Discord's answer was damaged on its way. Try again; if it stays so, a proxy or a "
        "hotel's login page may stand between this machine and Discord."
    )


async def _fetch(
    method: str, url: str, headers: dict[str, str], body: Any = None
) -> tuple[int, bytes]:
    try:
        return await _send(method, url, headers, body)
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        raise Unreachable(
            f"Discord cannot be reached ({type(error).__name__}). Check the network, look at "
            f"{_STATUS_PAGE}, and try again."
        ) from None


async def _send(method: str, url: str, headers: dict[str, str], body: Any) -> tuple[int, bytes]:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    async with (
        aiohttp.ClientSession(timeout=timeout) as session,
        session.request(method, url, headers=headers, json=body, allow_redirects=False) as response,
    ):
        content = await response.content.read(LARGEST)
        while len(content) < LARGEST and (more := await response.content.read(LARGEST)):
            content += more
        return response.status, content


def _slow_down(content: bytes) -> str:
    """What to say to a 429; Cloudflare's has no JSON and says nothing of when."""
    try:
        seconds = math.ceil(float(json.loads(content)["retry_after"]))
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return "Discord refuses this machine for a while (too many questions). Try in an hour."
    wait = f"{seconds} second{'s' if seconds != 1 else ''}"
    return f"Discord asks to wait {wait}: too many questions at once. Then try again."


def _refusal(status: int) -> str:
    if status == 401:
        return (
            "Discord refused the token. Make a new one: Reset Token on your application's Bot "
            "page at https://discord.com/developers/applications, and paste it here."
        )
    if status == 403:
        return "Discord does not let the bot see this. Invite it again with the link shown."
    if status == 404:
        return "Discord does not know what was asked for; it may have been deleted. Try again."
    if status >= 500:
        return (
            f"Discord has a problem of its own (HTTP {status}). Look at {_STATUS_PAGE} and try "
            "again in a few minutes."
        )
    return f"Discord refused this (HTTP {status}). Try again."
