"""`!why` and `!bad` on a real client in the sandbox; only the model's words are scripted."""

import contextlib
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.commands import sync
from bot.reply_commands import ReplyCommands
from model.inference import Engine
from sandbox.faults import Fault
from sandbox.world import Post
from storage import database, explanations, judgements, messages
from storage.database import Model
from storage.embeddings import Vector
from storage.messages import Message
from tests.bot import hurry
from tests.bot.room import Room
from tests.bot.room import room as open_room
from tests.bot.scripted import Scripted
from tests.sandbox.conftest import ALICE
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

WORDS = "the heron stands in the cold river"


def link(here: Room, post: Post) -> str:
    guild = here.sandbox.world.guild_id
    return f"https://discord.com/channels/{guild}/{post.place_id}/{post.id}"


@contextlib.asynccontextmanager
async def room(folder: Path) -> AsyncIterator[tuple[Room, Post, list[Post]]]:
    """A room in which Alice asked, and the bot has answered her in two messages."""
    engine = Scripted([f"{WORDS}\nindeed"])
    async with open_room(folder, lambda _, servers: ReplyCommands(servers), engine) as here:
        handler = hurry.handler(
            here.database, engine, here.server.recall, here.sandbox.world.bot_id
        )

        @here.bot.listen("on_raw_message_delete")
        async def forget(event: object) -> None:
            messages.mark_deleted(here.database, [event.message_id])  # type: ignore[attr-defined]

        asked = await here.say(f"<@{here.sandbox.world.bot_id}> hello", ALICE)
        await here.bot.sees(lambda: bool(here.bot.of("message")))
        await handler.handle(here.bot.of("message")[0])
        yield here, asked, here.place.posts[-2:]


async def test_why_tells_what_led_to_a_reply(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, _, replied):
        model = Model("own", tmp_path / "scripted.gguf", "base-3b", "abcdef0123456789", {}, 1.0)
        database.add_model(here.database, model)
        (tmp_path / "manifest.json").write_text("{}")
        ways: list[Awaitable[str]] = [
            here.ask(f"!why {link(here, replied[0])}"),
            here.ask(f"!why <{link(here, replied[0])}>"),
            here.ask(f"!why {replied[0].id}"),
            here.ask(f"!why {here.place.id}-{replied[0].id}"),
            here.ask("!why", reply_to=replied[0].id),
            here.ask(f"!why {replied[1].id}"),  # a later part of it
        ]
        told = [await way for way in ways]
        assert set(told) == {told[0]}
        assert "Reason: mentioned, with a probability of 100.0%." in told[0]
        assert "It was shown 1 messages and 0 recalled ones." in told[0]
        assert "temperature 0.75" in told[0] and "seed" not in told[0]
        assert "Said with scripted in " in told[0]
        assert "Model own on base-3b, data abcdef012345, manifest 44136fa355b3." in told[0]
        assert "heron" not in told[0]


async def test_what_is_no_reply_is_said_to_be_none(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, asked, replied):
        for text in (str(asked.id), str(10**18), "9" * 20, link(here, asked)):
            assert (await here.ask(f"!why {text}")).startswith("Nothing is known"), text
        other = f"https://discord.com/channels/{10**17}/{here.place.id}/{replied[0].id}"
        assert await here.ask(f"!why {other}") == "That message is not of this server."


@pytest.mark.parametrize(
    "text",
    [
        *("", " x", " 12", f" {'7' * 1900}", " ../../etc/passwd", " <|im_start|>system", " -1"),
        *(" \u202e", " a\u0337\u0338\u0336b", " https://example.org/channels/1/2/3", " \u0661" * 9),
    ],
)
async def test_what_names_no_message_is_answered_by_what_does(tmp_path: Path, text: str) -> None:
    async with room(tmp_path) as (here, *_):
        for command in ("why", "bad"):
            assert (await here.ask(f"!{command}{text}")).startswith(f"{command} takes a message")
        assert len(here.said) == 4


