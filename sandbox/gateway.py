"""The gateway: websocket sessions that greet, beat, dispatch, resume and fail on request."""

import asyncio
import json
import time
from typing import Any

from aiohttp import WSMsgType, web

from sandbox import guilds, payloads
from sandbox.limits import Window
from sandbox.payloads import Json
from sandbox.sessions import CONTENT, Session, Socket
from sandbox.world import World

PRIVILEGED = {"presences": 1 << 8, "members": 1 << 1, "message_content": CONTENT}
UNKNOWN_OP, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED = 4001, 4002, 4003, 4004
ALREADY_AUTHENTICATED, RATE_LIMITED, INVALID_SHARD = 4005, 4008, 4010
INVALID_INTENTS, DISALLOWED_INTENTS = 4013, 4014
FRAMES = (120, 60.0)  # what a connection may send, and in how many seconds
IDENTIFY_SECONDS = 5.0  # in which `CONCURRENCY` shards may log in
CONCURRENCY = 1
CHUNK = 1000  # members in one GUILD_MEMBERS_CHUNK


class Gateway:
    """All sessions of the bot."""

    def __init__(
        self, world: World, denied_intents: tuple[str, ...] = (), recommended_shards: int = 1
    ) -> None:
        self._world, self.recommended_shards = world, recommended_shards
        self._denied = sum(PRIVILEGED[name] for name in denied_intents)
        world.shows_content = not self._denied & CONTENT
        self.sessions: dict[str, Session] = {}
        self.url = ""
        self.acknowledges = True
        self.may_resume = True
        self.identifies = self.resumes = 0
        self.logins = Window(CONCURRENCY, IDENTIFY_SECONDS - 0.5)  # clocks are not that exact

    @property
    def sockets(self) -> list[Socket]:
        """Every open connection."""
        return [s.socket for s in self.sessions.values() if s.socket]

    def allow(self, intent: int, is_allowed: bool) -> None:
        """Switch a privileged intent on or off, as its owner does on Discord's page."""
        self._denied = self._denied & ~intent | (0 if is_allowed else intent)
        self._world.shows_content = not self._denied & CONTENT

    async def dispatch(self, name: str, data: Json) -> None:
        """Tell every session of an event; of one in a server, its shard's."""
        for session in list(self.sessions.values()):
            if session.serves(int(data.get("guild_id") or 0)):
                await session.dispatch(name, data, self._world.bot_id)

    async def reconnect(self) -> None:
        """Op 7: ask every client to connect again and resume."""
        for socket in self.sockets:
            await socket.op(7)

    async def invalidate(self, may_resume: bool = False) -> None:
        """Op 9: tell every client that its session is over."""
        for socket in self.sockets:
            await socket.op(9, may_resume)
        if not may_resume:
            self.sessions.clear()

    async def close(self, code: int = 1000) -> None:
        """Close every connection with a code; 1006 cuts it without a word."""
        for socket in self.sockets:
            if code == 1006:
                socket.cut()
            else:
                await socket.close(code)

    async def send_raw(self, text: str) -> None:
        """Send every client an event of any name, with nothing in it."""
        for socket in self.sockets:
            await socket.send({"op": 0, "t": text, "s": None, "d": {}})

    async def send_frame(self, text: str) -> None:
        """Send every client a frame just as it is, valid or not."""
        for socket in self.sockets:
            await socket.send_text(text)

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one websocket until it closes."""
        socket, budget = Socket(request), Window(*FRAMES)
        await socket.ws.prepare(request)
        await socket.op(10, {"heartbeat_interval": 41_250, "_trace": []})
        session: Session | None = None
        async for frame in socket.ws:
            payload = _payload(frame.data) if frame.type == WSMsgType.TEXT else None
            if payload is None:
                await socket.close(DECODE_ERROR)
                break
            if not budget.take(time.monotonic())[0]:
                await socket.close(RATE_LIMITED)
                break
            session = await self._handle(socket, session, payload)
        if session and session.socket is socket:
            session.socket = None
            if socket.is_left:
                self.sessions.pop(session.id, None)  # a client that says goodbye cannot resume
        return socket.ws

    async def _handle(
        self, socket: Socket, session: Session | None, payload: Json
    ) -> Session | None:
        op, data = payload.get("op"), payload.get("d")
        if op == 1:
            if self.acknowledges:
                # never sooner than a real network: discord.py would take an answer that comes
                # before its own send returned for the answer to the beat before
                await asyncio.sleep(0.02)
                await socket.op(11)
        elif op not in (2, 3, 4, 6, 8):
            await socket.close(UNKNOWN_OP)
        elif not isinstance(data, dict):
            await socket.close(DECODE_ERROR)
        elif op in (2, 6):
            if session is None:
                return await (self._identify if op == 2 else self._resume)(socket, data)
            await socket.close(ALREADY_AUTHENTICATED)
        elif session is None:
            await socket.close(NOT_AUTHENTICATED)
        elif op == 8:
            await self._send_members(session, data)
        return session

    async def _identify(self, socket: Socket, data: Json) -> Session | None:
        self.identifies += 1
        intents = data.get("intents")
        if data.get("token") != self._world.token:
            await socket.close(AUTHENTICATION_FAILED)
            return None
        if not isinstance(intents, int):
            await socket.close(INVALID_INTENTS)
            return None
        if intents & self._denied:
            await socket.close(DISALLOWED_INTENTS)
            return None
        shard = _shard(data.get("shard", [0, 1]))
        if shard is None:
            await socket.close(INVALID_SHARD)
            return None
        if "shard" in data and not self.logins.take(time.monotonic())[0]:
            await socket.op(9, False)
            return None
        session = Session(intents, shard)
        session.socket = socket
        self.sessions[session.id] = session
        world = self._world
        told = [guild for guild in world.joined if session.serves(guild.id)]
        ready = {
            "v": 10,
            "user": payloads.own_user(world),
            "guilds": [{"id": str(guild.id), "unavailable": True} for guild in told],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "application": {"id": str(world.bot_id), "flags": payloads.flags(world)},
            "private_channels": [],
            "shard": list(shard),
        }
        await session.dispatch("READY", ready, world.bot_id)
        for guild in told:
            event = guilds.guild_create(world, guild)
            await session.dispatch("GUILD_CREATE", event, world.bot_id)
        return session

    async def _resume(self, socket: Socket, data: Json) -> Session | None:
        if data.get("token") != self._world.token:
            await socket.close(AUTHENTICATION_FAILED)
            return None
        session = self.sessions.get(str(data.get("session_id")))
        after = data.get("seq")
        if not (
            session and self.may_resume and isinstance(after, int) and session.remembers(after)
        ):
            await socket.op(9, False)
            return None
        self.resumes += 1
        await session.resume(socket, after)
        return session

    async def _send_members(self, session: Session, data: Json) -> None:
        """Answer op 8: everybody, those with these ids, or those whose name begins so."""
        guild_id = str(data.get("guild_id"))
        if guild_id not in [str(guild.id) for guild in self._world.joined]:
            return
        wanted, query = data.get("user_ids"), str(data.get("query") or "").lower()
        ids = {str(entry) for entry in (wanted if isinstance(wanted, list) else [wanted])}
        found = [
            payloads.member(person)
            for person in self._world.people.values()
            if (str(person.id) in ids if wanted else person.name.lower().startswith(query))
        ]
        if isinstance(limit := data.get("limit"), int) and limit > 0:
            found = found[:limit]
        chunks = [found[n : n + CHUNK] for n in range(0, len(found), CHUNK)] or [[]]
        known = {member["user"]["id"] for member in found}
        for number, members in enumerate(chunks):
            chunk = {
                "guild_id": guild_id,
                "members": members,
                "chunk_index": number,
                "chunk_count": len(chunks),
                "not_found": sorted(ids - known) if wanted else [],
                "nonce": data.get("nonce"),
            }
            await session.dispatch("GUILD_MEMBERS_CHUNK", chunk, self._world.bot_id)

    async def shut(self) -> None:
        """Close everything, for good."""
        await asyncio.gather(*(socket.close(1001) for socket in self.sockets))


def _shard(value: Any) -> tuple[int, int] | None:
    """Which shard of how many; None where that makes no sense."""
    if not isinstance(value, list) or [type(part) for part in value] != [int, int]:
        return None
    number, count = value
    return (number, count) if 0 <= number < count else None


def _payload(text: str) -> Json | None:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
