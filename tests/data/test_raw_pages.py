"""Raw pages: what Discord sent, without what must not be kept."""

import stat
import sys
from pathlib import Path

import pytest

from sandbox.payloads import Json
from storage import database, messages, people
from storage.people import Other
from tests.data.fetching import (
    KIM,
    SAM,
    fetch,
    on_disk,
    page_files,
    place_of,
    posted,
    raw_messages,
    refetch,
    server,
    spoil,
    stored,
)
from tests.data.fetching import at_any_pace as at_any_pace  # a fixture: it runs by itself

SECRET = "something that must not be kept"


async def test_raw_pages_hold_what_discord_sent(tmp_path: Path) -> None:
    async with server(250, 3) as sandbox:
        world = sandbox.world
        first = place_of(sandbox)
        first.posts[5].reactions = {"🦊": {KIM}}
        await fetch(tmp_path, sandbox)
    assert sorted(int(raw["id"]) for raw in raw_messages(tmp_path)) == sorted(posted(world))
    by_id = {int(raw["id"]): raw for raw in raw_messages(tmp_path)}
    assert by_id[first.posts[5].id]["reactions"][0]["count"] == 1
    begins = (0, first.posts[99].id, first.posts[199].id)
    names = {f"{first.id}/{begin}.json.gz" for begin in begins}
    assert set(page_files(tmp_path)) == names | {f"{place_of(sandbox, 1).id}/0.json.gz"}


@pytest.mark.skipif(sys.platform == "win32", reason="modes are otherwise there")
async def test_raw_pages_are_their_owners_alone(tmp_path: Path) -> None:
    async with server(3) as sandbox:
        await fetch(tmp_path, sandbox)
    root = tmp_path / "messages"
    for path in (root, *root.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o600 if path.is_file() else 0o700)


async def test_an_excluded_person_is_on_no_raw_page(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        place = place_of(sandbox)
        place.posts[3].mentions = (KIM, SAM)
        place.posts[5].type, place.posts[5].reply_to = messages.REPLY, place.posts[4].id
        spoil(sandbox, used_a_command)
        with stored(tmp_path) as connection:
            database.exclude_user(connection, KIM)
        await fetch(tmp_path, sandbox)
    kept = {int(raw["id"]): raw for raw in raw_messages(tmp_path)}
    assert set(kept) == {post.id for post in place.posts if post.author_id == SAM}
    assert [user["id"] for user in kept[place.posts[3].id]["mentions"]] == [str(SAM)]
    assert str(KIM).encode() not in on_disk(tmp_path)


def used_a_command(page: list[Json]) -> None:
    """As Discord tells of an answer to a slash command whose it was."""
    kim = {"id": str(KIM), "username": "kim"}
    for raw in page:
        raw["interaction_metadata"] = {"id": "5", "type": 2, "user": kim}
        raw["interaction"] = {"id": "5", "type": 2, "name": "ask", "user": kim}


async def test_who_is_excluded_during_a_fetch_is_on_no_raw_page(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        with stored(tmp_path) as connection:

            def exclude(_: list[Json]) -> None:
                database.exclude_user(connection, KIM)

            spoil(sandbox, exclude)
            await fetch(tmp_path, sandbox)
    assert raw_messages(tmp_path)
    assert str(KIM).encode() not in on_disk(tmp_path)


async def test_what_was_trimmed_stays_trimmed_on_raw_pages(tmp_path: Path) -> None:
    async with server(10) as sandbox:
        place = place_of(sandbox)
        quoting, answering = place.posts[4], place.posts[6]
        quoting.content = SECRET
        answering.type, answering.reply_to = messages.REPLY, quoting.id
        await fetch(tmp_path, sandbox)
        with stored(tmp_path) as connection:
            people.rewrite(connection, [Other(quoting.id, "trimmed", ())])
        await refetch(tmp_path, sandbox)
        assert SECRET.encode() not in on_disk(tmp_path)
        assert b'"content": "trimmed"' in on_disk(tmp_path)
        await sandbox.actions.edit(quoting, "written anew")
        await refetch(tmp_path, sandbox)
    assert b'"content": "written anew"' in on_disk(tmp_path)


async def test_what_is_deleted_live_leaves_the_raw_pages(tmp_path: Path) -> None:
    async with server(150) as sandbox:
        place = place_of(sandbox)
        deleted, answering = place.posts[4], place.posts[120]
        deleted.content = SECRET
        answering.type, answering.reply_to = messages.REPLY, deleted.id
        await fetch(tmp_path, sandbox)
        with stored(tmp_path) as connection:
            messages.mark_deleted(connection, [deleted.id])
        await fetch(tmp_path, sandbox)
    assert {int(raw["id"]) for raw in raw_messages(tmp_path)} == posted(sandbox.world) - {
        deleted.id
    }
    assert SECRET.encode() not in on_disk(tmp_path)


async def test_pages_that_a_refetch_covers_are_replaced(tmp_path: Path) -> None:
    """Also where an excluded person's messages end a page."""
    async with server(250) as sandbox:
        place = place_of(sandbox)
        await fetch(tmp_path, sandbox)
        place.posts = place.posts[40:]
        for post in place.posts[30:150]:
            post.author_id = KIM
        with stored(tmp_path) as connection:
            database.exclude_user(connection, KIM)
        await refetch(tmp_path, sandbox)
    by_others = [post.id for post in place.posts if post.author_id != KIM]
    assert [int(raw["id"]) for raw in raw_messages(tmp_path)] == by_others
