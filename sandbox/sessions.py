"""A connection of the bot, and what outlives it so that it can be resumed."""

import collections
import contextlib
import json
import secrets
import zlib
from typing import Any

from aiohttp import web

from sandbox import payloads
from sandbox.payloads import Json

GUILDS, CONTENT = 1 << 0, 1 << 15
# how an event's name begins -> the intent that it needs in the server, and in a direct message
NEEDED = (
    ("MESSAGE_REACTION_", 1 << 10, 1 << 13),
    ("MESSAGE_", 1 << 9, 1 << 12),
    ("TYPING_", 1 << 11, 1 << 14),
    ("CHANNEL_", GUILDS, GUILDS),
    ("THREAD_", GUILDS, GUILDS),
    ("GUILD_CREATE", GUILDS, GUILDS),
)
BUFFER = 1000  # events kept for a RESUME


class Session:
    """What Discord remembers of a connection, so that it can be resumed."""

    def __init__(self, intents: int, shard: tuple[int, int] = (0, 1)) -> None:
        self.id = secrets.token_hex(16)
        self.intents, self.shard = intents, shard
        self.socket: Socket | None = None
        self._events: collections.deque[Json] = collections.deque(maxlen=BUFFER)
        self._newest = 0

    async def dispatch(self, name: str, data: Json, bot_id: int) -> None:
        """Send an event, if the intents ask for it, and keep it for a resume."""
        if not _wants(self.intents, name, data):
            return
        is_message = name in ("MESSAGE_CREATE", "MESSAGE_UPDATE")
        if is_message and "guild_id" in data and not self.intents & CONTENT:
            data = payloads.without_content(data, bot_id)
        event = self._numbered(name, data)
        self._events.append(event)
        if self.socket:
            await self.socket.send(event)

    def serves(self, guild_id: int) -> bool:
        """Whether it is told what happens in a server; 0 stands for direct messages."""
        number, count = self.shard
        return (guild_id >> 22) % count == number

    def remembers(self, after: int) -> bool:
        """Whether everything that came after that number is still kept."""
        oldest: int = self._events[0]["s"]
        return oldest - 1 <= after <= self._newest

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
        await socket.send(self._numbered("RESUMED", {}))

    def _numbered(self, name: str, data: Json) -> Json:
        self._newest += 1
        return {"op": 0, "t": name, "s": self._newest, "d": data}


class Socket:
    """One websocket, compressed if the client asked for it."""

    def __init__(self, request: web.Request) -> None:
        self.ws = web.WebSocketResponse(max_msg_size=1 << 16)
        self._request, self._is_closed_by_us = request, False
        is_compressed = request.query.get("compress") == "zlib-stream"
        self._deflate = zlib.compressobj() if is_compressed else None

    @property
    def is_left(self) -> bool:
        """Whether the client said goodbye, which on Discord ends its session."""
        return self.ws.close_code in (1000, 1001) and not self._is_closed_by_us

    async def send(self, payload: Json) -> None:
        """Send a payload; a client that is gone will notice by itself."""
        await self.send_text(json.dumps(payload))

    async def send_text(self, text: str) -> None:
        """Send a frame as it is."""
        with contextlib.suppress(ConnectionError, RuntimeError):
            if self._deflate is None:
                await self.ws.send_str(text)
            else:  # one stream a connection, each message ending with a full flush
                data = self._deflate.compress(text.encode())
                await self.ws.send_bytes(data + self._deflate.flush(zlib.Z_SYNC_FLUSH))

    async def op(self, code: int, data: Any = None) -> None:
        """Send a payload that is not an event."""
        await self.send({"op": code, "d": data, "s": None, "t": None})

    async def close(self, code: int) -> None:
        """Close with one of Discord's codes; the session can still be resumed."""
        self._is_closed_by_us = True
        await self.ws.close(code=code)

    def cut(self) -> None:
        """Break the connection without a word, as a network does."""
        self._is_closed_by_us = True
        if self._request.transport:
            self._request.transport.abort()


def _wants(intents: int, name: str, data: Json) -> bool:
    """Whether a client with these intents is told of an event."""
    for start, in_server, in_private in NEEDED:
        if name.startswith(start):
            return bool(intents & (in_server if "guild_id" in data else in_private))
    return True
