"""What a fetch makes of a Discord that changes, lies, or sends what nobody can read."""

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import discord
import pytest

from bot.config import UserError
from sandbox import routes
from sandbox.faults import Fault
from sandbox.payloads import Json
from sandbox.rest import ApiError, Call, Handler
from sandbox.server import Sandbox
from sandbox.world import PUBLIC_THREAD, Place, Post
from storage import channels, messages
from tests.data.fetching import (
    KIM,
    MESSAGES,
    SAM,
    answer,
    fetch,
    ids,
    on_disk,
    page_files,
    place_of,
    posted,
    raw_messages,
    refetch,
    server,
    spoil,
    stored,
    write,
)
from tests.data.fetching import at_any_pace as at_any_pace  # a fixture: it runs by itself


async def test_a_refetch_sees_edits_reactions_and_deletions(tmp_path: Path) -> None:
    async with server(250) as sandbox:
        place = place_of(sandbox)
        await fetch(tmp_path, sandbox)
        edited, reacted, deleted = place.posts[3], place.posts[120], place.posts[7]
        await sandbox.actions.edit(edited, "said better")
        await sandbox.actions.react(reacted, SAM, "🦊")
        await sandbox.actions.delete(place.id, [deleted.id])
        assert (await fetch(tmp_path, sandbox)).deleted == 0
        report = await refetch(tmp_path, sandbox)
    assert (report.messages, report.deleted) == (249, 1)
    with stored(tmp_path) as connection:
        found = {m.id: m for m in messages.history(connection)}
        assert messages.count(connection) == 250
        assert [row[1] for row in messages.deleted_since(connection, 0)] == [deleted.id]
    assert found[edited.id].content == "said better"
    assert found[reacted.id].reactions == {"🦊": 1}
    assert set(found) == posted(sandbox.world)


@pytest.mark.parametrize("left", [1, 99, 100, 200, 249])
async def test_deletions_at_a_channels_end_are_seen(tmp_path: Path, left: int) -> None:
    async with server(250) as sandbox:
        place = place_of(sandbox)
        await fetch(tmp_path, sandbox)
        await sandbox.actions.delete(place.id, [post.id for post in place.posts[left:]])
        report = await refetch(tmp_path, sandbox)
    assert report.deleted == 250 - left
    assert ids(tmp_path) == posted(sandbox.world)
    assert {int(raw["id"]) for raw in raw_messages(tmp_path)} == posted(sandbox.world)


