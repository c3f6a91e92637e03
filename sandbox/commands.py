"""The bot's slash commands: those of its application, and those of each server."""

import secrets
from typing import Any

from sandbox.payloads import Json
from sandbox.rest import ApiError, Call, Rest, invalid
from sandbox.routes import found_guild


def register(rest: Rest) -> None:
    """Tell the REST server about the routes of commands."""
    for path in ("/applications/{app}/commands", "/applications/{app}/guilds/{guild}/commands"):
        rest.add("GET", path, get_commands)
        rest.add("PUT", path, put_commands)
        rest.add("POST", path, post_command)


async def get_commands(call: Call) -> list[Json]:
    scope = _scope(call)
    return [command for command in call.world.commands if command.get("guild_id") == scope]


async def put_commands(call: Call) -> list[Json]:
    scope = _scope(call)
    if not isinstance(call.body, list):
        raise ApiError(400, 50109, "The request body contains invalid JSON.")
    fresh = [_command(call, fields, scope) for fields in call.body]
    others = [command for command in call.world.commands if command.get("guild_id") != scope]
    call.world.commands = [*others, *fresh]
    return fresh


async def post_command(call: Call) -> Json:
    """A new command, or a new version of the one with that name."""
    scope = _scope(call)
    fresh = _command(call, call.object(), scope)
    named = (fresh["name"], scope)
    others = [c for c in call.world.commands if (c["name"], c.get("guild_id")) != named]
    call.status = 201 if len(others) == len(call.world.commands) else 200
    call.world.commands = [*others, fresh]
    return fresh


def _scope(call: Call) -> str | None:
    """The server in the path, where there is one, of the bot's own application."""
    guild = found_guild(call) if "guild" in call.match.groupdict() else None
    if call.id("app") != call.world.bot_id:
        text = "You are not authorized to perform this action on this application"
        raise ApiError(403, 20012, text)
    return str(guild.id) if guild else None


def _command(call: Call, fields: Any, scope: str | None) -> Json:
    if not isinstance(fields, dict) or not isinstance(fields.get("name"), str):
        raise invalid("name", "This field is required")
    options = fields.get("options") or []
    if not isinstance(options, list) or not all(_is_option(option) for option in options):
        raise invalid("options", "This field is required")
    defaults: Json = {
        "type": 1,
        "description": "",
        "default_member_permissions": None,
        "nsfw": False,
        "options": [],
    }
    own = {
        "id": str(call.world.new_id()),
        "application_id": str(call.world.bot_id),
        "version": str(secrets.randbits(62)),
    }
    if scope:
        own["guild_id"] = scope
    needed = fields.get("default_member_permissions")
    asked = {"default_member_permissions": None if needed is None else str(needed)}
    return {**defaults, **fields, **asked, **own, "options": options}


def _is_option(option: Any) -> bool:
    if not isinstance(option, dict) or not isinstance(option.get("type"), int):
        return False
    return isinstance(option.get("name"), str)
