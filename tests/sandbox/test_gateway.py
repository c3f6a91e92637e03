"""The gateway keeps Discord's promises, to discord.py and to frames that are sent by hand."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from sandbox.gateway import FRAMES
from sandbox.server import Sandbox
from sandbox.sessions import BUFFER
from tests.sandbox.conftest import ALICE, SECONDS, Client, online


def _texts(client: Client) -> list[str]:
    return [message.content for message in client.of("message")]


async def _cut(sandbox: Sandbox) -> None:
    await sandbox.gateway.close(1006)


async def _ask_to_reconnect(sandbox: Sandbox) -> None:
    await sandbox.gateway.reconnect()


async def _close_4000(sandbox: Sandbox) -> None:
    await sandbox.gateway.close(4000)


async def _close_1000(sandbox: Sandbox) -> None:
    await sandbox.gateway.close(1000)


async def _op_9_may_resume(sandbox: Sandbox) -> None:
    await sandbox.gateway.invalidate(may_resume=True)


@pytest.mark.parametrize(
    "disturb", [_cut, _ask_to_reconnect, _close_4000, _close_1000, _op_9_may_resume]
)
async def test_a_resumed_session_misses_nothing_and_repeats_nothing(
    sandbox: Sandbox, place_id: int, disturb: Any
) -> None:
    async with online(sandbox) as client:
        await sandbox.say(place_id, ALICE, "before")
        await client.until("message")
        disturbing = asyncio.create_task(disturb(sandbox))
        expected = ["before"]
        for number in range(300):
            await sandbox.say(place_id, ALICE, f"meanwhile {number}")
            expected.append(f"meanwhile {number}")
            await asyncio.sleep(0)
        await disturbing
        await client.until("resumed")
        await sandbox.say(place_id, ALICE, "after")
        await client.until("message", len(expected) + 1)
        assert _texts(client) == [*expected, "after"]
        assert (sandbox.gateway.identifies, sandbox.gateway.resumes) == (1, 1)
        assert client.count("resumed") == 1 and client.count("ready") == 1


async def test_an_ended_session_begins_anew(sandbox: Sandbox, place_id: int) -> None:
    async with online(sandbox) as client:
        await sandbox.gateway.invalidate(may_resume=False)
        await client.until("ready", 2)  # discord.py waits for 5 s first
        await sandbox.say(place_id, ALICE, "welcome back")
        await client.until("message")
        assert sandbox.gateway.identifies == 2 and sandbox.gateway.resumes == 0
        assert _texts(client) == ["welcome back"]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (4004, discord.ConnectionClosed),
        (4013, discord.ConnectionClosed),
        (4014, discord.PrivilegedIntentsRequired),
    ],
)
async def test_final_close_codes_end_the_client(
    sandbox: Sandbox, code: int, error: type[Exception]
) -> None:
    client = Client()
    task = asyncio.create_task(client.start(sandbox.world.token))
    await client.until("ready")
    await sandbox.gateway.close(code)
    with pytest.raises(error):
        await asyncio.wait_for(task, SECONDS)
    await client.close()
    assert sandbox.gateway.identifies == 1


async def test_an_event_nobody_knows_is_survived(sandbox: Sandbox, place_id: int) -> None:
    async with online(sandbox) as client:
        await sandbox.gateway.send_raw("NO_SUCH_EVENT")
        for socket in sandbox.gateway.sockets:
            await socket.op(99, {"what": None})
        await sandbox.say(place_id, ALICE, "still there?")
        await client.until("message")
        assert sandbox.gateway.resumes == 0


class Line:
    """A gateway connection without a library."""

    def __init__(self, ws: "aiohttp.ClientWebSocketResponse[Any]", token: str) -> None:
        self.ws, self._token = ws, token

    async def read(self) -> dict[str, Any]:
        """The next payload."""
        payload: dict[str, Any] = await self.ws.receive_json(timeout=SECONDS)
        return payload

    async def until(self, name: str) -> dict[str, Any]:
        """Read on to an event of that name."""
        while (payload := await self.read())["t"] != name:
            pass
        return payload

    async def identify(self, intents: int = 1 << 9 | 1 << 15, **more: object) -> str:
        """Log in; the session's id."""
        data = {"token": self._token, "intents": intents, **more}
        await self.ws.send_json({"op": 2, "d": data})
        return str((await self.until("READY"))["d"]["session_id"])

    async def resume(self, session_id: str, after: int) -> None:
        """Ask for what came after that number."""
        data = {"token": self._token, "session_id": session_id, "seq": after}
        await self.ws.send_json({"op": 6, "d": data})

    async def close_code(self) -> int | None:
        """Read on to the end."""
        while not self.ws.closed:
            await asyncio.wait_for(self.ws.receive(), SECONDS)
        return self.ws.close_code


@contextlib.asynccontextmanager
async def another(sandbox: Sandbox) -> AsyncIterator[Line]:
    """A connection that was greeted."""
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(sandbox.gateway.url) as ws,
    ):
        line = Line(ws, sandbox.world.token)
        assert (await line.read())["op"] == 10
        yield line