async def test_what_the_bot_heard_meanwhile_is_not_taken_for_deleted(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        await fetch(tmp_path, sandbox)
        with stored(tmp_path) as connection:
            place = place_of(sandbox)
            heard = messages.Message(sandbox.world.new_id(), place.id, SAM, "sam", "just now")
            messages.save(connection, [heard])
        assert (await refetch(tmp_path, sandbox)).deleted == 0
    assert heard.id in ids(tmp_path)


async def test_a_channel_that_is_suddenly_empty_keeps_its_messages(tmp_path: Path) -> None:
    async with server(10, 3) as sandbox:
        before = posted(sandbox.world)
        await fetch(tmp_path, sandbox)
        raw = page_files(tmp_path)
        place_of(sandbox).posts = []
        report = await refetch(tmp_path, sandbox)
    assert report.emptied == [place_of(sandbox).name]
    assert any(place_of(sandbox).name in line for line in report.sentences())
    assert report.deleted == 0
    assert ids(tmp_path) == before
    assert page_files(tmp_path) == raw


async def test_a_channel_that_closes_half_way_keeps_its_messages(tmp_path: Path) -> None:
    """Discord answers with empty pages once the history may not be read any more."""
    async with server(250) as sandbox:
        place = place_of(sandbox)
        await fetch(tmp_path, sandbox)
        raw = page_files(tmp_path)

        async def get_messages(call: Call) -> list[Json]:
            page = await routes.get_messages(call)
            place.may_read_history = False
            return page

        answer(sandbox, MESSAGES, get_messages)
        report = await refetch(tmp_path, sandbox)
    assert (report.emptied, report.deleted) == ([place.name], 0)
    assert ids(tmp_path) == posted(sandbox.world)
    assert page_files(tmp_path) == raw


async def test_deletions_of_what_only_the_bot_heard_are_seen(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        place = place_of(sandbox)
        await fetch(tmp_path, sandbox)
        heard = messages.Message(place.posts[-1].id + 1, place.id, SAM, "sam", "heard, then gone")
        with stored(tmp_path) as connection:
            messages.save(connection, [heard])
        assert (await fetch(tmp_path, sandbox)).deleted == 1
    assert ids(tmp_path) == posted(sandbox.world)


async def test_a_page_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    refuse = "BEGIN SELECT RAISE(ABORT, 'full'); END"
    for event in ("INSERT ON messages", "UPDATE OF fetched_through ON channels"):
        async with server(10) as sandbox:
            with stored(tmp_path) as connection:
                connection.execute(f"CREATE TRIGGER refusal BEFORE {event} {refuse}")
                with pytest.raises(sqlite3.Error):
                    await fetch(tmp_path, sandbox)
                assert messages.count(connection) == 0
                assert {c.fetched_through for c in channels.known(connection)} == {0}
                connection.execute("DROP TRIGGER refusal")


# What is not as it should be


GONE = object()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("author", GONE),
        ("author", "kim"),
        ("author", {"id": "kim", "username": "kim"}),
        ("author", {"id": str(10**30), "username": "kim"}),
        ("content", GONE),
        ("type", None),
        ("type", 10**30),
        ("mentions", [{"name": "kim"}]),
        ("mentions", "kim"),
        ("attachments", [None]),
        ("reactions", [{"emoji": "x", "count": 1}]),
        ("edited_timestamp", "yesterday"),
        ("message_reference", "that one"),
        ("id", GONE),
        ("id", "twelve"),
        ("id", "²"),
        ("id", "1" * 5000),
    ],
)
async def test_a_malformed_message_is_left_out_and_counted(
    tmp_path: Path, field: str, value: object
) -> None:
    """It neither ends its channel nor makes others pass for deleted."""
    async with server(150) as sandbox:
        broken = place_of(sandbox).posts[30].id

        def change(page: list[Json]) -> list[Json]:
            return [damaged(raw, field, value) if raw["id"] == str(broken) else raw for raw in page]

        spoil(sandbox, change)
        report = await fetch(tmp_path, sandbox)
        assert (report.malformed, report.messages, report.deleted) == (1, 149, 0)
        assert (await refetch(tmp_path, sandbox)).deleted == 0
    assert ids(tmp_path) == posted(sandbox.world) - {broken}
    assert any("left out" in line for line in report.sentences())
    assert len(raw_messages(tmp_path)) == 149


def damaged(raw: Json, field: str, value: object) -> Json:
    return {name: of for name, of in {**raw, field: value}.items() if of is not GONE}


async def test_a_known_message_that_comes_malformed_is_not_taken_for_deleted(
    tmp_path: Path,
) -> None:
    async with server(10) as sandbox:
        await fetch(tmp_path, sandbox)
        spoil(sandbox, lambda page: [damaged(page[0], "author", GONE), *page[1:]])
        report = await refetch(tmp_path, sandbox)
    assert (report.malformed, report.deleted) == (1, 0)
    assert ids(tmp_path) == posted(sandbox.world)


@pytest.mark.parametrize("item", [None, 5, "text", []])
async def test_what_is_no_message_at_all_is_counted_too(tmp_path: Path, item: object) -> None:
    async with server(10) as sandbox:
        spoil(sandbox, lambda page: [item, *page])
        report = await fetch(tmp_path, sandbox)
    assert report.malformed == 1
    assert ids(tmp_path) == posted(sandbox.world)


