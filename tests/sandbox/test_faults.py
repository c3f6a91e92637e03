"""What goes wrong on Discord goes wrong here, and neither discord.py nor the sandbox breaks."""

import asyncio
from typing import Any

import aiohttp
import discord
import pytest

from sandbox.faults import Fault
from sandbox.rest import Rest
from sandbox.server import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ALICE, Caller, Client, online

SEND = r"POST /channels/\d+/messages$"


def _channel(client: Client, place_id: int) -> discord.PartialMessageable:
    return client.get_partial_messageable(place_id)


def _texts(client: Client) -> list[str]:
    return [message.content for message in client.of("message")]


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """discord.py's pauses before it tries again, written down instead of slept."""
    asked: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float, result: Any = None) -> Any:
        asked.append(seconds)
        return await sleep(0, result)

    monkeypatch.setattr("discord.http.asyncio.sleep", nap)
    return asked


# REST


async def test_a_500_is_retried_and_gives_one_message(
    sandbox: Sandbox, world: World, place_id: int, naps: list[float]
) -> None:
    sandbox.faults.add(Fault("status", SEND, times=2, status=500))
    async with online(sandbox) as client:
        await _channel(client, place_id).send("hello")
        await client.until("message")
        assert [post.content for post in world.places[place_id].posts] == ["hello"]
        assert {1, 3} <= set(naps)
        assert sandbox.rest.requests["POST /channels/:id/messages"] == 3


@pytest.mark.parametrize("kind", ["after_commit", "drop_after_commit"])
async def test_an_answer_lost_after_the_work_gives_one_message(
    sandbox: Sandbox, world: World, place_id: int, naps: list[float], kind: str
) -> None:
    sandbox.faults.add(Fault(kind, SEND, status=502))
    async with online(sandbox) as client:
        if kind == "after_commit":
            sent = await _channel(client, place_id).send("hello")
        else:
            sent = await _resent(_channel(client, place_id))
        await client.until("message")
        (post,) = world.places[place_id].posts
        assert post.id == sent.id
        assert client.count("message") == 1
        assert sandbox.rest.requests["POST /channels/:id/messages"] == 2


async def _resent(channel: discord.PartialMessageable) -> discord.Message:
    """A dropped connection is for the caller to repeat, with the nonce of the first attempt."""
    with pytest.raises((aiohttp.ClientError, OSError)):
        await channel.send("hello", nonce=7)
    return await channel.send("hello", nonce=7)


async def test_without_enforce_nonce_a_repeated_message_is_there_twice(
    call: Caller, world: World, place_id: int
) -> None:
    for _ in range(2):
        await call("POST", f"/channels/{place_id}/messages", json={"content": "x", "nonce": "1"})
    assert len(world.places[place_id].posts) == 2


async def test_a_503_is_an_error_at_once(sandbox: Sandbox, place_id: int) -> None:
    async with online(sandbox) as client:
        sandbox.faults.add(Fault("status", SEND, status=503))
        with pytest.raises(discord.DiscordServerError):
            await _channel(client, place_id).send("hello")
        assert sandbox.rest.requests["POST /channels/:id/messages"] == 1


async def test_a_dropped_request_did_nothing(sandbox: Sandbox, world: World, place_id: int) -> None:
    async with online(sandbox) as client:
        sandbox.faults.add(Fault("drop", SEND))
        with pytest.raises((aiohttp.ClientError, OSError)):
            await _channel(client, place_id).send("hello")
        assert not world.places[place_id].posts


async def test_a_429_is_waited_for_as_long_as_it_says(
    sandbox: Sandbox, world: World, place_id: int, naps: list[float]
) -> None:
    sandbox.faults.add(Fault("rate_limit", SEND, seconds=1.25))
    async with online(sandbox) as client:
        await _channel(client, place_id).send("hello")
        assert 1.25 in naps
        assert len(world.places[place_id].posts) == 1


async def test_a_ban_by_the_front_is_an_error_at_once(sandbox: Sandbox, place_id: int) -> None:
    async with online(sandbox) as client:
        sandbox.faults.add(Fault("banned", SEND, times=9))
        with pytest.raises(discord.HTTPException) as caught:
            await _channel(client, place_id).send("hello")
        assert caught.value.status == 429
        assert sandbox.rest.requests["POST /channels/:id/messages"] == 1


async def test_a_slow_answer_holds_up_nobody_else(sandbox: Sandbox, call: Caller) -> None:
    sandbox.faults.add(Fault("slow", "GET /users/@me", seconds=0.2))
    slow = asyncio.create_task(call("GET", "/users/@me"))
    while not sandbox.rest.requests:
        await asyncio.sleep(0)
    assert (await call("GET", "/gateway"))[0] == 200
    assert (await slow)[0] == 200


async def test_a_fault_hits_only_its_route_and_only_so_often(
    sandbox: Sandbox, call: Caller
) -> None:
    sandbox.faults.add(Fault("status", r"GET /users/", times=2, status=504))
    assert (await call("GET", "/gateway"))[0] == 200
    statuses = [(await call("GET", "/users/@me"))[0] for _ in range(3)]
    assert statuses == [504, 504, 200]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("explode"),
        Fault("status", route="("),
        Fault("status", status=700),
        Fault("status", times=0),
        Fault("slow", seconds=float("nan")),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(world: World, fault: Fault) -> None:
    with pytest.raises(ValueError):
        Sandbox(world).faults.add(fault)


# Junk

