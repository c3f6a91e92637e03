"""What each REST route does, in the order of Discord's reference."""

import itertools
import re
import time
from datetime import datetime, timezone
from urllib.parse import unquote

from sandbox import guilds, payloads
from sandbox.gateway import CONCURRENCY
from sandbox.payloads import Json
from sandbox.rest import ApiError, Call, Rest, invalid, snowflake, unknown
from sandbox.world import CATEGORY, FORUM, TEXT, Guild, Place, Post

LONGEST = 2000
NONCE_MINUTES = 5


def register(rest: Rest) -> None:
    """Tell the REST server about every route."""
    for method, path, handler in (
        ("GET", "/users/@me", own_user),
        ("POST", "/users/@me/channels", open_direct),
        ("GET", "/users/{user}", get_user),
        ("GET", "/gateway", get_gateway),
        ("GET", "/gateway/bot", get_gateway),
        ("GET", "/guilds/{guild}", get_guild),
        ("GET", "/guilds/{guild}/channels", get_channels),
        ("GET", "/guilds/{guild}/threads/active", get_active_threads),
        ("GET", "/guilds/{guild}/members/{user}", get_member),
        ("GET", "/channels/{channel}", get_channel),
        ("GET", "/channels/{channel}/threads/archived/public", get_archived),
        ("GET", "/channels/{channel}/threads/archived/private", get_no_threads),
        ("GET", "/channels/{channel}/users/@me/threads/archived/private", get_no_threads),
        ("POST", "/channels/{channel}/threads", open_thread),
        ("GET", "/channels/{channel}/messages", get_messages),
        ("POST", "/channels/{channel}/messages", send),
        ("POST", "/channels/{channel}/messages/bulk-delete", bulk_delete),
        ("GET", "/channels/{channel}/messages/{message}", get_message),
        ("PATCH", "/channels/{channel}/messages/{message}", edit),
        ("DELETE", "/channels/{channel}/messages/{message}", delete),
        ("PUT", "/channels/{channel}/messages/{message}/reactions/{emoji:[^/]+}/@me", react),
        ("DELETE", "/channels/{channel}/messages/{message}/reactions/{emoji:[^/]+}/@me", unreact),
        ("GET", "/channels/{channel}/messages/{message}/reactions/{emoji:[^/]+}", get_reactors),
        ("POST", "/channels/{channel}/typing", start_typing),
    ):
        rest.add(method, path, handler)


async def own_user(call: Call) -> Json:
    return payloads.own_user(call.world)


async def get_user(call: Call) -> Json:
    person = call.world.people.get(call.id("user"))
    if person is None:
        raise unknown("User", 10013)
    return payloads.user(person)


async def open_direct(call: Call) -> Json:
    recipient_id = snowflake("recipient_id", call.object().get("recipient_id"))
    if recipient_id not in call.world.people or recipient_id == call.world.bot_id:
        raise ApiError(400, 50033, "Invalid Recipient(s)")
    return guilds.channel(call.world, call.world.direct(recipient_id))


async def get_gateway(call: Call) -> Json:
    limits = {"total": 1000, "remaining": 1000 - call.rest.gateway.identifies}
    limits |= {"reset_after": 86_400_000, "max_concurrency": CONCURRENCY}
    url = {"url": call.rest.gateway.url}
    is_bot = call.request.path.endswith("/bot")
    shards = call.rest.gateway.recommended_shards
    return {**url, "shards": shards, "session_start_limit": limits} if is_bot else url


async def get_guild(call: Call) -> Json:
    return guilds.guild(call.world, found_guild(call))


async def get_channels(call: Call) -> list[Json]:
    places = call.world.places_in(found_guild(call))
    return [guilds.channel(call.world, place) for place in places if not place.is_thread]


async def get_active_threads(call: Call) -> Json:
    threads = _visible_threads(call, found_guild(call))
    active = [place for place in threads if not place.is_archived]
    return {**_threads(call, active), "has_more": False}


async def get_member(call: Call) -> Json:
    found_guild(call)
    person = call.world.people.get(call.id("user"))
    if person is None:
        raise unknown("Member", 10007)
    return payloads.member(person)


