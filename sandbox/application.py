"""The routes that tell what a bot is, and where it is: those that are asked before it connects."""

from sandbox import guilds, payloads
from sandbox.payloads import MESSAGE_CONTENT_LIMITED, Json
from sandbox.rest import ApiError, Call, Rest, invalid
from sandbox.sessions import CONTENT


def register(rest: Rest) -> None:
    """Tell the REST server about every route."""
    for method, path, handler in (
        ("GET", "/oauth2/applications/@me", get_application),
        ("GET", "/applications/@me", get_application),
        ("PATCH", "/applications/@me", edit_application),
        ("GET", "/users/@me/guilds", get_guilds),
    ):
        rest.add(method, path, handler)


async def get_application(call: Call) -> Json:
    return payloads.application(call.world)


async def edit_application(call: Call) -> Json:
    """Of the flags only the limited intents can be changed, and here only message content."""
    flags = call.object().get("flags")
    if isinstance(flags, bool) or not isinstance(flags, int | None):
        raise invalid("flags", "int value should be given.")
    if flags is not None and not call.world.may_switch_intents:
        raise ApiError(400, 50035, "Invalid Form Body", {"flags": {"_errors": []}})
    if flags is not None:
        call.rest.gateway.allow(CONTENT, bool(flags & MESSAGE_CONTENT_LIMITED))
    return payloads.application(call.world)


async def get_guilds(call: Call) -> list[Json]:
    return [_joined(guilds.guild(call.world, one)) for one in call.world.joined]


def _joined(whole: Json) -> Json:
    """What the bot is told of a server that it is on, before it asks for more."""
    names = ("id", "name", "icon", "banner", "features")
    own = {"owner": False, "permissions": guilds.EVERYONE_PERMISSIONS}
    return {**{name: whole[name] for name in names}, **own}
