"""What a token is good for: whose it is, what the bot may read, where it is and whom it obeys.

`python -m data.discord_setup [--api-base URL]` asks for a token and says all of it.
"""

import argparse
import contextlib
import dataclasses
import getpass
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from bot.config import DISCORD_API, UserError, exit_with
from data import discord_rest
from data.discord_rest import Refused

PORTAL = "https://discord.com/developers/applications"
MESSAGE_CONTENT = 1 << 18  # of a verified application
MESSAGE_CONTENT_LIMITED = 1 << 19  # the switch that everybody else has

ADMINISTRATOR, VIEW, SEND, HISTORY = 1 << 3, 1 << 10, 1 << 11, 1 << 16
ADD_REACTIONS, SEND_IN_THREADS = 1 << 6, 1 << 38
PERMISSIONS = VIEW | SEND | SEND_IN_THREADS | HISTORY | ADD_REACTIONS

_QUOTES = " \t\r\n\"'`\u201c\u201d\u2018\u2019\u201e"
KINDS = {
    0: "text",
    2: "voice chat",
    5: "announcements",
    13: "stage chat",
    15: "forum",
    16: "media",
}


@dataclasses.dataclass(frozen=True)
class Named:
    """A person or a server."""

    id: int
    name: str


@dataclasses.dataclass(frozen=True)
class Application:
    """The bot: its name, its picture (PNG, where there is one), its switches and its owners."""

    id: int
    name: str
    flags: int
    owners: tuple[Named, ...]
    picture: bytes | None = dataclasses.field(default=None, repr=False)

    @property
    def may_read_messages(self) -> bool:
        """Whether the Message Content Intent is on."""
        return bool(self.flags & (MESSAGE_CONTENT | MESSAGE_CONTENT_LIMITED))

    @property
    def intents_page(self) -> str:
        """Where a person switches the intent on."""
        return f"{PORTAL}/{self.id}/bot"

    @property
    def invite(self) -> str:
        """The link that adds the bot to a server with the permissions it needs and no more."""
        return (
            f"https://discord.com/oauth2/authorize?client_id={self.id}"
            f"&scope=bot+applications.commands&permissions={PERMISSIONS}"
        )


@dataclasses.dataclass(frozen=True)
class Channel:
    """A channel that the bot sees; `kind` is a word for people."""

    id: int
    name: str
    kind: str
    may_read: bool
    may_write: bool


@dataclasses.dataclass(frozen=True)
class Server:
    """A server as the bot sees it. `owner` has no name where Discord gives none."""

    id: int
    name: str
    owner: Named
    channels: tuple[Channel, ...]

    @property
    def readable(self) -> list[Channel]:
        """The channels whose history the bot may read."""
        return [channel for channel in self.channels if channel.may_read]


def clean_token(text: str) -> str:
    """A token as people paste it, without what is not part of it. Raises `UserError`."""
    text = re.sub(r"[\u200b-\u200f\u2060\ufeff]", "", text)
    text = text.strip().removeprefix("DISCORD_TOKEN=").strip(_QUOTES)
    text = re.sub(r"^bot\s+", "", text, flags=re.IGNORECASE).strip()
    if not text:
        raise UserError(f"Paste the bot's token: {PORTAL} > your application > Bot > Reset Token.")
    if re.fullmatch(r"[0-9]{15,20}", text):
        raise UserError("This is the application's id. The token is on the page Bot: Reset Token.")
    if re.fullmatch(r"[\w-]{32}|[0-9a-f]{64}", text):
        raise UserError(
            "This is the client secret or the public key. The token is on the page Bot: Reset "
            "Token; it has three parts joined by dots."
        )
    if not re.fullmatch(r"[\w-]{18,}\.[\w-]{6,}\.[\w-]{27,}", text, re.ASCII):
        raise UserError(
            "This is not a whole bot token: it has three parts joined by dots and about 70 "
            "characters. Press Reset Token on the page Bot and copy it again."
        )
    return text


def application(api_base: str, token: str) -> Application:
    """Whose token it is. Raises `UserError`, for a token that Discord refuses, too."""
    body = discord_rest.ask(api_base, token, "GET", "/applications/@me")
    found = _application(body)
    with contextlib.suppress(KeyError, TypeError, ValueError):
        user, image = _id(body["bot"]["id"]), str(body["bot"]["avatar"] or "")
        if re.fullmatch(r"\w{1,64}", image):
            picture = discord_rest.avatar(api_base, user, image)
            found = dataclasses.replace(found, picture=picture)
    return found


def switch_on_message_content(api_base: str, token: str, known: Application) -> Application:
    """Let the bot read messages, where Discord allows it by API. Raises `UserError`.

    It ends the bot's session, so it is done before there is one.
    """
    body = {"flags": known.flags & 0x7FFF_FFFF | MESSAGE_CONTENT_LIMITED}
    try:
        answer = discord_rest.ask(api_base, token, "PATCH", "/applications/@me", body)
    except Refused as error:
        if error.status in (401, 429) or error.status >= 500:
            raise
        raise UserError(_still_off(known)) from None
    found = _application(answer)
    if not found.may_read_messages:
        raise UserError(_still_off(known))
    return dataclasses.replace(found, picture=known.picture)


