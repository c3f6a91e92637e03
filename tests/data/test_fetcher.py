"""Fetching: complete, incremental, and polite about what it may not read."""

import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot import config
from bot.config import ROOT, UserError
from data import fetcher
from sandbox import community
from sandbox.faults import Fault
from sandbox.server import Sandbox
from sandbox.world import FORUM, populate
from storage import channels, database, messages
from tests.data.fetching import fetch, ids, posted, stored


@pytest.fixture
async def sandbox(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sandbox]:
    """A whole community behind a Discord that lets everything through at any pace."""
    monkeypatch.setattr(fetcher, "ALONE", 1000.0)
    world = populate(community.load("pyscript-discord"))
    async with Sandbox(world, has_rate_limits=False) as running:
        yield running


async def test_everything_is_fetched_as_it_was_written(tmp_path: Path, sandbox: Sandbox) -> None:
    report = await fetch(tmp_path, sandbox)
    with stored(tmp_path) as connection:
        by_id = {m.id: m for m in messages.history(connection)}
    assert set(by_id) == posted(sandbox.world)
    assert report.messages == len(by_id)
    for place in sandbox.world.places.values():
        for post in place.posts:
            message = by_id[post.id]
            assert (message.content, message.author_id) == (post.content, post.author_id)
            assert message.reactions == {e: len(who) for e, who in post.reactions.items()}
            assert len(message.attachments) == len(post.attachments)
            if post.type == messages.REPLY:
                assert message.reply_to == post.reply_to


async def test_threads_and_forum_posts_are_among_it(tmp_path: Path, sandbox: Sandbox) -> None:
    await fetch(tmp_path, sandbox)
    places = sandbox.world.places
    forums = {place.id for place in places.values() if place.kind == FORUM}
    with stored(tmp_path) as connection:
        found = {channel.id: channel for channel in channels.known(connection)}
    threads = [place for place in places.values() if place.is_thread]
    assert {place.is_archived for place in threads} == {True, False}
    assert {place.id for place in threads} <= set(found)
    assert any(channel.parent_id in forums for channel in found.values())


async def test_a_second_run_fetches_only_what_is_new(tmp_path: Path, sandbox: Sandbox) -> None:
    await fetch(tmp_path, sandbox)
    place = next(p for p in sandbox.world.places.values() if p.posts)
    fresh = await sandbox.say(place.id, sandbox.world.owner_id, "something new")
    report = await fetch(tmp_path, sandbox)
    assert report.messages == 1
    assert fresh.id in ids(tmp_path)


async def test_what_it_may_not_read_is_said_and_not_taken_for_empty(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    with_posts = [p for p in sandbox.world.places.values() if p.posts and not p.is_thread]
    hidden, silent = with_posts[:2]
    hidden.is_hidden, silent.may_read_history = True, False
    report = await fetch(tmp_path, sandbox)
    assert set(report.skipped) >= {hidden.name, silent.name}
    hidden.is_hidden, silent.may_read_history = False, True
    await fetch(tmp_path, sandbox)
    assert ids(tmp_path) == posted(sandbox.world)


async def test_chosen_channels_bring_their_threads_and_no_others(
    tmp_path: Path, sandbox: Sandbox
) -> None:
    places = sandbox.world.places
    parent = next(p.parent_id for p in places.values() if p.is_thread)
    await fetch(tmp_path, sandbox, CHANNELS=str(parent))
    expected = {p.id for p in places.values() if parent in (p.id, p.parent_id)}
    with stored(tmp_path) as connection:
        assert {m.channel_id for m in messages.history(connection)} <= expected
    assert ids(tmp_path)


async def test_a_server_error_loses_nothing(tmp_path: Path, sandbox: Sandbox) -> None:
    sandbox.faults.add(Fault("status", r"GET /channels/\d+/messages", times=1, status=503))
    report = await fetch(tmp_path, sandbox)
    assert len(report.failed) == 1
    assert not (await fetch(tmp_path, sandbox)).failed
    assert ids(tmp_path) == posted(sandbox.world)


async def test_an_excluded_person_is_not_fetched(tmp_path: Path, sandbox: Sandbox) -> None:
    writer = next(p.posts[0].author_id for p in sandbox.world.places.values() if p.posts)
    with stored(tmp_path) as connection:
        database.exclude_user(connection, writer)
        await fetch(tmp_path, sandbox)
        assert all(m.author_id != writer for m in messages.history(connection))


async def test_no_gateway_login_is_spent(tmp_path: Path, sandbox: Sandbox) -> None:
    await fetch(tmp_path, sandbox)
    assert sandbox.gateway.identifies == 0


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"SERVER_ID": "123456789"}, "not a member"),
        ({"DISCORD_TOKEN": "MTIzNDU2Nzg5MDEyMzQ1Njc4.aaaaaa." + "b" * 38}, "refused the token"),
        ({"DISCORD_API_BASE": "http://127.0.0.1:9/api/v10"}, "cannot be reached"),
    ],
)
async def test_what_is_wrong_is_a_sentence(
    tmp_path: Path, sandbox: Sandbox, changes: dict[str, str], named: str
) -> None:
    with pytest.raises(UserError, match=named):
        await fetch(tmp_path, sandbox, **changes)


def test_without_permission_nothing_is_fetched(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text(
        "DISCORD_TOKEN=MTIzNDU2Nzg5MDEyMzQ1Njc4.aaaaaa." + "b" * 38 + "\n"
        f"SERVER_ID=123456\nADMIN_USERS=123456\nDATA_DIR={tmp_path}\n"
    )
    script = ROOT / "scripts" / "1_fetch_all_history.py"
    done = subprocess.run(
        [sys.executable, str(script), "--env", str(env)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    assert done.returncode == config.NEEDS_A_PERSON
    assert "--i-have-permission" in done.stderr
    assert "Traceback" not in done.stderr
