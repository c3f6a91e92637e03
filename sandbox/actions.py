"""Everything that can happen in the world: change it, then tell the bot and the chat page."""

import asyncio
import time
from collections.abc import Iterable, Sequence
from typing import Any

from sandbox import guilds, interactions, payloads
from sandbox.gateway import Gateway
from sandbox.interactions import Interaction
from sandbox.payloads import Json
from sandbox.world import DEFAULT, FORUM, PUBLIC_THREAD, SLASH_COMMAND, TEXT, Place, Post, World


class Actions:
    """The one place that changes the world while clients are connected."""

    def __init__(self, world: World, gateway: Gateway) -> None:
        self.world, self._gateway = world, gateway
        self.listeners: set[asyncio.Queue[Json]] = set()
        self.interactions: dict[str, Interaction] = {}
        self.pings: list[int] = []

    async def say(self, place_id: int, author_id: int, content: str, **how: Any) -> Post:
        """Somebody writes something; `how` as in `World.add_post`."""
        post = self.world.add_post(place_id, author_id, content, **how)
        await self._publish(post)
        return post

    async def edit(self, post: Post, content: str, allowed: Json | None = None) -> None:
        """Somebody changes what they wrote."""
        post.content, post.edited_ms = content, int(time.time() * 1000)
        self.world.set_mentions(post, allowed)
        if post.author_id == self.world.bot_id:
            self._count_ping(post)
        if post.is_private:
            return
        await self._dispatch("MESSAGE_UPDATE", payloads.message_event(self.world, post))
        self._tell(type="edit", post=post)

    async def delete(self, place_id: int, post_ids: Iterable[int]) -> None:
        """Posts are removed; several at once are one event, as on Discord."""
        gone = self.world.delete(place_id, post_ids)
        where = {"channel_id": str(place_id), **payloads.in_guild(self.world, place_id)}
        if len(gone) == 1:
            await self._dispatch("MESSAGE_DELETE", {**where, "id": str(gone[0])})
        elif gone:
            ids = [str(number) for number in gone]
            await self._dispatch("MESSAGE_DELETE_BULK", {**where, "ids": ids})
        for number in gone:
            self._tell(type="delete", channel_id=str(place_id), id=str(number))

    async def react(self, post: Post, person_id: int, emoji: str, is_added: bool = True) -> None:
        """Somebody adds or takes back a reaction; twice is once."""
        who = post.reactions.get(emoji, set())
        if (person_id in who) == is_added:
            return
        post.reactions[emoji] = who
        (who.add if is_added else who.discard)(person_id)
        if not who:
            del post.reactions[emoji]
        event: Json = {
            "user_id": str(person_id),
            "channel_id": str(post.place_id),
            "message_id": str(post.id),
            **payloads.in_guild(self.world, post.place_id),
            "emoji": payloads.emoji(emoji),
            "burst": False,
            "type": 0,
        }
        if is_added:
            event |= self._member(post.place_id, person_id)
            event["message_author_id"] = str(post.author_id)
        name = "MESSAGE_REACTION_ADD" if is_added else "MESSAGE_REACTION_REMOVE"
        await self._dispatch(name, event)
        self._tell(type="reaction", post=post)

    async def type(self, place_id: int, person_id: int) -> None:
        """Somebody types."""
        event = {
            "channel_id": str(place_id),
            "user_id": str(person_id),
            "timestamp": int(time.time()),
            **payloads.in_guild(self.world, place_id),
            **self._member(place_id, person_id),
        }
        await self._dispatch("TYPING_START", event)
        self._tell(type="typing", channel_id=str(place_id), author_id=str(person_id))

    async def open_thread(self, parent_id: int, name: str) -> Place:
        """A thread is made."""
        place = self.world.add_place(name, PUBLIC_THREAD, parent_id)
        event = {**guilds.channel(self.world, place), "newly_created": True}
        if self.world.is_seen(place.id):
            await self._gateway.dispatch("THREAD_CREATE", event)
        self._tell(type="channels")
        return place

    async def remove_place(self, place_id: int) -> None:
        """A channel is deleted with everything in it."""
        where = payloads.in_guild(self.world, place_id)
        place = self.world.places.pop(place_id)
        threads = [p.id for p in self.world.places.values() if p.parent_id == place_id]
        for thread_id in threads if place.kind in (TEXT, FORUM) else []:
            del self.world.places[thread_id]
        body = {"id": str(place.id), "type": place.kind, **where}
        body |= {"name": place.name, "position": 0, "permission_overwrites": []}
        await self._gateway.dispatch("CHANNEL_DELETE", body)
        self._tell(type="channels")

    async def invoke(
        self, place_id: int, person_id: int, command: Json, options: Json
    ) -> Interaction:
        """Somebody uses a slash command; the bot's answers arrive in the interaction.

        The name of a subcommand stands among the options with a dictionary of its own ones.
        """
        used = interactions.used(self.world, command, options, place_id)
        return await self._interact(place_id, person_id, interactions.COMMAND, used)

    async def complete(
        self, place_id: int, person_id: int, command: Json, options: Json, focused: str
    ) -> Interaction:
        """Somebody types a slash command's option, and waits for suggestions: its `choices`."""
        typing = interactions.used(self.world, command, options, place_id, focused)
        return await self._interact(place_id, person_id, interactions.COMPLETION, typing)

    async def press(self, post: Post, person_id: int, custom_id: str) -> Interaction:
        """Somebody presses a button below a post; the bot's answers arrive in the interaction."""
        data = {"custom_id": custom_id, "component_type": 2}
        return await self._interact(post.place_id, person_id, interactions.BUTTON, data, post)

    async def _interact(
        self, place_id: int, person_id: int, kind: int, data: Json, below: Post | None = None
    ) -> Interaction:
        interaction = Interaction(self.world, place_id, person_id, kind, data, below)
        self.interactions[interaction.token] = interaction
        await self._gateway.dispatch("INTERACTION_CREATE", interaction.event())
        return interaction

    async def answer(
        self,
        interaction: Interaction,
        content: str,
        allowed: Json | None,
        is_private: bool,
        components: Sequence[Json] = (),
    ) -> Post:
        """The bot answers a slash command: everybody in the channel, or the asker alone."""
        world = self.world
        post = Post(world.new_id(), interaction.place_id, world.bot_id, content)
        post.application_id, post.is_private = world.bot_id, is_private
        post.components = tuple(components)
        post.type = DEFAULT if interaction.answers else SLASH_COMMAND
        world.set_mentions(post, allowed)
        interaction.answers.append(post)
        interaction.is_acknowledged, interaction.is_promised = True, False
        interaction.answered.set()
        if not is_private:
            world.places[post.place_id].posts.append(post)
            await self._publish(post)
        return post

    async def _publish(self, post: Post) -> None:
        if post.author_id == self.world.bot_id:
            self._count_ping(post)
        await self._dispatch("MESSAGE_CREATE", payloads.message_event(self.world, post))
        self._tell(type="message", post=post)

    def _member(self, place_id: int, person_id: int) -> Json:
        person, is_direct = self.world.people[person_id], self.world.places[place_id].is_direct
        return {} if is_direct else {"member": payloads.member(person)}

    async def _dispatch(self, name: str, data: Json) -> None:
        """Tell the bot what happened in a place, if it may see that."""
        if self.world.is_seen(int(data["channel_id"])):
            await self._gateway.dispatch(name, data)

    def _count_ping(self, post: Post) -> None:
        if post.is_loud:
            self.pings.append(post.id)

    def _tell(self, *, post: Post | None = None, **event: Any) -> None:
        if post is not None:
            event["post"] = post
        for queue in self.listeners:
            queue.put_nowait(event)