async def test_a_bad_reply_is_deleted_and_kept_as_a_lesson(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, asked, replied):
        said = await here.ask("!bad", reply_to=replied[1].id)
        assert said == "Deleted, and kept as an example of what not to say."
        await here.bot.until("raw_message_delete", 2)
        assert not any(post in here.place.posts for post in replied)
        (lesson,) = judgements.rejected_replies(here.database)
        assert (lesson.reply, lesson.trigger_id) == (f"{WORDS}\nindeed", asked.id)
        stored = messages.by_ids(here.database, [post.id for post in replied])
        assert stored == []  # nobody is shown it any more
        assert "It was deleted since" in await here.ask(f"!why {replied[0].id}")
        again = await here.ask(f"!bad {replied[0].id}")
        assert again == "It was deleted before; it counts as bad now."
        assert len(judgements.rejected_replies(here.database)) == 1


async def test_other_peoples_messages_are_left_alone(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, asked, _):
        assert "not the bot's message" in await here.ask("!bad", reply_to=asked.id)
        assert asked in here.place.posts
        gone = await here.say("gone", ALICE)
        await here.sandbox.actions.delete(here.place.id, [gone.id])
        assert "no such message" in await here.ask(f"!bad {link(here, gone)}")
        assert not judgements.rejected_replies(here.database)


async def test_an_answer_to_a_command_is_deleted_without_a_lesson(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, *_):
        await here.ask("!why 1")
        answer = here.place.posts[-1]
        assert "nothing to learn" in await here.ask(f"!bad {answer.id}")
        assert answer not in here.place.posts


async def test_the_plain_truth_is_never_a_bad_example(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, asked, replied):
        why = explanations.Why("asked whether it is a bot", 1.0, 0, 0, {})
        explanations.record(here.database, replied[0].id, why)
        assert "nothing to learn" in await here.ask(f"!bad {replied[0].id}")
        assert replied[0] not in here.place.posts and asked in here.place.posts
        assert not judgements.rejected_replies(here.database)


async def test_a_reply_that_may_not_be_deleted_stays_and_counts_as_bad(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, _, replied):
        here.sandbox.faults.add(Fault("status", "DELETE .*/messages/", status=403, times=9))
        said = await here.ask(f"!bad {replied[0].id}")
        assert "HTTP 403" in said and "permissions" in said
        assert messages.by_ids(here.database, [replied[0].id])
        assert [one.reply for one in judgements.rejected_replies(here.database)] == [
            f"{WORDS}\nindeed"
        ]


async def test_the_slash_commands_do_the_same_for_admins_alone(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, _, replied):
        await sync(here.bot, here.servers)
        message = link(here, replied[0])
        for name in ("why", "bad"):
            refused = await here.use(name, ALICE, message=message)
            assert refused.answers[0].content == "This command is for the bot's admins."
        told = await here.use("why", message=message)
        assert "Reason: mentioned" in told.answers[0].content and told.answers[0].is_private
        assert (await here.use("why")).answers[0].content.startswith("why takes a message")
        done = await here.use("bad", message=message)
        assert done.answers[0].content.startswith("Deleted")


async def test_what_it_may_have_it_from_is_linked(tmp_path: Path) -> None:
    async with room(tmp_path) as (here, _, replied):
        old, refused = (
            Message(10**18, 7, 5, "kim", "a heron"),
            Message(10**18 + 1, 7, 6, "sam", "x"),
        )
        messages.save(here.database, [old, refused])
        database.exclude_user(here.database, 6)
        recall: Any = here.server.recall
        recall._engine.embed = same_vector
        recall._engine.embedder = {"name": "placed", "sha256": "0" * 64, "dimension": 64}
        await recall._run(recall._open_store)
        await recall._run(recall._add, [old.id, refused.id], await same_vector(["", ""]))
        told = await here.ask(f"!why {replied[0].id}")
        guild = here.sandbox.world.guild_id
        link = f"https://discord.com/channels/{guild}/7/{old.id}"
        assert told.splitlines()[-1] == f"Closest in meaning of what it knows: {link}"


async def same_vector(texts: list[str]) -> list[Vector]:
    return [np.eye(1, 64, dtype=np.float32)[0] for _ in texts]


def test_an_engine_is_known_by_its_file() -> None:
    assert Engine(Path("scripted.gguf")).name == "scripted"
