"""Every answer of the sandbox's REST API is what Discord's own document promises.

`openapi.json.gz` is Discord's published description of API v10, under the licence beside it.
"""

import gzip
import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import referencing
from referencing.jsonschema import DRAFT202012

from sandbox import community
from sandbox.payloads import Json
from sandbox.server import Sandbox
from sandbox.world import CATEGORY, FORUM, PUBLIC_THREAD, TEXT, VOICE, Place, World, populate
from tests.sandbox.conftest import Caller

# What the sandbox does otherwise on purpose, as patterns of the lines that `misses` gives.
TOLERATED = (
    # the document says a number, Discord's reference and Discord itself say BASE_TYPE_BAD
    r"errors/.*/_errors/\*/code: .* is not of type 'integer'",
)


@cache
def document() -> Json:
    with gzip.open(Path(__file__).with_name("openapi.json.gz"), "rt", encoding="utf-8") as file:
        loaded: Json = json.load(file)
    return loaded


@cache
def registry() -> Any:
    resource = DRAFT202012.create_resource(document())
    return referencing.Registry().with_resource("urn:discord", resource)


def operation(method: str, path: str) -> tuple[str, Json]:
    """The document's entry for a concrete path; one with more fixed words goes first."""
    templates = sorted(document()["paths"], key=lambda template: template.count("{"))
    for template in templates:
        pattern = re.sub(r"\{\w+\}", "[^/]+", template)
        if re.fullmatch(pattern, path) and method.lower() in document()["paths"][template]:
            return template, document()["paths"][template][method.lower()]
    raise LookupError(f"the document has no {method} {path}")