VALUES: list[Any] = [
    *(None, True, -1, 1.5, 10**30, "", "x", "\ud800", "9" * 50, "x" * 3000),
    *([], [None], ["x"], [{}], [["1"]], {}, {"x": {}}, {"parse": "everyone"}, {"users": ["x"]}),
    *({"message_id": "x"}, {"message_id": None}, {"parse": [{}]}, {"content": []}),
]
FIELDS = (
    *("content", "nonce", "message_reference", "allowed_mentions", "messages", "name"),
    *("options", "type", "data", "flags", "default_member_permissions"),
)
RAW = [
    b"",
    b"{",
    b"null",
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"content": ' + b"9" * 5000 + b"}",
    b'{"content": NaN}',
    b'{"content": "' + b"x" * 4_000_000 + b'"}',
    b"[" + b"0," * 2_000_000 + b"0]",
]


def _paths(rest: Rest, world: World, place_id: int, token: str) -> list[tuple[str, str]]:
    """Every route of the sandbox, with real ids and with junk in their places."""
    real = {
        "channel": str(place_id),
        "message": str(world.places[place_id].posts[0].id),
        "guild": str(world.guild_id),
        "user": str(ALICE),
        "app": str(world.bot_id),
        "emoji": "x:123456",
        "token": token,
        "interaction": token.rpartition("-")[2],
        "answer": "@original",
    }
    paths = []
    for method, pattern, _ in rest.routes:
        names = list(pattern.groupindex)
        for junk in ("", "abc", "9" * 5000, "-1", "%00", "%F0%9F%92%A9", "%ff", "1.5"):
            for hit in names if junk else [""]:
                parts = {**real, hit: junk} if hit else real
                text = pattern.pattern
                for name in names:
                    start = text.index(f"(?P<{name}>")
                    text = text[:start] + parts[name] + text[text.index(")", start) + 1 :]
                paths.append((method, text))
    return paths


async def test_junk_never_breaks_the_rest_api(
    sandbox: Sandbox, world: World, place_id: int, call: Caller
) -> None:
    await sandbox.say(place_id, world.bot_id, "edit me")
    command = {"id": "1", "name": "x"}

    async def paths() -> list[tuple[str, str]]:
        used = await sandbox.actions.invoke(place_id, ALICE, command, {})
        if not world.places[place_id].posts:
            await sandbox.say(place_id, world.bot_id, "edit me")
        return _paths(sandbox.rest, world, place_id, used.token)

    tried = 0
    for method, path in await paths():
        status, body = await call(method, path)
        tried += 1
        assert status < 500, (method, path[:200], body)
        if status >= 400 and isinstance(body, dict):
            assert set(body) >= {"message", "code"}, body
    bodies = [{field: value} for field in FIELDS for value in VALUES]
    bodies += [{"type": 4, "data": body} for body in bodies[: 4 * len(VALUES)]]
    bodies += [{"content": "x", **body} for body in bodies[: 4 * len(VALUES)]]
    routes = {(m, p) for m, p in await paths() if m != "GET" and "abc" not in p and len(p) < 200}
    concrete = sorted((m, p) for m, p in routes if "%" not in p and "-1/" not in p)
    for method, path in concrete:
        for body in [*bodies[:: max(1, len(bodies) // 120)], VALUES]:
            status, answer = await call(method, path, json=body)
            tried += 1
            assert status < 500, (method, path, body, answer)
    assert tried > 1500


@pytest.mark.parametrize("raw", RAW, ids=lambda raw: repr(raw[:12]))
async def test_bodies_that_are_not_what_they_say_are_refused(
    sandbox: Sandbox, call: Caller, place_id: int, raw: bytes
) -> None:
    headers = {"Authorization": f"Bot {sandbox.world.token}"}
    for kind in (
        "application/json",
        "application/json; charset=nonsense",
        "multipart/form-data; boundary=x",
        "multipart/form-data",
        "text/plain",
        "",
    ):
        status, body = await call(
            "POST",
            f"/channels/{place_id}/messages",
            data=raw,
            headers={**headers, "Content-Type": kind},
        )
        assert 400 <= status < 500, (kind, status, body)


async def test_queries_that_make_no_sense_are_refused(call: Caller, place_id: int) -> None:
    room = f"/channels/{place_id}/messages"
    for name in ("limit", "before", "after", "around"):
        for value in ("x", "-1", "1.5", "9" * 40, "", "%00", "1e3", "\u0663"):
            status, body = await call("GET", room, params={name: value})
            assert (status, body["code"]) == (400, 50035), (name, value, body)
    for limit in (0, 101):
        assert (await call("GET", room, params={"limit": limit}))[0] == 400
    archived = f"/channels/{place_id}/threads/archived/public"
    for value in ("yesterday", "9" * 30, "0001-01-01T00:00:00+23:59"):
        status, _ = await call("GET", archived, params={"before": value})
        assert status in (200, 400), value


async def test_a_wrong_method_or_path_is_a_json_error(call: Caller) -> None:
    assert await call("DELETE", "/users/@me") == (
        405,
        {"message": "405: Method Not Allowed", "code": 0},
    )
    assert await call("GET", "/nothing/here") == (404, {"message": "404: Not Found", "code": 0})


async def test_every_route_but_answers_wants_the_token(
    sandbox: Sandbox, call: Caller, place_id: int
) -> None:
    for headers in ({}, {"Authorization": sandbox.world.token}, {"Authorization": "Bot x"}):
        for path in ("/users/@me", f"/channels/{place_id}/messages", "/nothing"):
            assert (await call("GET", path, headers=headers))[0] == 401
    status, body = await call("POST", "/interactions/1/x/callback", headers={}, json={"type": 4})
    assert (status, body["code"]) == (404, 10062)
