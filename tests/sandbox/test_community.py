"""The shipped communities: complete, ordered, and shaped like a Discord server."""

import itertools
import time
from collections import Counter

import pytest

from sandbox import community
from sandbox.community import Community, Place

KNOWN = ["gitter-casual", "pyscript-discord"]


@pytest.fixture(scope="module")
def pyscript() -> Community:
    return community.load("pyscript-discord")


def _named(loaded: Community, name: str) -> Place:
    return next(place for place in loaded.places if place.name == name)


def test_both_communities_are_known() -> None:
    assert community.names() == KNOWN


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'nowhere'.*gitter-casual, pyscript-discord\."):
        community.load("nowhere")


@pytest.mark.parametrize(("name", "count"), [("gitter-casual", 9536), ("pyscript-discord", 6070)])
def test_every_message_is_there_once_and_in_order(name: str, count: int) -> None:
    ids = [line.id for line in community.load(name).lines]
    assert len(ids) == count
    assert all(earlier < later for earlier, later in itertools.pairwise(ids))


@pytest.mark.parametrize("name", KNOWN)
def test_lines_have_known_authors_and_places(name: str) -> None:
    loaded = community.load(name)
    people, places = {p.id for p in loaded.people}, {p.id: p for p in loaded.places}
    assert len(places) == len(loaded.places)
    assert {line.author_id for line in loaded.lines} == people
    assert all(places[line.place_id].kind in ("text", "thread") for line in loaded.lines)


@pytest.mark.parametrize("name", KNOWN)
def test_places_are_older_than_what_was_said_there(name: str) -> None:
    loaded = community.load(name)
    for line in loaded.lines:
        assert line.place_id <= line.id
    parents = {place.id for place in loaded.places if place.parent_id is None}
    assert all(p.parent_id in parents and p.parent_id < p.id for p in loaded.places if p.parent_id)


def test_gitter_ids_tell_the_time() -> None:
    first = community.load("gitter-casual").lines[0]
    assert (first.id >> 22) + community.DISCORD_EPOCH_MS == 1_444_030_771_424  # 2015-10-05T07:39:31


def test_gitter_loads_within_a_second() -> None:
    start = time.process_time()
    community.load("gitter-casual")
    assert time.process_time() - start < 1


def test_replies_stay_in_their_place(pyscript: Community) -> None:
    place_of = {line.id: line.place_id for line in pyscript.lines}
    replies = [line for line in pyscript.lines if line.reply_to]
    assert len(replies) == 1323
    assert all(place_of[line.reply_to] == line.place_id for line in replies if line.reply_to)


def test_forum_posts_are_threads_named_by_their_first_message(pyscript: Community) -> None:
    forum = _named(pyscript, "i-made-this")
    posts = [place for place in pyscript.places if place.parent_id == forum.id]
    first = {}
    for line in reversed(pyscript.lines):
        first[line.place_id] = line.id
    assert forum.kind == "forum" and forum.id not in first
    assert sum(not post.is_archived for post in posts) == 3
    assert all(first[post.id] == post.id and 0 < len(post.name) <= 61 for post in posts)


def test_small_channels_become_threads(pyscript: Community) -> None:
    help_id, core_id = _named(pyscript, "python-help").id, _named(pyscript, "pyscript-core").id
    shapes = {
        name: (place.kind, place.parent_id, place.is_archived)
        for name in ("tutorial", "queries-you-faced", "tech-cross-chat")
        if (place := _named(pyscript, name))
    }
    assert shapes == {
        "tutorial": ("thread", help_id, True),
        "queries-you-faced": ("thread", help_id, True),
        "tech-cross-chat": ("thread", core_id, False),
    }


def test_the_voice_channel_is_silent(pyscript: Community) -> None:
    voice = _named(pyscript, "hangout")
    assert voice.kind == "voice"
    assert all(line.place_id != voice.id for line in pyscript.lines)


def test_types_keep_discords_numbers(pyscript: Community) -> None:
    counts = Counter(line.type for line in pyscript.lines)
    assert counts == {0: 4652, 19: 1337, 18: 77, 20: 4}


@pytest.mark.parametrize("name", KNOWN)
def test_the_future_is_newer_than_all_history_of_its_place(name: str) -> None:
    loaded, held = community.load(name), community.load(name, hold_out=200)
    place = held.places[0]
    bots = {person.id for person in held.people if person.is_bot}
    assert place.kind == "text" and len(held.future) == 200
    assert all(x.place_id == place.id and x.author_id not in bots for x in held.future)
    assert all(line.type in (community.DEFAULT, community.REPLY) for line in held.future)
    newest = max(line.id for line in held.lines if line.place_id == place.id)
    assert newest < held.future[0].id
    assert set(held.future) | set(held.lines) <= set(loaded.lines)
    others = [line for line in loaded.lines if line.place_id != place.id]
    assert others == [line for line in held.lines if line.place_id != place.id]


def test_the_future_of_another_channel_can_be_held_out(pyscript: Community) -> None:
    held = community.load("pyscript-discord", hold_out=5, channel="python-help")
    help_id = _named(pyscript, "python-help").id
    assert {line.place_id for line in held.future} == {help_id}
    with pytest.raises(ValueError, match=r"'nowhere'.*python-help"):
        community.load("pyscript-discord", hold_out=5, channel="nowhere")


def test_holding_out_more_than_there_is_empties_the_place() -> None:
    held = community.load("gitter-casual", hold_out=1_000_000)
    assert held.lines == ()
    assert len(held.future) > 8000