async def get_channel(call: Call) -> Json:
    return guilds.channel(call.world, call.place())


async def get_archived(call: Call) -> Json:
    """A page of archived threads, the one archived last first; `before` is a moment."""
    parent, limit = call.place(), call.number("limit") or 50
    threads = _visible_threads(call, call.world.guild_of(parent.id))
    found = [p for p in threads if p.parent_id == parent.id and p.is_archived]
    newest_first = sorted(found, key=lambda place: place.active_ms, reverse=True)
    before = call.request.query.get("before")
    if before:
        before_ms = _moment_ms(before)
        newest_first = [place for place in newest_first if place.active_ms < before_ms]
    page = newest_first[:limit]
    return {**_threads(call, page), "has_more": len(newest_first) > limit}


async def get_no_threads(call: Call) -> Json:
    """Private threads: there are none here."""
    call.place()
    return {"threads": [], "members": [], "has_more": False}


async def open_thread(call: Call) -> Json:
    parent = call.place()
    if parent.kind != TEXT:
        raise ApiError(400, 50024, "Cannot execute action on this channel type")
    name = call.object().get("name")
    if not isinstance(name, str) or not 1 <= len(name) <= 100:
        raise invalid("name", "Must be between 1 and 100 in length.")
    call.status = 201
    return guilds.channel(call.world, await call.actions.open_thread(parent.id, name))


async def get_messages(call: Call) -> list[Json]:
    place = call.place()
    _check_holds_messages(place)
    limit = call.number("limit")
    limit = 50 if limit is None else limit
    if not 1 <= limit <= 100:
        raise invalid("limit", "int value should be less than or equal to 100.")
    if not place.may_read_history:
        return []  # Discord answers so, rather than with an error
    window = {name: call.number(name) for name in ("before", "after", "around")}
    posts = call.world.page(place.id, limit=limit, **window)
    return [_seen(call, post) for post in posts]


async def get_message(call: Call) -> Json:
    return _seen(call, call.post())


async def send(call: Call) -> Json:
    place, body = call.place(), call.object()
    _check_holds_messages(place)
    if not place.may_write:
        raise ApiError(403, 50013, "Missing Permissions")
    content = content_of(body)
    nonce = body.get("nonce")
    if not isinstance(nonce, (int, str, type(None))) or len(str(nonce)) > 25:
        raise invalid("nonce", "Must be 25 or fewer in length.")
    if nonce is not None and body.get("enforce_nonce"):
        known = _known_by_nonce(place, call.world.bot_id, str(nonce))
        if known:
            return payloads.message(call.world, known)
    post = await call.actions.say(
        place.id,
        call.world.bot_id,
        content,
        reply_to=_answered(call, place, body),
        allowed_mentions=allowed_mentions(body),
        nonce=None if nonce is None else str(nonce),
    )
    return payloads.message(call.world, post)


async def edit(call: Call) -> Json:
    post, body = call.post(), call.object()
    _check_own(call, post)
    await call.actions.edit(post, content_of(body), allowed_mentions(body))
    return payloads.message(call.world, post)


async def delete(call: Call) -> None:
    post = call.post()
    await call.actions.delete(post.place_id, [post.id])


async def bulk_delete(call: Call) -> None:
    ids = call.object().get("messages")
    if not isinstance(ids, list) or not 2 <= len(ids) <= 100:
        raise invalid("messages", "Must be between 2 and 100 in length.")
    await call.actions.delete(call.place().id, [snowflake("messages", entry) for entry in ids])


async def react(call: Call) -> None:
    await call.actions.react(call.post(), call.world.bot_id, _emoji(call))


async def unreact(call: Call) -> None:
    await call.actions.react(call.post(), call.world.bot_id, _emoji(call), False)


async def get_reactors(call: Call) -> list[Json]:
    """Who reacted, the lowest id first; the sample communities only know how many."""
    who = call.post().reactions.get(_emoji(call), set())
    after, limit = call.number("after") or 0, min(100, call.number("limit") or 25)
    known = [n for n in sorted(who) if n > after and n in call.world.people]
    return [payloads.user(call.world.people[number]) for number in known[:limit]]


