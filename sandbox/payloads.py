"""Discord's JSON for people, the application and messages. Ids are strings there."""

import hashlib
import re
from datetime import datetime, timezone
from typing import Any

from sandbox.world import Person, Post, World

Json = dict[str, Any]

MESSAGE_CONTENT_LIMITED = 1 << 19
EPHEMERAL = 1 << 6
_CUSTOM_EMOJI = re.compile(r"<?a?:?(\w+):(\d+)>?")


def iso(ms: int) -> str:
    """A moment (milliseconds since 1970) as Discord writes it."""
    return datetime.fromtimestamp(ms / 1000, timezone.utc).isoformat(timespec="microseconds")


def user(person: Person) -> Json:
    """A user object; a person who was deleted is simply not in the world."""
    return {
        "id": str(person.id),
        "username": person.name,
        "discriminator": "0",
        "global_name": None,
        "avatar": None,
        "bot": person.is_bot,
        "public_flags": 0,
        "flags": 0,
        "primary_guild": None,
    }


def own_user(world: World) -> Json:
    """`GET /users/@me`."""
    extra = {"mfa_enabled": False, "locale": "en-US", "email": None, "verified": True}
    return {**user(world.people[world.bot_id]), **extra}


def flags(world: World) -> int:
    """The application's flags: whether message content may be read."""
    return MESSAGE_CONTENT_LIMITED if world.shows_content else 0


def application(world: World) -> Json:
    """The bot's application."""
    return {
        "id": str(world.bot_id),
        "name": world.people[world.bot_id].name,
        "icon": None,
        "description": "",
        "summary": "",
        "type": None,
        "bot_public": True,
        "bot_require_code_grant": False,
        "verify_key": hashlib.sha256(world.token.encode()).hexdigest(),
        "flags": flags(world),
        "flags_new": str(flags(world)),
        "owner": user(world.people[world.owner_id]),
        "bot": user(world.people[world.bot_id]),
        "team": None,
        "redirect_uris": [],
        "interactions_endpoint_url": None,
        "role_connections_verification_url": None,
        "approximate_guild_count": len(world.joined),
        "approximate_user_install_count": 0,
        "approximate_user_authorization_count": 0,
        "eligible_oauth2_scopes": [],
        "max_participants": None,
        "explicit_content_filter": 0,
    }


def member(person: Person, with_user: bool = True) -> Json:
    """A guild member."""
    return {
        **({"user": user(person)} if with_user else {}),
        "nick": None,
        "avatar": None,
        "banner": None,
        "roles": [],
        "joined_at": iso(1_430_000_000_000),
        "premium_since": None,
        "deaf": False,
        "mute": False,
        "flags": 0,
        "pending": False,
        "communication_disabled_until": None,
    }


def message(world: World, post: Post, with_reference: bool = True) -> Json:
    """A message as history and sending give it."""
    author = world.people.get(post.author_id) or Person(post.author_id, "Deleted User")
    body: Json = {
        "id": str(post.id),
        "channel_id": str(post.place_id),
        "author": user(author),
        "content": post.content,
        "timestamp": iso(post.sent_ms),
        "edited_timestamp": iso(post.edited_ms) if post.edited_ms else None,
        "tts": False,
        "mention_everyone": post.pings_everyone,
        "mentions": [user(world.people[n]) for n in post.mentions if n in world.people],
        "mention_roles": [str(number) for number in post.role_mentions],
        "attachments": [_attachment(post, n) for n in range(len(post.attachments))],
        "embeds": [],
        "components": list(post.components),
        "pinned": False,
        "type": post.type,
        "flags": EPHEMERAL if post.is_private else 0,
    }
    if post.reactions:
        body["reactions"] = [_reaction(world, *item) for item in post.reactions.items()]
    if post.nonce is not None:
        body["nonce"] = post.nonce
    if post.application_id is not None:
        body |= {"application_id": str(post.application_id), "webhook_id": str(post.application_id)}
    if post.reply_to is not None and with_reference:
        body |= _reference(world, post)
    return body


def message_event(world: World, post: Post) -> Json:
    """MESSAGE_CREATE and MESSAGE_UPDATE: the message, in a server with its guild and member."""
    where = in_guild(world, post.place_id)
    if where:
        person = world.people.get(post.author_id) or Person(post.author_id, "Deleted User")
        where["member"] = member(person, with_user=False)
    return {**message(world, post), **where}


def in_guild(world: World, place_id: int) -> Json:
    """The `guild_id` of what happens in a place: a direct message has none."""
    guild = world.guild_of(place_id)
    return {"guild_id": str(guild.id)} if guild else {}


def without_content(body: Json, bot_id: int) -> Json:
    """What a bot without the message content intent sees of somebody else's message."""
    mentioned = any(entry["id"] == str(bot_id) for entry in body["mentions"])
    if mentioned or body["author"]["id"] == str(bot_id):
        return body
    return {**body, "content": "", "embeds": [], "attachments": [], "components": []}


def emoji(text: str) -> Json:
    """A partial emoji: a character, or a custom one written `name:id`."""
    match = _CUSTOM_EMOJI.fullmatch(text)
    if match:
        return {"id": match[2], "name": match[1], "animated": False}
    return {"id": None, "name": text}


def _attachment(post: Post, number: int) -> Json:
    name = post.attachments[number]
    path = f"attachments/{post.place_id}/{post.id + number}/{name}"
    return {
        "id": str(post.id + number),
        "filename": name,
        "size": 1024,
        "url": f"https://cdn.discordapp.com/{path}",
        "proxy_url": f"https://media.discordapp.net/{path}",
        "content_type": "image/png",
        "width": 64,
        "height": 64,
    }


def _reaction(world: World, text: str, who: set[int]) -> Json:
    return {
        "emoji": emoji(text),
        "count": len(who),
        "count_details": {"burst": 0, "normal": len(who)},
        "burst_colors": [],
        "me": world.bot_id in who,
        "me_burst": False,
        "burst_me": False,
        "burst_count": 0,
    }


def _reference(world: World, post: Post) -> Json:
    reference = {"type": 0, "channel_id": str(post.place_id), **in_guild(world, post.place_id)}
    answered = world.find(post.place_id, post.reply_to)
    return {
        "message_reference": {**reference, "message_id": str(post.reply_to)},
        "referenced_message": message(world, answered, with_reference=False) if answered else None,
    }