def _still_off(known: Application) -> str:
    return (
        "Discord does not allow this by itself here. Open "
        f"{known.intents_page}, switch on Message Content Intent, save, and press Check again."
    )


def servers(api_base: str, token: str) -> tuple[Named, ...]:
    """The servers that the bot is on, by name. Raises `UserError`."""
    body = discord_rest.ask(api_base, token, "GET", "/users/@me/guilds?limit=200")
    with _understood():
        found = [Named(_id(one["id"]), _name(one["name"])) for one in _list(body)]
    return tuple(sorted(found, key=lambda one: one.name.casefold()))


def server(api_base: str, token: str, server_id: int, bot_id: int) -> Server:
    """A server with the channels that the bot sees, in the order people see them.

    Raises `UserError`.
    """

    def get(path: str) -> Any:
        return discord_rest.ask(api_base, token, "GET", f"/guilds/{server_id}{path}")

    guild, channels, me = get(""), get("/channels"), get(f"/members/{bot_id}")
    with _understood():
        owner_id = _id(guild["owner_id"])
        roles = {_id(role["id"]): int(role["permissions"]) for role in _list(guild["roles"])}
        own = {_id(role) for role in _list(me["roles"])}
        seen = _channels(_list(channels), server_id, roles, own | {bot_id})
        name = _name(guild["name"])
    return Server(server_id, name, Named(owner_id, _owner_name(get, owner_id)), seen)


def _owner_name(get: Any, owner_id: int) -> str:
    """A name is nice to have: the server's owner may be found by id alone."""
    try:
        user = get(f"/members/{owner_id}")["user"]
        return _name(user.get("global_name") or user["username"])
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return ""


def _application(body: Any) -> Application:
    with _understood():
        bot = body.get("bot") or {}
        name = bot.get("username") or body["name"]
        team = body.get("team") or {}
        people = [m["user"] for m in _list(team.get("members") or []) if m["membership_state"] == 2]
        if not people:  # of a team, the owner is an account that nobody has
            people = [body["owner"]]
        first = str(team.get("owner_user_id") or "")
        people.sort(key=lambda one: one["id"] != first)
        owners = [Named(_id(one["id"]), _name(one["username"])) for one in people]
        flags = int(body["flags"]) | int(body.get("flags_new") or 0)
        return Application(_id(body["id"]), _name(name), flags, tuple(owners))


def _channels(
    bodies: list[Any], server_id: int, roles: Mapping[int, int], own: Collection[int]
) -> tuple[Channel, ...]:
    by_place = sorted(bodies, key=lambda body: (int(body.get("position") or 0), _id(body["id"])))
    found = []
    for body in by_place:
        allowed = permissions(body, server_id, roles, own)
        if body["type"] in KINDS and allowed & VIEW:
            may_read, may_write = bool(allowed & HISTORY), bool(allowed & SEND)
            name, kind = _name(body["name"]), KINDS[body["type"]]
            found.append(Channel(_id(body["id"]), name, kind, may_read, may_write))
    return tuple(found)


def permissions(
    channel: Mapping[str, Any], server_id: int, roles: Mapping[int, int], own: Collection[int]
) -> int:
    """What may be done in a channel by who has the ids `own`: their roles, and their own.

    As https://discord.com/developers/docs/topics/permissions computes it; `roles` are the
    permissions that each role of the server gives.
    """
    everybody = roles[server_id]
    allowed = everybody
    for role in own:
        allowed |= roles.get(role, 0)
    if allowed & ADMINISTRATOR:
        return ~0
    changes = {
        _id(one["id"]): (int(one["type"]), int(one["allow"]), int(one["deny"]))
        for one in _list(channel.get("permission_overwrites") or [])
    }
    _, allow, deny = changes.pop(server_id, (0, 0, 0))
    allowed = allowed & ~deny | allow
    for kind in (0, 1):  # roles, then the member
        mine = [change for number, change in changes.items() if number in own and change[0] == kind]
        for change in mine:
            allowed &= ~change[2]
        for change in mine:
            allowed |= change[1]
    return allowed


@contextlib.contextmanager
def _understood() -> Iterator[None]:
    """Raise a sentence when an answer is not of the shape that is expected."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise discord_rest.damaged() from None


def _id(value: Any) -> int:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{1,20}", value, re.ASCII):
        raise ValueError("not an id")
    return int(value)


def _name(value: Any) -> str:
    """A name on one line, at most a hundred characters of it."""
    if not isinstance(value, str):
        raise TypeError("not a name")
    return " ".join("".join(c for c in value if c.isprintable() or c.isspace()).split())[:100]


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def main() -> int:
    """Say what a token is good for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--api-base", default=DISCORD_API, help="a sandbox's address")
    api_base = parser.parse_args().api_base
    try:
        token = clean_token(getpass.getpass("Token (not shown): "))
        found = application(api_base, token)
        print(f"{found.name}, id {found.id}, of {', '.join(one.name for one in found.owners)}")
        print(f"Message Content Intent: {'on' if found.may_read_messages else 'off'}")
        print(f"Invite: {found.invite}")
        for one in servers(api_base, token):
            print(f"On the server {one.name}, id {one.id}")
            for channel in server(api_base, token, one.id, found.id).channels:
                print(f"  #{channel.name}, id {channel.id}, {channel.kind}")
    except UserError as error:
        return exit_with(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
