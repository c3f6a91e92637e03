"""Bringing in history that people have already: exports by other programs, and data packages.

Files of any size are read as a stream and stored in transactions of 5,000 messages: killed at any
point, what was stored stays, and the same import again adds the rest. A message that is known is
left as it is unless the export holds a later edit: what Discord itself told us is never replaced by
what another program made of it.
"""

import dataclasses
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bot.config import UserError
from data.exports import files, formats, ids
from data.exports.data_package import SIDE_FILES
from data.exports.source import Broken, Item, Skip, Source
from storage import channels, imports, messages
from storage.channels import Channel
from storage.database import excluded_users, transaction
from storage.messages import Message

BATCH = 5_000
EXCLUDED = "excluded person"

OnProgress = Callable[[int, int, int], None]
"""`on_progress(bytes read, bytes, messages)`."""


@dataclasses.dataclass
class Report:
    """What an import did.

    `skipped` counts by reason the messages left out, `first` says where each reason was met first.
    `broken` are files read up to a point; `refused` were not opened and `unrecognised` no export.
    """

    new: int = 0
    known: int = 0
    files: int = 0
    channels: int = 0
    skipped: dict[str, int] = dataclasses.field(default_factory=dict)
    first: dict[str, str] = dataclasses.field(default_factory=dict)
    broken: list[str] = dataclasses.field(default_factory=list)
    refused: list[str] = dataclasses.field(default_factory=list)
    unrecognised: list[str] = dataclasses.field(default_factory=list)

    @property
    def messages(self) -> int:
        return self.new + self.known

    def skip(self, reason: str, place: str) -> None:
        """Count one message left out."""
        self.skipped[reason] = self.skipped.get(reason, 0) + 1
        self.first.setdefault(reason, place)


def load(
    connection: sqlite3.Connection,
    path: Path,
    own_id: int = 0,
    on_progress: OnProgress = lambda *_: None,
) -> Report:
    """Import the file, folder or zip at `path`; `own_id` is the bot's own user id.

    Raises `UserError` when there is nothing at `path`, or no export.
    """
    report = Report()
    store = _Store(connection, report)
    with files.opened(path, report.refused) as sources:
        beside = {source.name: source for source in sources}
        total, passed = sum(source.size for source in sources), 0
        for source in sources:
            for number, item in enumerate(_items(source, beside, own_id, report)):
                store.add(item, source)
                if number % BATCH == 0:
                    on_progress(min(passed + source.done, total), total, report.messages)
            passed += source.size
        store.flush()
    on_progress(total, total, report.messages)
    if not report.files:
        raise _nothing(path, report)
    return report


def _items(
    source: Source, beside: Mapping[str, Source], own_id: int, report: Report
) -> Iterator[Item]:
    """What is in a file, as far as it can be read."""
    try:
        reader = formats.reader(source, beside)
        if reader is None:
            if not source.name.endswith(SIDE_FILES):
                report.unrecognised.append(source.name)
            return
        report.files += 1
        yield from reader(source, own_id)
    except Broken as broken:
        at = broken.at or source.at
        report.broken.append(
            f"{source.name} {broken}" + (f" at {source.unit} {at:,}" if at else "")
        )


class _Store:
    """Messages on their way into the database, a transaction of `BATCH` at a time."""

    def __init__(self, connection: sqlite3.Connection, report: Report) -> None:
        self._connection = connection
        self._report = report
        self._now = time.time()
        self._excluded = excluded_users(connection)
        self._named = {channel.id for channel in channels.known(connection)}
        self._channels: list[Channel] = []
        self._messages: dict[int, Message] = {}

    def add(self, item: Item, source: Source) -> None:
        """Take one piece of a file; a full batch is stored."""
        if isinstance(item, Message):
            self._take(item, source)
        elif isinstance(item, Skip):
            self._report.skip(str(item), source.place)
        elif item.id not in self._named:
            self._add_channel(item)
        if len(self._messages) >= BATCH:
            self.flush()

    def _take(self, message: Message, source: Source) -> None:
        reason = ids.refusal(message, self._now)
        if message.author_id in self._excluded:
            reason = EXCLUDED
        if reason:
            self._report.skip(reason, source.place)
            return
        twin = self._messages.get(message.id)
        if twin is None or _is_later(message, twin.edited_at or 0.0):
            self._messages[message.id] = message
        self._report.known += twin is not None

    def _add_channel(self, channel: Channel) -> None:
        if ids.is_in_range(channel.id, channel.parent_id or 0):
            self._named.add(channel.id)
            self._channels.append(channel)

    def flush(self) -> None:
        """Store what is waiting."""
        waiting, self._messages = self._messages, {}
        found, self._channels = self._channels, []
        with transaction(self._connection):
            known = imports.edits(self._connection, waiting)
            fresh = [m for m in waiting.values() if m.id not in known or _is_later(m, known[m.id])]
            for channel in found:
                channels.save(self._connection, channel)
            messages.save(self._connection, fresh)
        self._report.channels += len(found)
        self._report.known += len(known)
        self._report.new += len(waiting) - len(known)
        self._excluded = excluded_users(self._connection)


def _is_later(message: Message, edited_at: float) -> bool:
    return (message.edited_at or 0.0) > edited_at


def _nothing(path: Path, report: Report) -> UserError:
    reasons = [*report.broken, *report.refused]
    why = f" ({'; '.join(reasons[:3])})" if reasons else ""
    return UserError(
        f"Nothing at {path} can be imported{why}. What can be: {formats.NAMES}. "
        "Give such a file, or a folder or zip with such files."
    )
