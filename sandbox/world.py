"""Everything the sandbox knows: servers with their people, places and posts.

Pure state; it neither speaks HTTP nor tells anybody what changed. Ids are snowflakes as integers.
"""

import base64
import bisect
import dataclasses
import hashlib
import re
import time
from collections.abc import Iterable

from sandbox.community import Community

EPOCH_MS = 1_420_070_400_000
TEXT, DIRECT, VOICE, CATEGORY, PUBLIC_THREAD, FORUM = 0, 1, 2, 4, 11, 15
KINDS = {
    "text": TEXT,
    "voice": VOICE,
    "category": CATEGORY,
    "forum": FORUM,
    "thread": PUBLIC_THREAD,
}
DEFAULT, REPLY, SLASH_COMMAND = 0, 19, 20

_MENTION, _ROLE = re.compile(r"<@!?([0-9]+)>"), re.compile(r"<@&([0-9]+)>")


@dataclasses.dataclass
class Person:
    """A user; all users are members of every server."""

    id: int
    name: str
    is_bot: bool = False


@dataclasses.dataclass
class Guild:
    """A server; `has_bot`: the bot was invited to it."""

    id: int
    name: str
    has_bot: bool = True


@dataclasses.dataclass
class Place:
    """A channel or thread; `kind` is Discord's channel type. A direct one has a recipient.

    Without a `guild` it is in the world's first server; a direct one is in none.
    """

    id: int
    name: str
    kind: int
    parent_id: int | None = None
    is_archived: bool = False
    is_hidden: bool = False
    may_read_history: bool = True
    may_write: bool = True
    slowmode_seconds: int = 0  # told to clients, not enforced
    is_locked: bool = False
    recipient_id: int | None = None
    guild: Guild | None = None
    posts: list["Post"] = dataclasses.field(default_factory=list)

    @property
    def is_thread(self) -> bool:
        return self.kind == PUBLIC_THREAD

    @property
    def is_direct(self) -> bool:
        return self.kind == DIRECT

    @property
    def made_ms(self) -> int:
        """When it was made, in milliseconds since 1970."""
        return (self.id >> 22) + EPOCH_MS

    @property
    def active_ms(self) -> int:
        """When something was last written; of an archived thread, when it was archived."""
        return self.posts[-1].sent_ms if self.posts else self.made_ms


@dataclasses.dataclass
class Post:
    """A message. `reactions` maps an emoji to who reacted, unknown people as negative numbers.

    A private one answers a slash command for the asker alone and is in no place's history.
    """

    id: int
    place_id: int
    author_id: int
    content: str
    type: int = DEFAULT
    reply_to: int | None = None
    mentions: tuple[int, ...] = ()
    pings_everyone: bool = False
    role_mentions: tuple[int, ...] = ()
    reactions: dict[str, set[int]] = dataclasses.field(default_factory=dict)
    attachments: tuple[str, ...] = ()
    edited_ms: int | None = None
    nonce: str | None = None
    application_id: int | None = None
    is_private: bool = False
    components: tuple[dict[str, object], ...] = ()

    @property
    def is_loud(self) -> bool:
        """Whether it pings anybody."""
        return bool(self.mentions or self.role_mentions or self.pings_everyone)

    @property
    def sent_ms(self) -> int:
        """When it was written, in milliseconds since 1970."""
        return (self.id >> 22) + EPOCH_MS


