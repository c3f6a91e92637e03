"""The gateway: websocket sessions that greet, beat, dispatch, resume and fail on request."""

import asyncio
import contextlib
import itertools
import json
import secrets
import zlib
from typing import Any

from aiohttp import WSMsgType, web

from sandbox import payloads
from sandbox.payloads import Json
from sandbox.world import World

GUILD_MESSAGES, REACTIONS, TYPING, CONTENT = 1 << 9, 1 << 10, 1 << 11, 1 << 15
PRIVILEGED = {"presences": 1 << 8, "members": 1 << 1, "message_content": CONTENT}
NEEDED = {
    "MESSAGE_CREATE": GUILD_MESSAGES,
    "MESSAGE_UPDATE": GUILD_MESSAGES,
    "MESSAGE_DELETE": GUILD_MESSAGES,
    "MESSAGE_DELETE_BULK": GUILD_MESSAGES,
    "MESSAGE_REACTION_ADD": REACTIONS,
    "MESSAGE_REACTION_REMOVE": REACTIONS,
    "TYPING_START": TYPING,
}
AUTHENTICATION_FAILED, DISALLOWED_INTENTS, DECODE_ERROR, NOT_AUTHENTICATED = 4004, 4014, 4002, 4003
BUFFER = 1000  # events kept for a RESUME


class Session:
    """What Discord remembers of a connection, so that it can be resumed."""

    def __init__(self, intents: int) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.socket: Socket | None = None
        self._events: list[Json] = []
        self._numbers = itertools.count(1)

    async def dispatch(self, name: str, data: Json, bot_id: int) -> None:
        """Send an event, if the intents ask for it, and keep it for a resume."""
        needed = NEEDED.get(name, 0)
        if needed and not self.intents & needed:
            return
        if name in ("MESSAGE_CREATE", "MESSAGE_UPDATE") and not self.intents & CONTENT:
            data = payloads.without_content(data, bot_id)
        event = {"op": 0, "t": name, "s": next(self._numbers), "d": data}
        self._events = [*self._events[-BUFFER:], event]
        if self.socket:
            await self.socket.send(event)

    async def replay(self, after: int) -> None:
        """Send again what was missed."""
        for event in list(self._events):
            if event["s"] > after and self.socket:
                await self.socket.send(event)


class Socket:
    """One websocket, compressed if the client asked for it."""

    def __init__(self, compression: str | None) -> None:
        self.ws = web.WebSocketResponse(max_msg_size=1 << 16)
        self._deflate = zlib.compressobj() if compression == "zlib-stream" else None

    async def send(self, payload: Json) -> None:
        """Send a payload; a client that is gone will notice by itself."""
        text = json.dumps(payload)
        with contextlib.suppress(ConnectionError, RuntimeError):
            if self._deflate is None:
                await self.ws.send_str(text)
            else:  # one stream a connection, each message ending with a full flush
                data = self._deflate.compress(text.encode())
                await self.ws.send_bytes(data + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    async def op(self, code: int, data: Any = None) -> None:
        """Send a payload that is not an event."""
        await self.send({"op": code, "d": data, "s": None, "t": None})


class Gateway:
    """All sessions of the bot."""

    def __init__(self, world: World, denied_intents: tuple[str, ...] = ()) -> None:
        self._world = world
        self._denied = sum(PRIVILEGED[name] for name in denied_intents)
        world.shows_content = not self._denied & CONTENT
        self.sessions: dict[str, Session] = {}
        self.url = ""
        self.acknowledges = True
        self.may_resume = True
        self.identifies = self.resumes = 0

    @property
    def sockets(self) -> list[Socket]:
        """Every open connection."""
        return [s.socket for s in self.sessions.values() if s.socket]

    async def dispatch(self, name: str, data: Json) -> None:
        """Tell every session of an event."""
        for session in list(self.sessions.values()):
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
                transport = socket.ws._writer and socket.ws._writer.transport
                if transport:
                    transport.abort()
            else:
                await socket.ws.close(code=code)

    async def send_raw(self, text: str) -> None:
        """Send every client a text frame that may be garbage."""
        for socket in self.sockets:
            await socket.send({"op": 0, "t": text, "s": None, "d": {}})

    async def connect(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one websocket until it closes."""
        socket = Socket(request.query.get("compress"))
        await socket.ws.prepare(request)
        await socket.op(10, {"heartbeat_interval": 41_250, "_trace": []})
        session: Session | None = None
        async for frame in socket.ws:
            payload = _payload(frame.data) if frame.type == WSMsgType.TEXT else None
            if payload is None:
                await socket.ws.close(code=DECODE_ERROR)
                break
            session = await self._handle(socket, session, payload)
        if session and session.socket is socket:
            session.socket = None
        return socket.ws

    async def _handle(
        self, socket: Socket, session: Session | None, payload: Json
    ) -> Session | None:
        op, data = payload.get("op"), payload.get("d")
        if op == 1:
            if self.acknowledges:
                await socket.op(11)
        elif op == 2 and isinstance(data, dict):
            return await self._identify(socket, data)
        elif op == 6 and isinstance(data, dict):
            return await self._resume(socket, data)
        elif session is None:
            await socket.ws.close(code=NOT_AUTHENTICATED)
        elif op == 8 and isinstance(data, dict):
            await self._send_members(session, data)
        return session

    async def _identify(self, socket: Socket, data: Json) -> Session | None:
        self.identifies += 1
        intents = data.get("intents")
        if data.get("token") != self._world.token:
            await socket.ws.close(code=AUTHENTICATION_FAILED, message=b"Authentication failed.")
            return None
        if not isinstance(intents, int) or intents & self._denied:
            await socket.ws.close(code=DISALLOWED_INTENTS, message=b"Disallowed intent(s).")
            return None
        session = Session(intents)
        session.socket = socket
        self.sessions[session.id] = session
        world = self._world
        ready = {
            "v": 10,
            "user": payloads.own_user(world),
            "guilds": [{"id": str(world.guild_id), "unavailable": True}],
            "session_id": session.id,
            "session_type": "normal",
            "resume_gateway_url": self.url,
            "application": {"id": str(world.bot_id), "flags": payloads.flags(world)},
            "private_channels": [],
        }
        await session.dispatch("READY", ready, world.bot_id)
        await session.dispatch("GUILD_CREATE", payloads.guild_create(world), world.bot_id)
        return session

    async def _resume(self, socket: Socket, data: Json) -> Session | None:
        session = self.sessions.get(str(data.get("session_id")))
        after = data.get("seq")
        if not session or not self.may_resume or not isinstance(after, int):
            await socket.op(9, False)
            return None
        self.resumes += 1
        session.socket = socket
        await session.replay(after)
        await session.dispatch("RESUMED", {}, self._world.bot_id)
        return session

    async def _send_members(self, session: Session, data: Json) -> None:
        people = self._world.people.values()
        chunk = {
            "guild_id": str(self._world.guild_id),
            "members": [payloads.member(person) for person in people],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": [],
            "nonce": data.get("nonce"),
        }
        await session.dispatch("GUILD_MEMBERS_CHUNK", chunk, self._world.bot_id)

    async def shut(self) -> None:
        """Close everything, for good."""
        await asyncio.gather(*(socket.ws.close() for socket in self.sockets))


def _payload(text: str) -> Json | None:
    try:
        payload = json.loads(text)
    except ValueError:
        return None
    return payload if isinstance(payload, dict) else None
