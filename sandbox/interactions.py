"""One use of a slash command or a button, and what the bot answers to it."""

import asyncio

from sandbox import guilds, payloads
from sandbox.payloads import Json
from sandbox.world import Guild, Post, World

COMMAND, BUTTON, COMPLETION = 2, 3, 4


def used(
    world: World, command: Json, options: Json, place_id: int, focused: str | None = None
) -> Json:
    """The `data` of a command that is used or typed; a dictionary among its options is of a
    subcommand. `focused` is the option that is being typed."""
    return {
        "id": command["id"],
        "name": command["name"],
        "type": 1,
        **payloads.in_guild(world, place_id),
        "options": _given(command, options, focused),
    }


def _given(command: Json, options: Json, focused: str | None) -> list[Json]:
    known = {option["name"]: option for option in command.get("options") or []}
    given: list[Json] = []
    for name, value in options.items():
        option = known.get(name, {})
        one: Json = {"name": name, "type": option.get("type", 3)}
        if isinstance(value, dict):
            one["options"] = _given(option, value, focused)
        else:
            one |= {"value": value} | ({"focused": True} if name == focused else {})
        given.append(one)
    return given


class Interaction:
    """`answers` are the bot's; `choices` is what it suggests for an option."""

    def __init__(
        self,
        world: World,
        place_id: int,
        person_id: int,
        kind: int,
        data: Json,
        below: Post | None = None,
    ) -> None:
        self._world = world
        self.id = world.new_id()
        self.token = f"interaction-{self.id}"
        self.place_id, self.person_id = place_id, person_id
        self.kind, self.data, self._below = kind, data, below
        self.answers: list[Post] = []
        self.choices: list[Json] = []
        self.is_acknowledged = self.is_promised = self.is_private = False
        self.answered = asyncio.Event()

    def event(self) -> Json:
        """INTERACTION_CREATE."""
        place, guild = self._world.places[self.place_id], self._world.guild_of(self.place_id)
        below = {"message": payloads.message(self._world, self._below)} if self._below else {}
        return {
            "id": str(self.id),
            "application_id": str(self._world.bot_id),
            "type": self.kind,
            "token": self.token,
            "version": 1,
            "attachment_size_limit": 10_485_760,
            "locale": "en-US",
            "channel_id": str(place.id),
            "channel": guilds.channel(self._world, place),
            "app_permissions": guilds.EVERYONE_PERMISSIONS,
            "entitlements": [],
            **(self._in_guild(guild) if guild else self._in_private()),
            **below,
            "data": self.data,
        }

    def _in_guild(self, guild: Guild) -> Json:
        guild_id, person = str(guild.id), self._world.people[self.person_id]
        permissions = {"permissions": guilds.EVERYONE_PERMISSIONS}
        return {
            "guild_id": guild_id,
            "guild": {"id": guild_id, "locale": "en-US", "features": []},
            "guild_locale": "en-US",
            "member": {**payloads.member(person), **permissions},
            "authorizing_integration_owners": {"0": guild_id},
            "context": 0,
        }

    def _in_private(self) -> Json:
        person = self._world.people[self.person_id]
        owners = {"authorizing_integration_owners": {"0": "0"}, "context": 1}
        return {"user": payloads.user(person), **owners}