@pytest.fixture
async def line(sandbox: Sandbox) -> AsyncIterator[Line]:
    async with another(sandbox) as line:
        yield line


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("not json", 4002),
        ("[1, 2]", 4002),
        ("null", 4002),
        ("[" * 60_000, 4002),
        ('{"op": 2}', 4002),
        ('{"op": 6, "d": [1]}', 4002),
        ('{"op": 3, "d": {}}', 4003),
        ('{"op": 8, "d": {"guild_id": "1"}}', 4003),
        ('{"op": 99, "d": {}}', 4001),
        ('{"op": [2], "d": {}}', 4001),
        ('{"d": {}}', 4001),
        ('{"op": 2, "d": {"token": 5}}', 4004),
        ('{"op": 6, "d": {"token": "wrong", "session_id": {}, "seq": []}}', 4004),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": "all"}}', 4013),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 0, "shard": 1}}', 4010),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 0, "shard": [1, 1]}}', 4010),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 0, "shard": [0, 0]}}', 4010),
        ('{"op": 2, "d": {"token": "TOKEN", "intents": 0, "shard": ["0", "1"]}}', 4010),
        ("x" * 70_000, 1009),
    ],
)
async def test_garbage_on_the_gateway_closes_with_discords_code(
    line: Line, sandbox: Sandbox, frame: str, code: int
) -> None:
    await line.ws.send_str(frame.replace("TOKEN", sandbox.world.token))
    assert await line.close_code() == code


async def test_binary_frames_are_refused(line: Line) -> None:
    await line.ws.send_bytes(b"\x00\x01")
    assert await line.close_code() == 4002


async def test_a_second_login_on_one_connection_is_refused(line: Line, sandbox: Sandbox) -> None:
    await line.identify()
    await line.ws.send_json({"op": 2, "d": {"token": sandbox.world.token, "intents": 0}})
    assert await line.close_code() == 4005


@pytest.mark.parametrize("seq", [None, "1", 2.5])
async def test_an_impossible_resume_is_an_invalid_session(
    line: Line, sandbox: Sandbox, seq: object
) -> None:
    session_ids: list[object] = ["unknown", {}, None]
    for session_id in session_ids:
        data = {"token": sandbox.world.token, "session_id": session_id, "seq": seq}
        await line.ws.send_json({"op": 6, "d": data})
        assert (await line.read())["op"] == 9
    await line.identify()  # and the connection is still good for a new session


async def test_heartbeats_are_acknowledged_unless_told_otherwise(
    line: Line, sandbox: Sandbox
) -> None:
    await line.ws.send_json({"op": 1, "d": None})
    assert (await line.read())["op"] == 11
    sandbox.gateway.acknowledges = False
    await line.ws.send_json({"op": 1, "d": None})
    await line.identify()


async def test_a_replay_holds_what_was_missed_in_order(
    line: Line, sandbox: Sandbox, place_id: int
) -> None:
    session_id = await line.identify()
    await sandbox.gateway.close(1006)
    await line.close_code()
    for number in range(5):
        await sandbox.say(place_id, ALICE, f"line {number}")
    for after, missed in ((1, 5), (3, 3), (6, 0)):
        async with another(sandbox) as again:
            await again.resume(session_id, after)
            events = [await again.read() for _ in range(missed + 1)]
            assert [event["d"].get("content") for event in events[:-1]] == [
                f"line {number}" for number in range(5 - missed, 5)
            ]
            assert [event["s"] for event in events[:-1]] == list(range(after + 1, 7))
            assert events[-1]["t"] == "RESUMED"
            await again.ws.close(code=4000)


async def test_a_goodbye_ends_the_session(line: Line, sandbox: Sandbox) -> None:
    session_id = await line.identify()
    await line.ws.close(code=1000)
    async with another(sandbox) as again:
        await again.resume(session_id, 2)
        assert (await again.read())["op"] == 9


@pytest.mark.parametrize("away", [-1, 1])
async def test_a_resume_from_beyond_what_is_kept_is_refused(
    line: Line, sandbox: Sandbox, place_id: int, away: int
) -> None:
    session_id = await line.identify()
    await sandbox.gateway.close(4000)
    await line.close_code()
    for number in range(BUFFER):
        await sandbox.say(place_id, ALICE, f"line {number}")
    oldest, newest = 1, 1 + BUFFER  # READY was 1
    async with another(sandbox) as again:
        await again.resume(session_id, (oldest if away < 0 else newest) + away)
        assert (await again.read())["op"] == 9
        await again.resume(session_id, oldest)
        assert (await again.read())["s"] == oldest + 1


async def test_too_many_frames_close_with_4008(line: Line, sandbox: Sandbox) -> None:
    await line.identify()
    for _ in range(FRAMES[0]):
        await line.ws.send_json({"op": 3, "d": {}})
    assert await line.close_code() == 4008


CREATED, REACTED = "MESSAGE_CREATE", "MESSAGE_REACTION_ADD"


@pytest.mark.parametrize(
    ("intents", "expected"),
    [
        (1 << 0 | 1 << 9 | 1 << 10, ["GUILD_CREATE", CREATED, REACTED, "THREAD_CREATE"]),
        (1 << 0, ["GUILD_CREATE", "THREAD_CREATE"]),
        (1 << 9, [CREATED]),
        (1 << 10 | 1 << 11, [REACTED, "TYPING_START"]),
        (0, []),
    ],
)
async def test_only_what_the_intents_ask_for_arrives(
    line: Line, sandbox: Sandbox, place_id: int, intents: int, expected: list[str]
) -> None:
    await line.identify(intents)
    post = await sandbox.say(place_id, ALICE, "hello")
    await sandbox.actions.react(post, ALICE, "\N{ROCKET}")
    await sandbox.actions.type(place_id, ALICE)
    await sandbox.actions.open_thread(place_id, "aside")
    await sandbox.gateway.reconnect()
    seen = [(await line.read())["t"] for _ in range(len(expected) + 1)]
    assert seen == [*expected, None]
