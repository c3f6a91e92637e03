"""The sandbox's own routes and its command line: what they do, and what they refuse and how."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import discord
import pytest

from bot.config import NEEDS_A_PERSON, ROOT
from sandbox import community
from sandbox.server import Sandbox
from sandbox.world import FORUM, World, populate
from tests.sandbox.conftest import ALICE, SECONDS, Client, online


class Page:
    """What the chat page can do."""

    def __init__(self, session: aiohttp.ClientSession, sandbox: Sandbox) -> None:
        self._session, self._url = session, sandbox.url

    async def get(self, path: str, **how: Any) -> tuple[int, Any]:
        """The status and the JSON of a GET."""
        async with self._session.get(f"{self._url}/sandbox/{path}", **how) as response:
            return response.status, await response.json()

    async def post(self, path: str, body: Any = None, **how: Any) -> tuple[int, Any]:
        """The status and the JSON of a POST."""
        how = how or {"json": body}
        async with self._session.post(f"{self._url}/sandbox/{path}", **how) as response:
            return response.status, await response.json()

    async def done(self, path: str, **fields: Any) -> Any:
        """The answer to a POST that succeeds."""
        status, body = await self.post(path, fields)
        assert status == 200, body
        return body

    @contextlib.asynccontextmanager
    async def events(self) -> AsyncIterator["Events"]:
        """The page's stream of events."""
        async with self._session.get(f"{self._url}/sandbox/events") as response:
            assert response.content_type == "text/event-stream"
            yield Events(response)


