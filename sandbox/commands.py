"""The bot's slash commands, of its application or of the one server: they are one list here."""

import secrets
from typing import Any

from sandbox.payloads import Json
from sandbox.rest import ApiError, Call, Rest, invalid
from sandbox.routes import check_guild


def register(rest: Rest) -> None:
    """Tell the REST server about the routes of commands."""
    for path in ("/applications/{app}/commands", "/applications/{app}/guilds/{guild}/commands"):
        rest.add("GET", path, get_commands)
        rest.add("PUT", path, put_commands)
        rest.add("POST", path, post_command)


async def get_commands(call: Call) -> list[Json]:
    _check_application(call)
    return list(call.world.commands)


async def put_commands(call: Call) -> list[Json]:
    _check_application(call)
    if not isinstance(call.body, list):
        raise ApiError(400, 50109, "The request body contains invalid JSON.")
    call.world.commands = [_command(call, fields) for fields in call.body]
    return list(call.world.commands)


async def post_command(call: Call) -> Json:
    """A new command, or a new version of the one with that name."""
    _check_application(call)
    fresh = _command(call, call.object())
    others = [c for c in call.world.commands if c["name"] != fresh["name"]]
    call.status = 201 if len(others) == len(call.world.commands) else 200
    call.world.commands = [*others, fresh]
    return fresh


def _check_application(call: Call) -> None:
    if "guild" in call.match.groupdict():
        check_guild(call)
    if call.id("app") != call.world.bot_id:
        text = "You are not authorized to perform this action on this application"
        raise ApiError(403, 20012, text)


def _command(call: Call, fields: Any) -> Json:
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
    if "guild" in call.match.groupdict():
        own["guild_id"] = str(call.world.guild_id)
    needed = fields.get("default_member_permissions")
    asked = {"default_member_permissions": None if needed is None else str(needed)}
    return {**defaults, **fields, **asked, **own, "options": options}


def _is_option(option: Any) -> bool:
    if not isinstance(option, dict) or not isinstance(option.get("type"), int):
        return False
    return isinstance(option.get("name"), str)