async def start_typing(call: Call) -> None:
    await call.actions.type(call.place().id, call.world.bot_id)


def content_of(body: Json) -> str:
    """The text of a message that is to be sent, which must fit."""
    content = body.get("content")
    if content is not None and not isinstance(content, str):
        raise invalid("content", "Must be a string.")
    if not content or not content.strip():
        raise ApiError(400, 50006, "Cannot send an empty message")
    if len(content) > LONGEST:
        raise invalid("content", "Must be 2000 or fewer in length.")
    return content


def allowed_mentions(body: Json) -> Json | None:
    """Whom a message may ping, with ids as numbers."""
    allowed = body.get("allowed_mentions")
    if allowed is None:
        return None
    if not isinstance(allowed, dict):
        raise invalid("allowed_mentions", "Only dictionaries may be used in a DictType")
    lists = {name: allowed.get(name) or [] for name in ("parse", "users", "roles")}
    if not all(isinstance(entries, list) for entries in lists.values()):
        raise invalid("allowed_mentions", "Only lists may be used in a ListType")
    ids = {name: [snowflake(name, n) for n in lists[name]] for name in ("users", "roles")}
    return {**allowed, **lists, **ids}


def found_guild(call: Call) -> Guild:
    """The server of the path, which the bot must be on."""
    found = [guild for guild in call.world.joined if guild.id == call.id("guild")]
    if not found:
        raise unknown("Guild", 10004)
    return found[0]


def _check_holds_messages(place: Place) -> None:
    if place.kind in (FORUM, CATEGORY):
        raise ApiError(400, 50024, "Cannot execute action on this channel type")


def _known_by_nonce(place: Place, author_id: int, nonce: str) -> Post | None:
    """What was sent with a nonce in the past few minutes, which is how long Discord knows it."""
    since_ms = time.time() * 1000 - NONCE_MINUTES * 60_000
    recent = itertools.takewhile(lambda post: post.sent_ms > since_ms, reversed(place.posts))
    return next((p for p in recent if p.author_id == author_id and p.nonce == nonce), None)


def _check_own(call: Call, post: Post) -> None:
    if post.author_id != call.world.bot_id:
        raise ApiError(403, 50005, "Cannot edit a message authored by another user")


def _seen(call: Call, post: Post) -> Json:
    """A message as the bot may see it: with its text only if it has that intent."""
    body = payloads.message(call.world, post)
    if call.world.shows_content or call.world.places[post.place_id].is_direct:
        return body
    return payloads.without_content(body, call.world.bot_id)


def _emoji(call: Call) -> str:
    """The emoji of the path: a character (or a few that are drawn as one), or `name:id`."""
    text = unquote(call.match["emoji"])
    custom = re.fullmatch(r"(?:a?:)?(\w{1,32}:[0-9]{1,20})", text)
    if custom:
        return custom[1]
    if text.isascii() or len(text) > 16:
        raise ApiError(400, 10014, "Unknown Emoji")
    return text


def _moment_ms(text: str) -> int:
    """Milliseconds since 1970 of an ISO 8601 moment, as the query has it."""
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+").replace("Z", "+00:00"))
        aware = moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
        return round(aware.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise invalid("before", f'"{text[:40]}" is not a ISO8601 timestamp.') from None


def _answered(call: Call, place: Place, body: Json) -> int | None:
    """The message replied to; one that is gone is an error unless the bot says otherwise."""
    reference = body.get("message_reference")
    if not reference:
        return None
    if not isinstance(reference, dict):
        raise invalid("message_reference", "Only dictionaries may be used in a DictType")
    number = snowflake("message_reference", reference.get("message_id"))
    if call.world.find(place.id, number):
        return number
    if reference.get("fail_if_not_exists", True):
        raise invalid("message_reference", "Unknown message")
    return None


def _visible_threads(call: Call, guild: Guild | None) -> list[Place]:
    places = call.world.places_in(guild) if guild else []
    return [place for place in places if place.is_thread and call.world.is_seen(place.id)]


def _threads(call: Call, threads: list[Place]) -> Json:
    return {"threads": [guilds.channel(call.world, p) for p in threads], "members": []}