@pytest.mark.parametrize("body", [{"message": "no list"}, "text", 5, None])
async def test_an_answer_that_is_no_page_fails_its_channel_alone(
    tmp_path: Path, body: object
) -> None:
    async with server(10, 3) as sandbox:
        broken = place_of(sandbox)

        async def get_messages(call: Call) -> Any:
            return body if call.id("channel") == broken.id else await routes.get_messages(call)

        answer(sandbox, MESSAGES, get_messages)
        report = await fetch(tmp_path, sandbox)
    assert report.failed == [broken.name]
    assert ids(tmp_path) == {post.id for post in place_of(sandbox, 1).posts}


async def test_text_that_is_no_json_fails_its_channel_alone(tmp_path: Path) -> None:
    async with server(3) as sandbox:
        spoil(sandbox, lambda page: [float("inf")])  # Python writes it, and nobody else reads it
        report = await fetch(tmp_path, sandbox)
    assert report.failed == [place_of(sandbox).name]


@pytest.mark.parametrize("count", [1, 60, 250])
async def test_messages_from_the_future_are_left_out(tmp_path: Path, count: int) -> None:
    """And what is written after that is fetched all the same."""
    async with server(60) as sandbox:
        place = place_of(sandbox)
        real = posted(sandbox.world)
        in_a_year_ms = int(time.time() * 1000) + 365 * 86_400_000
        future = [
            Post(sandbox.world.new_id(in_a_year_ms + n), place.id, KIM, "from tomorrow")
            for n in range(count)
        ]
        place.posts += future
        report = await fetch(tmp_path, sandbox)
        assert report.future > 0
        assert ids(tmp_path) == real
        assert b"from tomorrow" not in on_disk(tmp_path)
        place.posts = place.posts[:60]
        fresh = write(sandbox.world, place, 5)
        place.posts += future
        assert (await fetch(tmp_path, sandbox)).messages == 5
    assert ids(tmp_path) == real | {post.id for post in fresh}
    assert any("future" in line for line in report.sentences())


