"""The sandbox's own routes: what the chat page, the demo and the tests use to play the members."""

import asyncio
import collections
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox import faults, payloads
from sandbox.payloads import Json
from sandbox.rest import Rest
from sandbox.routes import LONGEST
from sandbox.world import CATEGORY, FORUM, KINDS, Place, Post

PAGE = Path(__file__).with_name("chat.html")
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
COMMAND_SECONDS = 10.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def loopback_only(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse what a web page elsewhere could make a browser send here."""
    if urlsplit(f"//{request.host}").hostname not in LOOPBACK:
        return _error("This server answers on a loopback address only.", 403)
    origin = request.headers.get("Origin")
    if origin and urlsplit(origin).netloc != request.host:
        return _error("Requests from other pages are refused.", 403)
    if not request.path.startswith("/sandbox/"):
        return await handler(request)
    if request.method == "POST" and request.content_type != "application/json":
        return _error("Send application/json.", 415)
    try:
        return await handler(request)
    except KeyError as error:
        return _error(f"That request does not fit: {error} is missing.", 400)
    except (ValueError, TypeError, OverflowError) as error:
        return _error(f"That request does not fit: {error}.", 400)


class Control:
    """Handlers for `/` and `/sandbox/...`."""

    def __init__(self, rest: Rest) -> None:
        self._rest, self._world, self._actions = rest, rest.world, rest.actions

    def register(self, app: web.Application) -> None:
        """Add every route."""
        app.router.add_get("/sandbox/state", self.state)
        app.router.add_get("/sandbox/channels/{id:[0-9]+}/messages", self.history)
        app.router.add_get("/sandbox/events", self.events)
        app.router.add_get("/sandbox/future", self.future)
        app.router.add_get("/sandbox/statistics", self.statistics)
        for name in ("say", "react", "edit", "delete", "command", "fault", "gateway"):
            app.router.add_post(f"/sandbox/{name}", getattr(self, name))

    async def page(self, request: web.Request) -> web.StreamResponse:
        """The chat page."""
        return web.FileResponse(PAGE, headers={"Content-Security-Policy": _POLICY})

    async def state(self, request: web.Request) -> web.Response:
        """The first server, its channels (the one to open first) and members, the active first."""
        world = self._world
        written = collections.Counter(p.author_id for c in world.places.values() for p in c.posts)
        people = sorted(world.people.values(), key=lambda person: -written[person.id])
        shown = [place for place in world.places_in(world.home) if not place.is_hidden]
        places = sorted(shown, key=lambda place: -len(place.posts))
        return _json(
            {
                "guild": {"id": str(world.guild_id), "name": world.home.name},
                "bot": {"id": str(world.bot_id), "name": world.people[world.bot_id].name},
                "owner_id": str(world.owner_id),
                "channels": [_place(place) for place in places],
                "members": [{"id": str(p.id), "name": p.name, "is_bot": p.is_bot} for p in people],
            }
        )

    async def history(self, request: web.Request) -> web.Response:
        """A page of a channel, oldest first."""
        place_id = int(request.match_info["id"])
        if place_id not in self._world.places:
            return _error("There is no such channel.", 404)
        before = request.query.get("before")
        limit = max(1, min(200, int(request.query.get("limit", 50))))
        page = self._world.page(place_id, before=int(before) if before else None, limit=limit)
        return _json({"messages": [self.shown(post) for post in reversed(page)]})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Everything that happens from now on, as Server-Sent Events."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[Json] = asyncio.Queue()
        self._actions.listeners.add(queue)
        try:
            while True:
                event = dict(await queue.get())  # a copy: every other page has the same one
                if post := event.pop("post", None):
                    event["message"] = self.shown(post)
                await response.write(f"data: {json.dumps(event)}\n\n".encode())
        except ConnectionError:
            return response
        finally:
            self._actions.listeners.discard(queue)

    async def future(self, request: web.Request) -> web.Response:
        """The messages that were kept back, in order, in the shape that `say` takes."""
        return _json({"messages": [self.shown(post) for post in self._world.future]})

    async def statistics(self, request: web.Request) -> web.Response:
        """What the bot asked for, and whom it pinged."""
        gateway = self._rest.gateway
        counts = {"identifies": gateway.identifies, "resumes": gateway.resumes}
        pings = [str(number) for number in self._actions.pings]
        return _json({"requests": self._rest.requests, "pings": pings, **counts})

    async def say(self, request: web.Request) -> web.Response:
        """A member writes: channel_id, author_id, content and perhaps reply_to."""
        body = await _body(request)
        place, author = self._place_and_person(body)
        content, answered = _content(body), body.get("reply_to")
        if isinstance(answered, dict):
            answered = answered["id"]
        reply_to = self._post(place, answered).id if answered else None
        post = await self._actions.say(place.id, author, content, reply_to=reply_to)
        return _json(self.shown(post))

    async def react(self, request: web.Request) -> web.Response:
        """A member reacts: channel_id, message_id, author_id, emoji and perhaps remove."""
        body = await _body(request)
        place, person = self._place_and_person(body)
        post, emoji = self._post(place, body["message_id"]), str(body["emoji"])
        if not 0 < len(emoji) <= 64:
            raise ValueError("an emoji is a character, or name:id")
        await self._actions.react(post, person, emoji, not body.get("remove", False))
        return _json(self.shown(post))

    async def edit(self, request: web.Request) -> web.Response:
        """A member edits: channel_id, message_id, author_id, content."""
        body = await _body(request)
        place, person = self._place_and_person(body)
        post = self._post(place, body["message_id"])
        if post.author_id != person:
            raise ValueError("a member edits only what they wrote")
        await self._actions.edit(post, _content(body))
        return _json(self.shown(post))

    async def delete(self, request: web.Request) -> web.Response:
        """Messages are deleted: channel_id and message_ids."""
        body = await _body(request)
        place = self._place(body)
        posts = [self._post(place, number) for number in body["message_ids"]]
        await self._actions.delete(place.id, [post.id for post in posts])
        return _json({})

    async def command(self, request: web.Request) -> web.Response:
        """A member uses a slash command: channel_id, author_id, name, options."""
        body = await _body(request)
        place, person = self._place_and_person(body)
        found = [c for c in self._world.commands_in(place.id) if c["name"] == body["name"]]
        if not found:
            raise ValueError(f"the bot has no command {body['name']!r}")
        options = body.get("options") or {}
        if not isinstance(options, dict):
            raise ValueError("options are names with values")
        interaction = await self._actions.invoke(place.id, person, found[0], options)
        try:
            await asyncio.wait_for(interaction.answered.wait(), COMMAND_SECONDS)
        except asyncio.TimeoutError:
            return _error("The application did not respond.", 504)
        return _json({"answers": [post.content for post in interaction.answers]})

    async def fault(self, request: web.Request) -> web.Response:
        """Let something go wrong: the fields of `faults.Fault`."""
        self._rest.faults.add(faults.parse(await _body(request)))
        return _json({})

    async def gateway(self, request: web.Request) -> web.Response:
        """Disturb the gateway: do = reconnect, invalidate, close, event, frame or set.

        invalidate and set take may_resume, close a code, event a name, frame a text; set also
        takes acknowledges (heartbeats) and has_lying_headers (rate limits).
        """
        body = await _body(request)
        gateway = self._rest.gateway
        if body["do"] == "reconnect":
            await gateway.reconnect()
        elif body["do"] == "invalidate":
            await gateway.invalidate(bool(body.get("may_resume")))
        elif body["do"] == "close":
            await gateway.close(_close_code(body))
        elif body["do"] == "event":
            await gateway.send_raw(str(body.get("name", "NO_SUCH_EVENT")))
        elif body["do"] == "frame":
            await gateway.send_frame(str(body["text"]))
        elif body["do"] == "set":
            gateway.acknowledges = bool(body.get("acknowledges", gateway.acknowledges))
            gateway.may_resume = bool(body.get("may_resume", gateway.may_resume))
            limiter = self._rest.limiter
            limiter.is_lying = bool(body.get("has_lying_headers", limiter.is_lying))
        else:
            raise ValueError("do is reconnect, invalidate, close, event, frame or set")
        return _json({})

    def shown(self, post: Post) -> Json:
        """A message as the chat page wants it."""
        world = self._world
        answered = world.find(post.place_id, post.reply_to) if post.reply_to else None
        return {
            "id": str(post.id),
            "channel_id": str(post.place_id),
            "author_id": str(post.author_id),
            "author_name": self._name(post.author_id),
            "is_bot": post.author_id in world.people and world.people[post.author_id].is_bot,
            "content": post.content,
            "timestamp": payloads.iso(post.sent_ms),
            "type": post.type,
            "is_edited": post.edited_ms is not None,
            "reply_to": answered
            and {
                "id": str(answered.id),
                "author_name": self._name(answered.author_id),
                "content": answered.content,
            },
            "reactions": [{"emoji": e, "count": len(who)} for e, who in post.reactions.items()],
            "attachments": list(post.attachments),
            "mentions": [str(number) for number in post.mentions],
        }

    def _name(self, person_id: int) -> str:
        person = self._world.people.get(person_id)
        return person.name if person else "Deleted User"

    def _place(self, body: Json) -> Place:
        place = self._world.places.get(int(body["channel_id"]))
        if place is None or place.kind in (CATEGORY, FORUM):
            raise ValueError("there is no such channel to write in")
        return place

    def _place_and_person(self, body: Json) -> tuple[Place, int]:
        place, person = self._place(body), self._world.people.get(int(body["author_id"]))
        if person is None:
            raise ValueError("there is no such member")
        return place, person.id

    def _post(self, place: Place, number: Any) -> Post:
        post = self._world.find(place.id, int(number))
        if post is None:
            raise ValueError("there is no such message")
        return post


_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'"
)
_WORDS = {number: word for word, number in KINDS.items()}


async def _body(request: web.Request) -> Json:
    """The JSON object of a request. Raises `ValueError` for anything else."""
    try:
        body = json.loads(await request.read())
    except RecursionError:
        body = None
    if not isinstance(body, dict):
        raise ValueError("send a JSON object")
    return body


def _content(body: Json) -> str:
    content = body["content"]
    if not isinstance(content, str) or not content.strip() or len(content) > LONGEST:
        raise ValueError("a message has 1 to 2,000 characters")
    return content


def _close_code(body: Json) -> int:
    code = int(body.get("code", 1006))
    if code not in (1000, 1001, 1006) and not 4000 <= code <= 4999:
        raise ValueError("code is 1000, 1001, 1006 or 4000 to 4999")
    return code


def _place(place: Place) -> Json:
    return {
        "id": str(place.id),
        "name": place.name,
        "kind": _WORDS[place.kind],
        "parent_id": str(place.parent_id) if place.parent_id else None,
        "is_archived": place.is_archived,
    }


def _json(body: Any, status: int = 200) -> web.Response:
    return web.json_response(body, status=status)


def _error(text: str, status: int) -> web.Response:
    return _json({"error": text}, status)