def misses(method: str, path: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer, as "where: what"."""
    _, entry = operation(method, path.partition("?")[0])
    responses = entry["responses"]
    found = responses.get(str(status)) or responses.get(f"{str(status)[0]}XX")
    if found is None:
        return [f"status {status} is not one of {list(responses)}"]
    if "$ref" in found:
        found = document()["components"]["responses"][found["$ref"].rsplit("/", 1)[1]]
    if "content" not in found:
        return [] if body == "" else [f"{status} has no body, but came with {body!r}"]
    schema = _absolute(found["content"]["application/json"]["schema"])
    validator = jsonschema.Draft202012Validator(schema, registry=registry())
    return [_line(error) for error in validator.iter_errors(body)]


def _absolute(schema: Any) -> Any:
    """A schema of the document whose references work outside it too."""
    if isinstance(schema, dict):
        return {
            key: f"urn:discord{value}" if key == "$ref" else _absolute(value)
            for key, value in schema.items()
        }
    return [_absolute(entry) for entry in schema] if isinstance(schema, list) else schema


def _line(error: jsonschema.ValidationError) -> str:
    deepest = error
    while deepest.context:
        deepest = max(deepest.context, key=lambda inner: len(inner.absolute_path))
    where = "/".join("*" if isinstance(p, int) else str(p) for p in deepest.absolute_path)
    return f"{where}: {deepest.message[:300]}"


class Checked:
    """Calls a route, checks the answer against the document, and remembers the route."""

    def __init__(self, call: Caller) -> None:
        self._call = call
        self.seen: set[tuple[str, str]] = set()

    async def __call__(self, method: str, path: str, expected: int = 200, **how: Any) -> Any:
        status, body = await self._call(method, path, **how)
        assert status == expected, (method, path, status, body)
        found = misses(method, path, status, body)
        wrong = {line for line in found if not any(re.match(known, line) for known in TOLERATED)}
        assert not wrong, f"{method} {path}\n" + "\n".join(sorted(wrong))
        self.seen.add((method, path.partition("?")[0]))
        return body


@pytest.fixture(scope="module")
def pyscript() -> community.Community:
    return community.load("pyscript-discord")


@pytest.fixture
def world(pyscript: community.Community) -> World:
    return populate(pyscript)


@pytest.fixture
def checked(call: Caller) -> Checked:
    return Checked(call)


@pytest.fixture
def busiest(world: World) -> Place:
    return max((p for p in world.places.values() if p.kind == TEXT), key=lambda p: len(p.posts))


def _places(world: World, kind: int) -> list[Place]:
    return [place for place in world.places.values() if place.kind == kind]


async def test_who_the_bot_is(checked: Checked, world: World) -> None:
    await checked("GET", "/users/@me")
    await checked("GET", f"/users/{world.owner_id}")
    body = {"recipient_id": str(world.owner_id)}
    direct = await checked("POST", "/users/@me/channels", json=body)
    assert direct == await checked("GET", f"/channels/{direct['id']}")
    await checked("GET", "/oauth2/applications/@me")
    await checked("GET", "/applications/@me")
    await checked("PATCH", "/applications/@me", json={"flags": 1 << 19})
    await checked("GET", "/users/@me/guilds")
    await checked("GET", "/gateway")
    await checked("GET", "/gateway/bot")


async def test_the_guild_and_its_members(checked: Checked, world: World) -> None:
    guild = f"/guilds/{world.guild_id}"
    await checked("GET", guild)
    await checked("GET", f"{guild}?with_counts=true")
    assert len(await checked("GET", f"{guild}/channels")) > 10
    assert (await checked("GET", f"{guild}/threads/active"))["threads"]
    for person_id in (world.bot_id, world.owner_id, *list(world.people)[-3:]):
        await checked("GET", f"{guild}/members/{person_id}")


async def test_a_further_server(checked: Checked, world: World) -> None:
    server_id = world.add_server("Den")
    den = world.add_place("den", server_id=server_id)
    den.may_write = False
    thread = world.add_place("corner", PUBLIC_THREAD, den.id)
    assert (await checked("GET", f"/guilds/{server_id}"))["name"] == "Den"
    (channel,) = await checked("GET", f"/guilds/{server_id}/channels")
    assert (channel["id"], channel["guild_id"]) == (str(den.id), str(server_id))
    assert channel["permission_overwrites"][0]["id"] == str(server_id)
    (active,) = (await checked("GET", f"/guilds/{server_id}/threads/active"))["threads"]
    assert (active["id"], active["guild_id"]) == (str(thread.id), str(server_id))
    await checked("GET", f"/guilds/{server_id}/members/{world.owner_id}")
    listed = await checked("GET", "/users/@me/guilds")
    assert [guild["id"] for guild in listed] == [str(world.guild_id), str(server_id)]


@pytest.mark.parametrize("kind", [TEXT, VOICE, FORUM, PUBLIC_THREAD])
async def test_channels_of_each_kind(checked: Checked, world: World, kind: int) -> None:
    for place in _places(world, kind):
        body = await checked("GET", f"/channels/{place.id}")
        assert body["type"] == kind


async def test_a_category(checked: Checked, world: World) -> None:
    category = world.add_place("rooms", CATEGORY)
    world.add_place("inside", parent_id=category.id)
    await checked("GET", f"/channels/{category.id}")
    await checked("GET", f"/guilds/{world.guild_id}/channels")


async def test_archived_threads(checked: Checked, world: World) -> None:
    parent = next(p.parent_id for p in world.places.values() if p.is_archived)
    for which in ("public", "private"):
        await checked("GET", f"/channels/{parent}/threads/archived/{which}?limit=2")
    await checked("GET", f"/channels/{parent}/users/@me/threads/archived/private")


async def test_a_new_thread(checked: Checked, busiest: Place) -> None:
    body = {"name": "a thread", "type": 11}
    await checked("POST", f"/channels/{busiest.id}/threads", 201, json=body)


async def test_three_hundred_messages_of_history(checked: Checked, busiest: Place) -> None:
    seen: list[Json] = []
    while len(seen) < 300:
        before = f"&before={seen[-1]['id']}" if seen else ""
        seen += await checked("GET", f"/channels/{busiest.id}/messages?limit=100{before}")
    assert [int(m["id"]) for m in seen] == [post.id for post in busiest.posts[:-301:-1]]
    assert any("referenced_message" in message for message in seen)
    assert any(message["reactions"] for message in seen if "reactions" in message)


async def test_every_type_of_message(checked: Checked, world: World) -> None:
    posts = [post for place in world.places.values() for post in place.posts]
    unusual = [post for post in posts if post.type not in (0, 19)][::8]
    assert {post.type for post in unusual} == {18, 20}
    for post in [*unusual, *[post for post in posts if post.attachments][:20]]:
        await checked("GET", f"/channels/{post.place_id}/messages/{post.id}")


async def test_a_messages_life(checked: Checked, world: World, busiest: Place) -> None:
    room = f"/channels/{busiest.id}/messages"
    sent = await checked("POST", room, json={"content": "hello", "nonce": "7", "tts": False})
    reference = {"message_id": int(sent["id"]), "channel_id": busiest.id}
    reply = await checked(
        "POST", room, json={"content": f"<@{world.owner_id}>", "message_reference": reference}
    )
    assert reply["referenced_message"]["id"] == sent["id"]
    edited = await checked("PATCH", f"{room}/{sent['id']}", json={"content": "hello again"})
    assert edited["edited_timestamp"]
    await checked("GET", f"{room}/{sent['id']}")
    await checked("POST", f"/channels/{busiest.id}/typing", 204)
    await checked("DELETE", f"{room}/{sent['id']}", 204)
    orphan = await checked("GET", f"{room}/{reply['id']}")
    assert orphan["referenced_message"] is None
    await checked("GET", f"{room}/{sent['id']}", 404)


async def test_reactions(checked: Checked, busiest: Place) -> None:
    room = f"/channels/{busiest.id}/messages"
    sent = await checked("POST", room, json={"content": "hello"})
    for emoji in ("%F0%9F%91%8D", "python:123456789012345678"):
        await checked("PUT", f"{room}/{sent['id']}/reactions/{emoji}/@me", 204)
        assert len(await checked("GET", f"{room}/{sent['id']}/reactions/{emoji}?limit=10")) == 1
    reactions = (await checked("GET", f"{room}/{sent['id']}"))["reactions"]
    assert [r["emoji"]["name"] for r in reactions] == ["\N{THUMBS UP SIGN}", "python"]
    await checked("DELETE", f"{room}/{sent['id']}/reactions/{emoji}/@me", 204)


async def test_bulk_delete(checked: Checked, busiest: Place) -> None:
    ids = [str(post.id) for post in busiest.posts[-2:]]
    body = {"messages": ids}
    await checked("POST", f"/channels/{busiest.id}/messages/bulk-delete", 204, json=body)
    await checked("GET", f"/channels/{busiest.id}/messages/{ids[0]}", 404)


COMMANDS = [
    {"name": "status", "description": "How the bot is", "type": 1},
    {
        "name": "setrate",
        "description": "How often it speaks",
        "type": 1,
        "options": [
            {
                "type": 10,
                "name": "rate",
                "description": "0 to 1",
                "required": True,
                "min_value": 0.0,
                "max_value": 1.0,
            },
            {
                "type": 3,
                "name": "mode",
                "description": "when",
                "choices": [{"name": "always", "value": "a"}],
            },
        ],
        "dm_permission": False,
        "default_member_permissions": 32,
        "nsfw": False,
    },
]


async def test_commands(checked: Checked, world: World) -> None:
    for scope in ("", f"/guilds/{world.guild_id}"):
        path = f"/applications/{world.bot_id}{scope}/commands"
        await checked("PUT", path, json=COMMANDS)
        await checked("POST", path, 201, json={"name": "fresh", "description": "new"})
        await checked("POST", path, 200, json={"name": "fresh", "description": "newer"})
        names = [command["name"] for command in await checked("GET", path)]
        assert names == ["status", "setrate", "fresh"]


async def test_answers_to_commands(
    checked: Checked, sandbox: Sandbox, world: World, busiest: Place
) -> None:
    (command, *_) = await checked(
        "PUT", f"/applications/{world.bot_id}/commands", json=COMMANDS[:1]
    )
    for kind, expected in ((4, 200), (5, 200), (5, 204)):
        used = await sandbox.actions.invoke(busiest.id, world.owner_id, command, {})
        callback = f"/interactions/{used.id}/{used.token}/callback"
        query = "?with_response=true" if expected == 200 else ""
        body = {"type": kind, "data": {"content": "fine", "flags": 64}}
        await checked("POST", callback + query, expected, json=body)
        hook = f"/webhooks/{world.bot_id}/{used.token}"
        await checked("PATCH", f"{hook}/messages/@original", json={"content": "fine!"})
        await checked("GET", f"{hook}/messages/@original")
        follow = await checked("POST", f"{hook}?wait=true", json={"content": "more", "flags": 64})
        await checked("PATCH", f"{hook}/messages/{follow['id']}", json={"content": "even more"})
        await checked("GET", f"{hook}/messages/{follow['id']}")
        await checked("DELETE", f"{hook}/messages/{follow['id']}", 204)
        await checked("DELETE", f"{hook}/messages/@original", 204)
        await checked("POST", callback, 400, json=body)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/channels/123456", 404),
        ("GET", "/users/123456", 404),
        ("GET", "/guilds/123456", 404),
        ("GET", "/channels/PLACE/messages?limit=101", 400),
        ("GET", "/channels/PLACE/messages/123456", 404),
        ("POST", "/channels/PLACE/messages", 400),
        ("PATCH", "/channels/PLACE/messages/NEWEST", 403),
    ],
)
async def test_errors(
    checked: Checked, busiest: Place, method: str, path: str, status: int
) -> None:
    concrete = path.replace("PLACE", str(busiest.id)).replace("NEWEST", str(busiest.posts[-1].id))
    await checked(method, concrete, status, json={"content": ""} if method != "GET" else None)


async def test_no_route_goes_unchecked(
    checked: Checked, sandbox: Sandbox, world: World, busiest: Place
) -> None:
    await test_who_the_bot_is(checked, world)
    await test_the_guild_and_its_members(checked, world)
    await test_channels_of_each_kind(checked, world, TEXT)
    await test_archived_threads(checked, world)
    await test_a_new_thread(checked, busiest)
    await test_three_hundred_messages_of_history(checked, busiest)
    await test_a_messages_life(checked, world, busiest)
    await test_reactions(checked, busiest)
    await test_bulk_delete(checked, busiest)
    await test_commands(checked, world)
    await test_answers_to_commands(checked, sandbox, world, busiest)
    unchecked = [
        f"{method} {pattern.pattern}"
        for method, pattern, _ in sandbox.rest.routes
        if not any(m == method and pattern.fullmatch(path) for m, path in checked.seen)
    ]
    assert not unchecked
