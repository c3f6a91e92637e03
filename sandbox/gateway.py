"""The gateway: websocket sessions that greet, beat, dispatch, resume and fail on request."""

import asyncio
import collections
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
UNKNOWN_OP, DECODE_ERROR, NOT_AUTHENTICATED, AUTHENTICATION_FAILED = 4001, 4002, 4003, 4004
ALREADY_AUTHENTICATED, INVALID_INTENTS, DISALLOWED_INTENTS = 4005, 4013, 4014
BUFFER = 1000  # events kept for a RESUME
CHUNK = 1000  # members in one GUILD_MEMBERS_CHUNK


class Session:
    """What Discord remembers of a connection, so that it can be resumed."""

    def __init__(self, intents: int) -> None:
        self.id = secrets.token_hex(16)
        self.intents = intents
        self.socket: Socket | None = None
        self._events: collections.deque[Json] = collections.deque(maxlen=BUFFER)
        self._numbers = itertools.count(1)

    async def dispatch(self, name: str, data: Json, bot_id: int) -> None:
        """Send an event, if the intents ask for it, and keep it for a resume."""
        needed = NEEDED.get(name, 0)
        if needed and not self.intents & needed:
            return
        if name in ("MESSAGE_CREATE", "MESSAGE_UPDATE") and not self.intents & CONTENT:
            data = payloads.without_content(data, bot_id)
        event = {"op": 0, "t": name, "s": next(self._numbers), "d": data}
        self._events.append(event)
        if self.socket:
            await self.socket.send(event)

    def remembers(self, after: int) -> bool:
        """Whether everything that came after that number is still kept."""
        return len(self._events) < BUFFER or after >= self._events[0]["s"] - 1

    async def resume(self, socket: "Socket", after: int) -> None:
        """Send again what was missed, and go on in the new socket.

        What happens meanwhile waits its turn: the socket only becomes ours once nothing is left.
        """
        self.socket = None
        while missed := [event for event in self._events if event["s"] > after]:
            for event in missed:
                await socket.send(event)
            after = missed[-1]["s"]
        self.socket = socket
        await socket.send({"op": 0, "t": "RESUMED", "s": next(self._numbers), "d": {}})


class Socket:
    """One websocket, compressed if the client asked for it."""

    def __init__(self, compression: str | None) -> None:
        self.ws = web.WebSocketResponse(max_msg_size=1 << 16)
        self.is_refused = False
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
                socket.is_refused = True
                await socket.ws.close(code=code)

    async def send_raw(self, text: str) -> None:
        """Send every client an event of any name, with nothing in it."""
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
            if socket.ws.close_code == 1000 and not socket.is_refused:
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
            await socket.ws.close(code=UNKNOWN_OP)
        elif not isinstance(data, dict):
            await socket.ws.close(code=DECODE_ERROR)
        elif op in (2, 6):
            if session is None:
                return await (self._identify if op == 2 else self._resume)(socket, data)
            await socket.ws.close(code=ALREADY_AUTHENTICATED)
        elif session is None:
            await socket.ws.close(code=NOT_AUTHENTICATED)
        elif op == 8:
            await self._send_members(session, data)
        return session

    async def _identify(self, socket: Socket, data: Json) -> Session | None:
        self.identifies += 1
        intents = data.get("intents")
        if data.get("token") != self._world.token:
            await socket.ws.close(code=AUTHENTICATION_FAILED, message=b"Authentication failed.")
            return None
        if not isinstance(intents, int):
            await socket.ws.close(code=INVALID_INTENTS, message=b"Invalid intent(s).")
            return None
        if intents & self._denied:
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
        if data.get("token") != self._world.token:
            await socket.ws.close(code=AUTHENTICATION_FAILED, message=b"Authentication failed.")
            return None
        session = self.sessions.get(str(data.get("session_id")))
        after: Any = data.get("seq")
        is_known = session and isinstance(after, int) and session.remembers(after)
        if not session or not is_known or not self.may_resume:
            await socket.op(9, False)
            return None
        self.resumes += 1
        await session.resume(socket, after)
        return session

    async def _send_members(self, session: Session, data: Json) -> None:
        """Answer op 8: everybody, those with these ids, or those whose name begins so."""
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
                "guild_id": str(self._world.guild_id),
                "members": members,
                "chunk_index": number,
                "chunk_count": len(chunks),
                "not_found": sorted(ids - known) if wanted else [],
                "nonce": data.get("nonce"),
            }
            await session.dispatch("GUILD_MEMBERS_CHUNK", chunk, self._world.bot_id)

    async def shut(self) -> None:
        """Close everything, for good."""
        await asyncio.gather(*(socket.ws.close() for socket in self.sockets))


def _payload(text: str) -> Json | None:
    try:
        payload = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return payload if isinstance(payload, dict) else None