async def test_an_id_beyond_every_date_is_of_the_future(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        spoil(sandbox, lambda page: page[0].update(id=str(10**20 - 1)))
        report = await fetch(tmp_path, sandbox)
    assert report.future == 1
    assert len(ids(tmp_path)) == 9


async def test_a_page_without_any_content_asks_for_the_intent(tmp_path: Path) -> None:
    """Even where the application's flags say that it is there."""
    async with server(60) as sandbox:
        spoil(sandbox, lambda page: [{**raw, "content": ""} for raw in page])
        with pytest.raises(UserError, match="Message Content Intent"):
            await fetch(tmp_path, sandbox)
        assert not ids(tmp_path)


async def test_without_the_intent_nothing_is_asked_for(tmp_path: Path) -> None:
    async with server(60) as sandbox:
        sandbox.world.shows_content = False
        with pytest.raises(UserError, match="Message Content Intent"):
            await fetch(tmp_path, sandbox)
        assert not any("messages" in route for route in sandbox.rest.requests)


async def test_a_channel_of_joins_has_nothing_to_say(tmp_path: Path) -> None:
    """Notices such as "kim joined" never have a text."""
    async with server(60) as sandbox:
        for post in place_of(sandbox).posts:
            post.type, post.content = 7, ""
        assert (await fetch(tmp_path, sandbox)).messages == 60


async def test_forwards_have_no_text_of_their_own(tmp_path: Path) -> None:
    async with server(60) as sandbox:
        forwarded = {
            "content": "",
            "message_reference": {"type": 1, "message_id": "5", "channel_id": "6"},
            "message_snapshots": [{"message": {"content": "look"}}],
        }
        spoil(sandbox, lambda page: [{**raw, **forwarded} for raw in page])
        assert (await fetch(tmp_path, sandbox)).messages == 60


# Who asks, what there is, and how it goes


async def test_a_second_fetch_at_the_same_time_is_refused(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        held, go_on = asyncio.Event(), asyncio.Event()

        async def get_messages(call: Call) -> list[Json]:
            held.set()
            await go_on.wait()
            return await routes.get_messages(call)

        answer(sandbox, MESSAGES, get_messages)
        first = asyncio.create_task(fetch(tmp_path, sandbox))
        await held.wait()
        with pytest.raises(UserError, match="Another fetch is running"):
            await fetch(tmp_path, sandbox)
        go_on.set()
        assert (await first).messages == 10


async def test_a_refusal_is_counted_and_loses_nothing(tmp_path: Path) -> None:
    async with server(150) as sandbox:
        sandbox.faults.add(Fault("rate_limit", MESSAGES, seconds=0.01, times=2))
        report = await fetch(tmp_path, sandbox)
    assert (report.refused, report.messages) == (2, 150)
    assert any("429" in line for line in report.sentences())


@pytest.mark.parametrize("route", ["/users/@me", r"/guilds/\d+/channels", "archived/public"])
@pytest.mark.parametrize("fault", ["status", "banned", "drop"])
async def test_trouble_before_the_first_page_is_a_sentence(
    tmp_path: Path, route: str, fault: str
) -> None:
    async with server(10) as sandbox:
        sandbox.faults.add(Fault(fault, route, times=5, status=503))
        with pytest.raises(UserError, match="cannot be reached"):
            await fetch(tmp_path, sandbox)


async def test_five_hundred_channels_are_fetched(tmp_path: Path) -> None:
    async with server(*[2] * 500) as sandbox:
        report = await fetch(tmp_path, sandbox)
    assert (report.channels, report.messages) == (500, 1000)
    assert ids(tmp_path) == posted(sandbox.world)


async def test_an_empty_server_is_fetched_too(tmp_path: Path) -> None:
    async with server() as sandbox:
        report = await fetch(tmp_path, sandbox)
        assert report.channels == 0
        assert "View Channel" in report.sentences()[0]
    async with server(0) as sandbox:
        report = await fetch(tmp_path, sandbox)
    assert report.sentences() == ["Fetched 0 new messages from 1 channel."]
    assert not page_files(tmp_path)


@pytest.mark.parametrize(
    ("manages", "path"),
    [
        (True, r"/channels/(?P<channel>\d+)/threads/archived/private"),
        (False, r"/channels/(?P<channel>\d+)/users/@me/threads/archived/private"),
    ],
)
async def test_private_archived_threads_are_read_where_the_bot_may(
    tmp_path: Path, manages: bool, path: str
) -> None:
    async with server(3, 3) as sandbox:
        private = private_thread(sandbox, place_of(sandbox))
        answer(sandbox, r"/guilds/(?P<guild>\d+)", guild_where(manages))
        answer(
            sandbox, r"/channels/(?P<channel>\d+)/threads/archived/public", routes.get_no_threads
        )
        answer(sandbox, path, routes.get_archived)
        report = await fetch(tmp_path, sandbox)
        assert not report.skipped
        assert {post.id for post in private.posts} <= ids(tmp_path)
        answer(sandbox, path, refuse)
        report = await fetch(tmp_path, sandbox)
    assert (report.channels, report.skipped, report.failed) == (2, [], [])


def private_thread(sandbox: Sandbox, parent: Place) -> Place:
    thread = sandbox.world.add_place("private", PUBLIC_THREAD, parent.id)
    thread.is_archived = True
    write(sandbox.world, thread, 5)
    return thread


def guild_where(manages: bool) -> Handler:
    """The server, where members may manage threads or not."""

    async def get_guild(call: Call) -> Json:
        guild = await routes.get_guild(call)
        everyone = discord.Permissions(int(guild["roles"][0]["permissions"]))
        everyone.update(manage_threads=manages)
        guild["roles"][0]["permissions"] = str(everyone.value)
        return guild

    return get_guild


async def refuse(_: Call) -> None:
    raise ApiError(403, 50001, "Missing Access")