class World:
    """A server, its bot and its owner, who owns every further server, too."""

    def __init__(self, name: str = "Sandbox", bot_name: str = "persona") -> None:
        self._last_id = 0
        guild_id, self.bot_id, self.owner_id = (
            self.new_id(when_ms=EPOCH_MS + n) for n in (86_400_000, 86_500_000, 86_600_000)
        )
        self.home = Guild(guild_id, name)
        self.guilds = [self.home]
        self.token = _token(self.bot_id)
        self.people = {self.bot_id: Person(self.bot_id, bot_name, True)}
        self.add_person(self.owner_id, "you")
        self.places: dict[int, Place] = {}
        self.future: list[Post] = []
        self.shows_content = True
        self.may_switch_intents = True  # by API, as long as it is on less than a hundred servers
        self.commands: list[dict[str, object]] = []

    @property
    def guild_id(self) -> int:
        """The first server's id."""
        return self.home.id

    @property
    def joined(self) -> list[Guild]:
        """The servers that the bot is on."""
        return [guild for guild in self.guilds if guild.has_bot]

    def new_id(self, when_ms: int | None = None) -> int:
        """A fresh snowflake, later than all others unless `when_ms` says when."""
        moment = int(time.time() * 1000) if when_ms is None else when_ms
        fresh = (moment - EPOCH_MS) << 22
        if when_ms is None:
            fresh = self._last_id = max(fresh, self._last_id + 1)
        return fresh

    def add_person(self, person_id: int, name: str, is_bot: bool = False) -> Person:
        """Somebody joins."""
        self.people[person_id] = Person(person_id, name, is_bot)
        return self.people[person_id]

    def add_server(self, name: str) -> int:
        """One more server, which the bot is on; its id."""
        guild = Guild(self.new_id(), name)
        self.guilds.append(guild)
        return guild.id

    def add_place(
        self,
        name: str,
        kind: int = TEXT,
        parent_id: int | None = None,
        server_id: int | None = None,
    ) -> Place:
        """A new channel of a server (None: the first), or a thread of a channel."""
        place = Place(self.new_id(), name, kind, parent_id)
        if parent_id:
            place.guild = self.places[parent_id].guild
        elif server_id:
            place.guild = next(guild for guild in self.guilds if guild.id == server_id)
        self.places[place.id] = place
        return place

    def direct(self, person_id: int) -> Place:
        """The channel in which the bot and one person write to each other."""
        for place in self.places.values():
            if place.recipient_id == person_id:
                return place
        place = self.add_place("", DIRECT)
        place.recipient_id = person_id
        return place

    def guild_of(self, place_id: int) -> Guild | None:
        """The server that a place is in; a direct one is in none."""
        place = self.places[place_id]
        return None if place.is_direct else place.guild or self.home

    def places_in(self, guild: Guild) -> list[Place]:
        """A server's channels and threads."""
        return [place for place in self.places.values() if self.guild_of(place.id) is guild]

    def commands_in(self, place_id: int) -> list[dict[str, object]]:
        """The slash commands that there are in a place: the application's, and its server's."""
        guild = self.guild_of(place_id)
        scopes = {None, str(guild.id) if guild else None}
        return [command for command in self.commands if command.get("guild_id") in scopes]

    def is_seen(self, place_id: int) -> bool:
        """Whether the bot may see a place; a thread is hidden with its channel."""
        place = self.places.get(place_id)
        if place is None:
            return False
        parent, guild = self.places.get(place.parent_id or 0), self.guild_of(place_id)
        is_hidden = place.is_hidden or (parent is not None and parent.is_hidden)
        return not is_hidden and (guild is None or guild.has_bot)

    def add_post(
        self,
        place_id: int,
        author_id: int,
        content: str,
        *,
        reply_to: int | None = None,
        allowed_mentions: dict[str, object] | None = None,
        nonce: str | None = None,
    ) -> Post:
        """Somebody writes something now."""
        place = self.places[place_id]
        post = Post(self.new_id(), place_id, author_id, content, nonce=nonce)
        if reply_to is not None:
            post.type, post.reply_to = REPLY, reply_to
        self.set_mentions(post, allowed_mentions)
        if place.is_thread:
            place.is_archived = False
        place.posts.append(post)
        return post

    def set_mentions(self, post: Post, allowed: dict[str, object] | None) -> None:
        """Work out whom a post pings, as Discord does: without `allowed` everybody it names.

        There is no role but @everyone here; any role that is named counts, so that a bot which
        forgets to switch them off is noticed.
        """
        parse = allowed.get("parse", []) if allowed is not None else ["users", "roles", "everyone"]
        users = allowed.get("users", []) if allowed is not None else []
        assert isinstance(parse, list)
        assert isinstance(users, list)
        may_ping = {int(user) for user in users}
        named = [int(number) for number in _MENTION.findall(post.content)]
        pinged = [n for n in named if n in self.people and ("users" in parse or n in may_ping)]
        answered = self.find(post.place_id, post.reply_to) if post.reply_to else None
        replied = allowed.get("replied_user", False) if allowed is not None else True
        if answered and replied:
            pinged.append(answered.author_id)
        post.mentions = tuple(dict.fromkeys(pinged))
        roles = allowed.get("roles", []) if allowed is not None else []
        assert isinstance(roles, list)
        may_call = {int(role) for role in roles}
        called = [int(number) for number in _ROLE.findall(post.content)]
        post.role_mentions = tuple(n for n in called if "roles" in parse or n in may_call)
        loud = "@everyone" in post.content or "@here" in post.content
        post.pings_everyone = loud and "everyone" in parse

    def find(self, place_id: int, post_id: int | None) -> Post | None:
        """A post by its id."""
        posts = self.places[place_id].posts
        index = bisect.bisect_left(posts, post_id or 0, key=_id)
        return posts[index] if index < len(posts) and posts[index].id == post_id else None

    def page(
        self,
        place_id: int,
        *,
        before: int | None = None,
        after: int | None = None,
        around: int | None = None,
        limit: int = 50,
    ) -> list[Post]:
        """A page of history, newest first, as `GET messages` gives it.

        `after` gives the `limit` posts right after that id, `before` those right before it.
        """
        posts = self.places[place_id].posts
        if after is not None:
            start = bisect.bisect_right(posts, after, key=_id)
            return posts[start : start + limit][::-1]
        if around is not None:
            middle = bisect.bisect_left(posts, around, key=_id)
            start = max(0, middle - limit // 2)
            return posts[start : start + limit][::-1]
        end = len(posts) if before is None else bisect.bisect_left(posts, before, key=_id)
        return posts[max(0, end - limit) : end][::-1]

    def delete(self, place_id: int, post_ids: Iterable[int]) -> list[int]:
        """Remove posts; the ids of those that existed."""
        place, doomed = self.places[place_id], set(post_ids)
        gone = [post.id for post in place.posts if post.id in doomed]
        place.posts = [post for post in place.posts if post.id not in doomed]
        return gone


def populate(community: Community) -> World:
    """A world filled with a sample community's places, people and history."""
    world = World(community.name)
    for person in community.people:
        world.add_person(person.id, person.name, person.is_bot)
    for place in community.places:
        kind = KINDS[place.kind]
        world.places[place.id] = Place(
            place.id, place.name, kind, place.parent_id, place.is_archived
        )
    for target, lines in ((None, community.lines), (world.future, community.future)):
        for line in lines:
            post = Post(
                line.id,
                line.place_id,
                line.author_id,
                line.content,
                type=line.type,
                reply_to=line.reply_to,
                mentions=line.mentions,
                reactions={emoji: set(range(-count, 0)) for emoji, count in line.reactions},
                attachments=tuple(f"file{n + 1}.png" for n in range(line.attachments)),
            )
            (world.places[line.place_id].posts if target is None else target).append(post)
    return world


def _token(bot_id: int) -> str:
    """A token in the shape of Discord's, made at run time and worth nothing anywhere else."""
    head = base64.urlsafe_b64encode(str(bot_id).encode()).decode().rstrip("=")
    digest = hashlib.sha256(str(bot_id).encode()).hexdigest()
    return f"{head}.{digest[:6]}.{digest[6:44]}"


def _id(post: Post) -> int:
    return post.id
