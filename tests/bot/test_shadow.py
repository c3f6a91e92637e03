"""In shadow mode nothing leaves, and what would have is kept; on a real client in the sandbox."""

import asyncio
import dataclasses
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from bot import honesty
from model.inference import Sampling
from model.prompts import Prompt
from sandbox.server import Sandbox
from storage import database, messages, quiet, shadow
from storage.shadow import Decision
from tests.bot.room import room
from tests.bot.scripted import Scripted
from tests.bot.test_handlers import Talk, talking
from tests.bot.test_participation import HABITS, POLICY
from tests.bot.test_setting_commands import make_cog
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

EAGER = dataclasses.replace(POLICY, bias=1000.0)


def left(sandbox: Sandbox) -> list[str]:
    """All that a client sent: messages, typing and reactions."""
    return [what for what in sandbox.rest.requests if what.startswith(("POST", "PUT", "PATCH"))]


def newest(talk: Talk) -> Decision:
    return shadow.decisions(talk.database)[-1]


async def test_nothing_leaves_and_the_draft_is_kept(tmp_path: Path) -> None:
    async with talking(tmp_path, "lol\nno way", "sup") as talk:
        shadow.switch(talk.database, True)
        database.change_setting(talk.database, "response_rate", 0.0)
        assert await talk.say("guess what") == []
        assert await talk.say_to_all("not to you") == []
        assert left(talk.sandbox) == []
        asked, other = shadow.decisions(talk.database)
        assert (asked.reason, asked.probability) == ("mentioned", 1.0)
        assert (asked.texts, asked.model) == (("lol", "no way"), talk.engine.name)
        assert asked.is_addressed and not other.is_addressed
        assert (other.reason, other.probability, other.texts) == ("", 0.0, ())


async def test_what_was_never_said_is_shown_to_no_model(tmp_path: Path) -> None:
    async with talking(tmp_path, "first draft", "second draft", "sup") as talk:
        shadow.switch(talk.database, True)
        await talk.say("one")
        await talk.say("two")
        shadow.switch(talk.database, False)
        await talk.say("three")
        shown = [turn.text for prompt in talk.engine.prompts for turn in prompt.turns]
        assert shown and not [text for text in shown if "draft" in text]


async def test_what_it_would_have_said_counts_in_what_it_decides(tmp_path: Path) -> None:
    async with talking(tmp_path, "draft", "sup") as talk:
        shadow.switch(talk.database, True)
        await talk.say("hello")
        await asyncio.sleep(0.01)  # a draft is as old as its snowflake: milliseconds
        await talk.say_to_all("so?")
        going_on = newest(talk).probability
        assert going_on > 0.2  # as in any exchange
        shadow.switch(talk.database, False)
        said = talk._handler._said(messages.recent(talk.database, talk.place.id, 1)[0])
        assert {m.author_kind for m in said} == {"member"}


async def test_switched_off_it_speaks_from_the_next_message_on(tmp_path: Path) -> None:
    async with talking(tmp_path, "draft", "sup") as talk:
        shadow.switch(talk.database, True)
        assert await talk.say("hello") == []
        shadow.switch(talk.database, False)
        assert [post.content for post in await talk.say("hello?")] == ["sup"]
        assert [one.texts for one in shadow.decisions(talk.database)] == [("draft",)]
        assert "POST /channels/:id/typing" in left(talk.sandbox)


class Switching(Scripted):
    """Shadow mode is switched on or off while it writes."""

    def __init__(self, talk: Talk, is_on: bool) -> None:
        super().__init__(["sup"])
        self._database, self._is_on = talk.database, is_on

    async def reply(
        self, prompt: Prompt, sampling: Sampling, channel_id: int
    ) -> AsyncGenerator[str, None]:
        shadow.switch(self._database, self._is_on)
        await asyncio.sleep(0.1)  # long enough for its typing to be seen
        async for piece in super().reply(prompt, sampling, channel_id):
            yield piece


@pytest.mark.parametrize(("before", "after"), [(True, True), (True, False), (False, True)])
async def test_a_reply_in_the_making_is_not_sent_either_way(
    tmp_path: Path, before: bool, after: bool
) -> None:
    async with talking(tmp_path) as talk:
        talk._handler._writer._engine = Switching(talk, after)
        shadow.switch(talk.database, before)
        assert await talk.say("hello") == []
        assert newest(talk).texts == ("sup",)
        assert bool(left(talk.sandbox)) == (not before)  # it typed as long as it did not know


async def test_our_own_sentences_are_kept_with_their_reason(tmp_path: Path) -> None:
    async with talking(tmp_path) as talk:
        shadow.switch(talk.database, True)
        assert await talk.say("are you a bot?") == []
        assert newest(talk).reason == honesty.REASON and newest(talk).texts[0] in honesty.ANSWERS
        assert await talk.say("my grandma died yesterday") == []
        assert (newest(talk).reason, newest(talk).model) == ("grief", "")
        assert left(talk.sandbox) == []


async def test_a_reaction_is_kept_and_not_given(tmp_path: Path) -> None:
    habits = dataclasses.replace(HABITS, reactions={"says": 1.0}, emoji={"\U0001f44d": 1.0})
    async with talking(tmp_path, policy=dataclasses.replace(EAGER, habits=habits)) as talk:
        shadow.switch(talk.database, True)
        await talk.say_to_all("lol")
        assert left(talk.sandbox) == []
        assert (newest(talk).texts, newest(talk).model) == (("\U0001f44d",), "")
        assert newest(talk).reason == "chance" and not newest(talk).is_addressed


async def test_hushed_it_is_quiet_and_shows_nothing(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup") as talk:
        shadow.switch(talk.database, True)
        await talk.say("be quiet")
        assert quiet.places(talk.database, 0.0)
        await talk.say("hello?")
        assert newest(talk).texts == () and not talk.engine.prompts
        assert left(talk.sandbox) == []


async def test_a_question_taken_back_leaves_no_draft(tmp_path: Path) -> None:
    async with talking(tmp_path, "sup") as talk:
        shadow.switch(talk.database, True)
        await talk.say("hello")
        messages.mark_deleted(talk.database, [newest(talk).trigger_id])
        assert shadow.decisions(talk.database) == []


async def test_admins_switch_it_in_discord(tmp_path: Path) -> None:
    async with room(tmp_path, make_cog) as here:
        assert (await here.ask("!shadow on")).startswith("Listening only.")
        assert shadow.is_on(here.database)
        assert (await here.ask("!shadow")).startswith("Listening only. In shadow mode it heard 0")
        assert (await here.ask("!shadow OFF")).startswith("Speaking.")
        assert not shadow.is_on(here.database)
        for wrong in ("maybe", "on off", '"', "x" * 1900, "\u202eno", "@everyone"):
            assert await here.ask(f"!shadow {wrong}") == "shadow takes on, off or status.", wrong
        assert not shadow.is_on(here.database)
