"""The sample communities that ship with the sandbox: real, openly licensed chat history.

Each folder of `communities/` holds `messages.jsonl.gz` with its licence and notice beside it.
"""

import gzip
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

DISCORD_EPOCH_MS = 1_420_070_400_000
DEFAULT, THREAD_CREATED, REPLY, SLASH_COMMAND = 0, 18, 19, 20
TYPES = {
    "Default": DEFAULT,
    "ThreadCreated": THREAD_CREATED,
    "Reply": REPLY,
    "ChatInputCommand": SLASH_COMMAND,
}
POST_SILENCE_MS = 12 * 3600 * 1000
ACTIVE_POSTS = 3
NAME_LENGTH = 60

_FOLDER = Path(__file__).with_name("communities")
_FILE = "messages.jsonl.gz"
_MENTION_OR_MARKUP = re.compile(r"<[@#:][^>]*>|[*_`~|>]")


@dataclass(frozen=True)
class Person:
    """Somebody who wrote at least once."""

    id: int
    name: str
    is_bot: bool


@dataclass(frozen=True)
class Place:
    """Where people write; `kind` is "text", "voice", "forum" or "thread"."""

    id: int
    name: str
    kind: str
    parent_id: int | None = None
    is_archived: bool = False


@dataclass(frozen=True)
class Line:
    """One message. `type` is Discord's number; a reaction is an emoji and its count."""

    id: int
    place_id: int
    author_id: int
    content: str
    type: int = DEFAULT
    reply_to: int | None = None
    mentions: tuple[int, ...] = ()
    reactions: tuple[tuple[str, int], ...] = ()
    attachments: int = 0


@dataclass(frozen=True)
class Community:
    """A server's people, places and history, oldest first.

    The busiest places come first, threads right after their parent. `future` holds the
    lines that `load` was asked to hold out.
    """

    name: str
    people: tuple[Person, ...]
    places: tuple[Place, ...]
    lines: tuple[Line, ...]
    future: tuple[Line, ...] = ()


@dataclass(frozen=True)
class _Layout:
    """What the data leaves out: which channels were forums or threads, and what voice there was."""

    forums: tuple[str, ...] = ()
    threads: tuple[tuple[str, str, bool], ...] = ()  # name, parent's name, is archived
    voices: tuple[str, ...] = ()

    def parent_of(self, channel: str) -> str | None:
        return next((parent for name, parent, _ in self.threads if name == channel), None)


_LAYOUTS = {
    "pyscript-discord": _Layout(
        forums=("i-made-this",),
        threads=(
            ("tutorial", "python-help", True),
            ("queries-you-faced", "python-help", True),
            ("tech-cross-chat", "pyscript-core", False),
        ),
        voices=("hangout",),
    )
}


def names() -> list[str]:
    """The communities that can be loaded."""
    return sorted(path.parent.name for path in _FOLDER.glob(f"*/{_FILE}"))


def load(name: str, hold_out: int = 0, channel: str | None = None) -> Community:
    """Read a community, the newest `hold_out` human messages of one channel set apart.

    Without `channel`, a name, that is the biggest. Raises ValueError for a name that is not one
    of `names()`, or no text channel's.
    """
    if name not in names():
        raise ValueError(f"No community is called {name!r}. Choose one of: {', '.join(names())}.")
    records = _read(_FOLDER / name / _FILE)
    layout = _LAYOUTS.get(name, _Layout())
    places, lines = _arrange(records, layout)
    community = Community(name, _people(records), tuple(places), tuple(lines))
    return _held_out(community, hold_out, channel) if hold_out > 0 else community