class Events:
    """Server-Sent Events as they come."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def next(self) -> Any:
        """The next one."""
        while True:
            line = await asyncio.wait_for(self._response.content.readline(), SECONDS)
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))


@pytest.fixture
async def page(sandbox: Sandbox) -> AsyncIterator[Page]:
    async with aiohttp.ClientSession() as session:
        yield Page(session, sandbox)


async def _say(page: Page, place_id: int, content: str = "hello", **more: Any) -> Any:
    where = {"channel_id": str(place_id), "author_id": str(ALICE)}
    return await page.done("say", **where, content=content, **more)


async def test_the_state_names_places_and_people(page: Page, world: World, place_id: int) -> None:
    world.add_place("secret").is_hidden = True
    world.add_post(place_id, ALICE, "hello")
    status, state = await page.get("state")
    assert status == 200
    assert state["guild"] == {"id": str(world.guild_id), "name": "Sandbox"}
    assert state["bot"] == {"id": str(world.bot_id), "name": "persona"}
    assert [(c["name"], c["kind"]) for c in state["channels"]] == [("general", "text")]
    assert state["members"][0] == {"id": str(ALICE), "name": "alice", "is_bot": False}
    assert world.token not in json.dumps(state)


async def test_what_is_said_is_in_the_history(page: Page, place_id: int) -> None:
    first = await _say(page, place_id, "question")
    second = await _say(page, place_id, "answer", reply_to=first["id"])
    assert second["reply_to"] == {
        "id": first["id"],
        "author_name": "alice",
        "content": "question",
    }
    _, history = await page.get(f"channels/{place_id}/messages")
    assert history["messages"] == [first, second]
    _, older = await page.get(f"channels/{place_id}/messages?before={second['id']}&limit=1")
    assert older["messages"] == [first]


async def test_messages_are_edited_reacted_to_and_deleted(page: Page, place_id: int) -> None:
    said = await _say(page, place_id)
    what = {
        "channel_id": str(place_id),
        "message_id": said["id"],
        "author_id": str(ALICE),
    }
    edited = await page.done("edit", **what, content="changed")
    assert edited["content"] == "changed" and edited["is_edited"]
    reacted = await page.done("react", **what, emoji="\N{ROCKET}")
    assert reacted["reactions"] == [{"emoji": "\N{ROCKET}", "count": 1}]
    taken_back = await page.done("react", **what, emoji="\N{ROCKET}", remove=True)
    assert taken_back["reactions"] == []
    await page.done("delete", channel_id=str(place_id), message_ids=[said["id"]])
    assert (await page.get(f"channels/{place_id}/messages"))[1] == {"messages": []}


async def test_everything_that_happens_is_told_to_the_page(
    page: Page, sandbox: Sandbox, place_id: int
) -> None:
    async with page.events() as events:
        said = await _say(page, place_id)
        what = {"channel_id": str(place_id), "message_id": said["id"], "author_id": str(ALICE)}
        await page.done("edit", **what, content="changed")
        await page.done("react", **what, emoji="\N{ROCKET}")
        await page.done("delete", channel_id=str(place_id), message_ids=[said["id"]])
        await sandbox.actions.type(place_id, sandbox.world.bot_id)
        await sandbox.actions.open_thread(place_id, "aside")
        happened = [await events.next() for _ in range(6)]
        assert [event["type"] for event in happened] == [
            "message",
            "edit",
            "reaction",
            "delete",
            "typing",
            "channels",
        ]
        assert happened[0]["message"] == said
        assert happened[3]["id"] == said["id"]
    await _say(page, place_id, "nobody listens, nothing breaks")


async def test_every_open_page_is_told(page: Page, place_id: int) -> None:
    async with page.events() as one, page.events() as other:
        said = await _say(page, place_id)
        for events in (one, other):
            assert await events.next() == {"type": "message", "message": said}


async def test_the_future_is_what_was_kept_back() -> None:
    world = populate(community.load("gitter-casual", hold_out=20))
    async with (
        Sandbox(world, has_rate_limits=False) as sandbox,
        aiohttp.ClientSession() as session,
    ):
        page = Page(session, sandbox)
        status, future = await page.get("future")
        assert status == 200 and len(future["messages"]) == 20
        first = future["messages"][0]
        said = await page.done("say", **first)
        assert (said["content"], said["author_id"]) == (first["content"], first["author_id"])


async def test_a_command_is_answered_on_the_page(
    page: Page, sandbox: Sandbox, place_id: int
) -> None:
    client = Client()
    tree = discord.app_commands.CommandTree(client)

    @tree.command(description="x")
    async def echo(interaction: discord.Interaction, text: str) -> None:
        await interaction.response.send_message(text, ephemeral=True)

    how = {"channel_id": str(place_id), "author_id": str(ALICE), "name": "echo"}
    async with online(sandbox, client):
        assert (await page.post("command", how))[0] == 400
        await tree.sync()
        answered = await page.done("command", **how, options={"text": "hi"})
        assert answered == {"answers": ["hi"]}


async def test_a_command_without_an_answer_is_said_so(
    page: Page, sandbox: Sandbox, place_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sandbox.control.COMMAND_SECONDS", 0.01)
    sandbox.world.commands.append({"id": "5", "name": "silent"})
    how = {"channel_id": str(place_id), "author_id": str(ALICE), "name": "silent"}
    assert await page.post("command", how) == (504, {"error": "The application did not respond."})


async def test_faults_and_the_gateway_are_disturbed_on_request(
    page: Page, sandbox: Sandbox, place_id: int
) -> None:
    async with online(sandbox) as client:
        await page.done("gateway", do="event", name="NO_SUCH_EVENT")
        await page.done("gateway", do="reconnect")
        await client.until("resumed")
        await page.done("gateway", do="close")
        await client.until("resumed", 2)
        await page.done("gateway", do="invalidate", may_resume=True)
        await client.until("resumed", 3)
        await page.done("fault", kind="status", route="POST .*/messages", status=503)
        with pytest.raises(discord.DiscordServerError):
            await client.get_partial_messageable(place_id).send("hello")
        _, statistics = await page.get("statistics")
        assert statistics["resumes"] == 3 and statistics["identifies"] == 1
        assert statistics["requests"]["POST /channels/:id/messages"] == 1


async def test_a_silent_gateway_lying_headers_and_broken_frames_on_request(
    page: Page, sandbox: Sandbox
) -> None:
    await page.done("gateway", do="set", acknowledges=False, has_lying_headers=True)
    await page.done("gateway", do="set", may_resume=False)
    gateway = sandbox.gateway
    assert (gateway.acknowledges, gateway.may_resume) == (False, False)
    assert sandbox.limiter.is_lying
    async with aiohttp.ClientSession() as session, session.ws_connect(gateway.url) as ws:
        await ws.receive_json(timeout=SECONDS)
        identify = {"token": sandbox.world.token, "intents": 0}
        await ws.send_json({"op": 2, "d": identify})
        assert (await ws.receive_json(timeout=SECONDS))["t"] == "READY"
        await page.done("gateway", do="frame", text='{"op":')
        assert await ws.receive_str(timeout=SECONDS) == '{"op":'


async def test_pings_are_counted_unless_mentions_are_switched_off(
    page: Page, sandbox: Sandbox, place_id: int
) -> None:
    await _say(page, place_id, "@everyone")  # members may; only the bot's pings are counted
    async with online(sandbox) as client:
        channel = client.get_partial_messageable(place_id)
        text = f"@everyone <@&77> <@{ALICE}>"
        quiet = await channel.send(text, allowed_mentions=discord.AllowedMentions.none())
        assert not quiet.mention_everyone and not quiet.mentions
        await quiet.edit(content=text + "!", allowed_mentions=discord.AllowedMentions.none())
        assert (await page.get("statistics"))[1]["pings"] == []
        everyone = await channel.send("@everyone")
        role = await channel.send("<@&77>")
        alice = await channel.send(
            text, allowed_mentions=discord.AllowedMentions(everyone=False, roles=False)
        )
        assert not alice.mention_everyone and [user.id for user in alice.mentions] == [ALICE]
        others = discord.AllowedMentions(users=[discord.Object(5)], roles=[], everyone=False)
        await channel.send(text, allowed_mentions=others)
        assert (await page.get("statistics"))[1]["pings"] == [
            str(message.id) for message in (everyone, role, alice)
        ]


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("say", {"author_id": "1"}),
    ("say", {"channel_id": "1"}),
    ("say", {"channel_id": "general"}),
    ("say", {"channel_id": None}),
    ("say", {"channel_id": 1e400}),
    ("say", {"channel_id": "FORUM"}),
    ("say", {"content": ""}),
    ("say", {"content": " \n"}),
    ("say", {"content": "x" * 2001}),
    ("say", {"content": ["x"]}),
    ("say", {"reply_to": "1"}),
    ("say", {"reply_to": {"author_name": "x"}}),
    ("edit", {"content": "x" * 2001}),
    ("edit", {"message_id": "1"}),
    ("edit", {"author_id": "OWNER"}),
    ("react", {"message_id": "1", "emoji": "x"}),
    ("react", {"emoji": ""}),
    ("react", {"emoji": "x" * 65}),
    ("delete", {"message_ids": ["1"]}),
    ("delete", {"message_ids": 1}),
    ("delete", {"channel_id": "1", "message_ids": []}),
    ("command", {"name": "nothing"}),
    ("command", {"name": {}}),
    ("command", {"name": "known", "options": [1]}),
    ("fault", {"kind": "explode"}),
    ("fault", {"kind": "status", "route": "("}),
    ("fault", {"kind": "status", "route": 5}),
    ("fault", {"kind": "status", "times": "many"}),
    ("fault", {"kind": "status", "status": 200}),
    ("fault", {"kind": "slow", "seconds": -1}),
    ("fault", {"what": "status"}),
    ("gateway", {"do": "explode"}),
    ("gateway", {"do": "close", "code": 99999}),
    ("gateway", {"do": "close", "code": "x"}),
    ("gateway", {"do": "frame"}),
    ("gateway", {}),
]


@pytest.mark.parametrize(("path", "change"), REFUSED, ids=lambda value: str(value)[:40])
async def test_requests_that_do_not_fit_are_refused_in_a_sentence(
    page: Page, world: World, place_id: int, path: str, change: dict[str, Any]
) -> None:
    forum = world.add_place("forum", FORUM)
    world.commands.append({"id": "5", "name": "known"})
    said = await _say(page, place_id)
    fitting = {"channel_id": str(place_id), "author_id": str(ALICE), "message_id": said["id"]}
    names = {"OWNER": str(world.owner_id), "FORUM": str(forum.id)}
    changed = {key: names.get(str(value), value) for key, value in change.items()}
    extra = {} if path in ("fault", "gateway") else {**fitting, "content": "hello"}
    status, body = await page.post(path, {**extra, **changed})
    assert status == 400
    _is_a_sentence(body)
    assert [post.content for post in world.places[place_id].posts] == ["hello"]


def _is_a_sentence(body: Any) -> None:
    assert list(body) == ["error"]
    assert body["error"][0].isupper() and body["error"].endswith(".")


@pytest.mark.parametrize("path", ["say", "edit", "react", "delete", "command", "fault", "gateway"])
@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 100_000])
async def test_bodies_that_are_no_json_object_are_refused(
    page: Page, path: str, raw: bytes
) -> None:
    headers = {"Content-Type": "application/json"}
    status, body = await page.post(path, data=raw, headers=headers)
    assert status == 400
    _is_a_sentence(body)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
async def test_forms_of_other_pages_are_refused(page: Page, place_id: int, kind: str) -> None:
    text = json.dumps({"channel_id": str(place_id), "author_id": str(ALICE), "content": "x"})
    status, body = await page.post("say", data=text.encode(), headers={"Content-Type": kind})
    assert status == 415
    _is_a_sentence(body)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://example.org"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "example.org"},
        {"Host": "127.0.0.1.example.org"},
        {"Host": "0.0.0.0"},
    ],
    ids=str,
)
async def test_other_origins_and_hosts_are_refused(
    page: Page, world: World, place_id: int, headers: dict[str, str]
) -> None:
    body = {"channel_id": str(place_id), "author_id": str(ALICE), "content": "x"}
    for status, answer in (
        await page.post("say", json=body, headers=headers),
        await page.get("state", headers=headers),
    ):
        assert status == 403
        _is_a_sentence(answer)
    assert not world.places[place_id].posts


async def test_the_pages_own_origin_is_accepted(
    page: Page, sandbox: Sandbox, place_id: int
) -> None:
    body = {"channel_id": str(place_id), "author_id": str(ALICE), "content": "x"}
    assert (await page.post("say", json=body, headers={"Origin": sandbox.url}))[0] == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [("limit=x", 400), ("limit=-5", 200), ("before=x", 400), ("limit=" + "9" * 5000, 400)],
)
async def test_history_with_a_query_that_makes_no_sense(
    page: Page, place_id: int, query: str, status: int
) -> None:
    assert (await page.get(f"channels/{place_id}/messages?{query}"))[0] == status


async def test_history_of_a_channel_that_does_not_exist_is_a_404(page: Page) -> None:
    for number in ("1", "9" * 30):
        status, body = await page.get(f"channels/{number}/messages")
        assert status == 404
        _is_a_sentence(body)


# The command line


async def _start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "sandbox", *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


async def _ready(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout
    return json.loads(await asyncio.wait_for(process.stdout.readline(), SECONDS))


async def _failed(*arguments: str) -> str:
    """The one sentence with which it gives up."""
    process = await _start(*arguments)
    out, errors = await asyncio.wait_for(process.communicate(), SECONDS)
    assert process.returncode == NEEDS_A_PERSON
    assert b"Traceback" not in errors
    (line,) = (out + errors).decode().splitlines()
    return line


async def test_it_says_when_it_is_ready_and_ends_with_its_stdin() -> None:
    process = await _start("--community", "pyscript-discord", "--hold-out", "5")
    ready = await _ready(process)
    assert set(ready) == {"url", "api", "token", "guild_id", "bot_id", "owner_id", "channels"}
    async with aiohttp.ClientSession() as session:
        headers = {"Authorization": f"Bot {ready['token']}"}
        async with session.get(f"{ready['api']}/users/@me", headers=headers) as response:
            assert (await response.json())["id"] == ready["bot_id"]
        async with session.get(f"{ready['url']}/sandbox/future") as response:
            held_out = (await response.json())["messages"]
        assert len(held_out) == 5
        assert {message["channel_id"] for message in held_out} <= set(ready["channels"].values())
        async with session.get(ready["url"]) as response:
            assert response.status == 200 and "default-src 'none'" in str(response.headers)
        # an open stream of events and an open gateway do not keep it alive
        async with session.get(f"{ready['url']}/sandbox/events") as events:
            assert events.status == 200
            assert process.stdin
            process.stdin.close()
            assert await asyncio.wait_for(process.wait(), SECONDS) == 0
    assert process.stderr
    assert await process.stderr.read() == b""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to send")
async def test_it_ends_when_asked_to() -> None:
    process = await _start()
    await _ready(process)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), SECONDS) == 0
    assert process.stderr and await process.stderr.read() == b""


async def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert f"Port {port} is in use" in await _failed("--port", port)


async def test_a_port_that_does_not_exist_is_one_sentence() -> None:
    assert "Port 70000 does not exist" in await _failed("--port", "70000")


async def test_an_unknown_community_is_one_sentence() -> None:
    assert "gitter-casual, pyscript-discord" in await _failed("--community", "nowhere")