def _read(path: Path) -> list[dict[str, Any]]:
    """The records of a file, oldest first, each with its snowflake in `id`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        records = [json.loads(text) for text in file]
    for number, record in enumerate(records):
        record["id"] = _snowflake(record, number)
    return sorted(records, key=lambda record: int(record["id"]))


def _snowflake(record: dict[str, Any], number: int) -> int:
    """Discord's own id, or one made of the time and the line's number for ids from elsewhere."""
    if record["id"].isdecimal() and len(record["id"]) < 24:
        return int(record["id"])
    sent_ms = round(datetime.fromisoformat(record["timestamp"]).timestamp() * 1000)
    return (sent_ms - DISCORD_EPOCH_MS) << 22 | number & 0x3FFFFF


def _people(records: Iterable[dict[str, Any]]) -> tuple[Person, ...]:
    people = {r["author_id"]: (r["author_name"], r["bot"]) for r in records}
    return tuple(Person(int(i), name, is_bot) for i, (name, is_bot) in sorted(people.items()))


def _arrange(records: list[dict[str, Any]], layout: _Layout) -> tuple[list[Place], list[Line]]:
    """Give every record its place; returns the places, busiest first, and the lines by id."""
    by_channel: dict[str, list[Line]] = defaultdict(list)
    for record in records:
        by_channel[record["channel"]].append(_line(record))
    ids = _place_ids(by_channel, layout)
    lines: list[Line] = []
    places: list[Place] = []
    for channel in sorted(by_channel, key=lambda c: (-len(by_channel[c]), c)):
        found, said = _channel(channel, by_channel[channel], ids, layout)
        places += found
        lines += said
    voices = [Place(ids[voice], voice, "voice") for voice in layout.voices]
    return _threads_after_parents(places) + voices, sorted(lines, key=lambda line: line.id)


def _line(record: dict[str, Any]) -> Line:
    reply_to = record["reply_to"]
    return Line(
        record["id"],
        0,  # not placed yet
        int(record["author_id"]),
        record["content"],
        type=TYPES[record["type"]],
        reply_to=int(reply_to) if reply_to else None,
        mentions=tuple(int(person) for person in record["mentions"]),
        reactions=tuple((r["emoji"], r["count"]) for r in record["reactions"]),
        attachments=record["attachments"],
    )


def _place_ids(by_channel: dict[str, list[Line]], layout: _Layout) -> dict[str, int]:
    """A snowflake for each channel: a little older than all that was said in it or its threads."""
    first = {channel: lines[0].id for channel, lines in by_channel.items()}
    for channel, lines in by_channel.items():
        parent = layout.parent_of(channel)
        if parent:
            first[parent] = min(first[parent], lines[0].id)
    first |= dict.fromkeys(layout.voices, min(first.values()))
    ordered = sorted(first, key=lambda c: (layout.parent_of(c) is not None, c))
    return {c: _minutes_before(first[c], len(first) - n) + n for n, c in enumerate(ordered)}


def _minutes_before(snowflake: int, minutes: int) -> int:
    return ((snowflake >> 22) - minutes * 60_000) << 22


def _channel(
    channel: str, lines: list[Line], ids: dict[str, int], layout: _Layout
) -> tuple[list[Place], list[Line]]:
    """The place or places that a channel becomes, and its lines put there."""
    here = ids[channel]
    if channel in layout.forums:
        posts, said = _forum_posts(here, lines)
        return [Place(here, channel, "forum"), *posts], said
    said = [replace(line, place_id=here) for line in lines]
    for name, parent, is_archived in layout.threads:
        if name == channel:
            return [Place(here, channel, "thread", ids[parent], is_archived)], said
    return [Place(here, channel, "text")], said


def _forum_posts(forum_id: int, lines: list[Line]) -> tuple[list[Place], list[Line]]:
    """Cut a channel into posts; the last ones that were written in are active, the others archived.

    A post begins after a long silence. A reply goes where the message that it answers is.
    """
    post_of: dict[int, int] = {}
    previous: Line | None = None
    current = 0
    for line in lines:
        if previous is None or _begins_a_post(line, previous):
            current = line.id
        post_of[line.id] = current = post_of.get(line.reply_to or 0, current)
        previous = line
    active = list(dict.fromkeys(reversed(post_of.values())))[:ACTIVE_POSTS]
    posts = [
        Place(line.id, _post_name(line.content), "thread", forum_id, line.id not in active)
        for line in reversed(lines)
        if post_of[line.id] == line.id
    ]
    return posts, [replace(line, place_id=post_of[line.id]) for line in lines]


def _begins_a_post(line: Line, previous: Line) -> bool:
    silence_ms = (line.id >> 22) - (previous.id >> 22)
    return line.type == DEFAULT and line.reply_to is None and silence_ms >= POST_SILENCE_MS


def _post_name(content: str) -> str:
    """A title of the first words, at most NAME_LENGTH characters."""
    words = " ".join(_MENTION_OR_MARKUP.sub(" ", content).split())
    if len(words) <= NAME_LENGTH:
        return words or "post"
    return words[:NAME_LENGTH].rsplit(" ", 1)[0].rstrip(" .,;:!?…") + "…"


def _threads_after_parents(places: list[Place]) -> list[Place]:
    """Channels in their order, each followed by its threads."""
    tops = [place for place in places if place.parent_id is None]
    return [p for top in tops for p in (top, *(t for t in places if t.parent_id == top.id))]


def _held_out(community: Community, count: int, channel: str | None) -> Community:
    """Move the newest human messages of a text channel into the future.

    Whatever else is newer there goes, so that the history of that place ends before its future.
    """
    texts = [place for place in community.places if place.kind == "text"]
    chosen = next((place.id for place in texts if channel in (None, place.name)), None)
    if chosen is None:
        known = ", ".join(place.name for place in texts)
        raise ValueError(f"No channel is called {channel!r}. Choose one of: {known}.")
    bots = {person.id for person in community.people if person.is_bot}
    said = [line for line in community.lines if line.place_id == chosen]
    human = [x for x in said if x.author_id not in bots and x.type in (DEFAULT, REPLY)]
    future = tuple(human[-count:])
    kept = [x for x in community.lines if x.place_id != chosen or x.id < future[0].id]
    return replace(community, lines=tuple(kept), future=future)
