"""DiscordChatExporter's HTML: one page a channel, messages in groups by author.

It knows less than the JSON: no ids of people mentioned, no times but the ids', and a channel's own
id only in the file's name. Pages of its older releases have other class names; both are read.
"""

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser

from data.exports import ids
from data.exports.html_text import Attributes, MessageText, Opened, emoji
from data.exports.source import (
    LONGEST_RECORD,
    MALFORMED,
    Broken,
    Item,
    Skip,
    Source,
    decoded,
    storable,
)
from storage.channels import Channel
from storage.messages import DEFAULT, REPLY, Message

SLASH_COMMAND = 20
NOTICES = {"join-icon": 7, "leave-icon": 2, "call-icon": 3, "pin-icon": 6, "thread-icon": 18}
OTHER_NOTICE = 4
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta"}
_VOID |= {"source", "use"}
_CHANNEL_ID = re.compile(r"\[(\d{15,20})\]")
_SCROLL = re.compile(r"scrollToMessage\(event, *['\"]?(\d+)")
_FILE_TITLE = re.compile(r"(?:Image|Video|Audio): (.+) \([^()]*\)")
_TEXT = {"chatlog__markdown-preserve", "preserve-whitespace", "markdown"}
_TAGS = {"chatlog__author-tag", "chatlog__bot-tag", "chatlog__bot-label"}
_AUTHORS = {"chatlog__author", "chatlog__author-name", "chatlog__system-notification-author"}
_REPLIES = {"chatlog__reply", "chatlog__reference"}
_REPLY_LINKS = {"chatlog__reply-link", "chatlog__reference-link"}
_REPLIES_TO_DELETED = {"chatlog__reply-unknown", "chatlog__reference-unknown"}
_SINKS = {  # where the text in an element goes, by the element's class
    **dict.fromkeys(_AUTHORS, "author"),
    **dict.fromkeys(_TAGS, "tag"),
    "chatlog__content": "content",
    "chatlog__edited-timestamp": "",
    "chatlog__reaction": "reaction",
    "chatlog__reaction-count": "count",
    "chatlog__attachment-generic-name": "file",
}
DEEPEST = 500


def read(source: Source, own_id: int) -> Iterator[Item]:
    """The channel, then its messages. Raises `Broken`."""
    page = _Page(source.name, own_id)
    source.unit = "line"
    try:
        for text in decoded(source.chunks()):
            page.feed(text)
            for line, item in page.take():
                source.at = line
                yield item
    except AssertionError:  # what html.parser raises for some broken declarations
        raise Broken("is no valid HTML") from None
    if page.is_open:
        source.at = page.getpos()[0]
        raise Broken("is cut short")


@dataclasses.dataclass
class _Author:
    id: int | None = None
    title: str = ""
    name: str = ""
    tag: str = ""

    def kind(self, own_id: int) -> str:
        """A webhook is a bot without the four digits that every bot still has after its name."""
        if self.id == own_id:
            return "self"
        if not self.tag:
            return "member"
        has_digits = "#" in self.title and not self.title.endswith("#0000")
        return "bot" if has_digits and "SERVER" not in self.tag else "webhook"


@dataclasses.dataclass
class _Draft:
    """A message while its element is open."""

    id: str
    line: int
    kind: int = DEFAULT
    text: MessageText = dataclasses.field(default_factory=MessageText)
    files: list[str] = dataclasses.field(default_factory=list)
    reactions: dict[str, int] = dataclasses.field(default_factory=dict)
    emoji: str = ""


@dataclasses.dataclass
class _Element:
    tag: str
    sink: str
    is_message: bool = False
    place: Opened | None = None


class _Page(HTMLParser):
    """Follows the open elements; a message is done when its element ends."""

    def __init__(self, file_name: str, own_id: int) -> None:
        super().__init__()
        self._file_name = file_name
        self._own_id = own_id
        self._title = ""
        self._channel: Channel | None = None
        self._open: list[_Element] = []
        self._author = _Author()
        self._draft: _Draft | None = None
        self._reply: tuple[int, int | None] | None = None  # kind and reply_to of what comes next
        self._done: list[tuple[int, Item]] = []
        self._unread = 0

    @property
    def is_open(self) -> bool:
        """Whether an element still waits for its end, as in a file that was cut."""
        return any(element.tag == "div" for element in self._open)

    def take(self) -> list[tuple[int, Item]]:
        """What was finished since the last call, each with its line. Raises `Broken`."""
        if len(self._open) > DEEPEST or len(self.rawdata) + self._unread > LONGEST_RECORD:
            raise Broken("is no valid HTML")
        done, self._done = self._done, []
        return done

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        classes = set(attributes.get("class", "").split())
        outer = self._open[-1].sink if self._open else ""
        self._notice(tag, classes, attributes)
        if self._draft:
            self._detail(self._draft, tag, classes, attributes, outer)
        if tag in _VOID:
            return
        element = _Element(tag, _sink(tag, classes, outer), "data-message-id" in attributes)
        if self._draft and outer == element.sink == "text":
            element.place = self._draft.text.opened(tag, attributes)
        self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID or all(element.tag != tag for element in self._open):
            return
        while True:
            element = self._open.pop()
            if element.place and self._draft:
                self._draft.text.closed(element.place)
            if element.is_message:
                self._finish()
            if element.tag == tag:
                return

    def handle_data(self, data: str) -> None:
        self._unread += len(data)
        sink = self._open[-1].sink if self._open else ""
        if sink == "title":
            self._title += data
        elif sink == "author":
            self._author.name += data
        elif sink == "tag":
            self._author.tag += data
        elif self._draft and sink == "text":
            self._draft.text.add(data)
        elif self._draft and sink == "file" and data.strip():
            self._draft.files[-1:] = [data.strip()]
        elif self._draft and sink == "count" and data.strip().isdecimal():
            self._draft.reactions[self._draft.emoji] = int(data)

    def _notice(self, tag: str, classes: set[str], attributes: Attributes) -> None:
        """What is true of the group, or of the message that begins."""
        if "chatlog__message-group" in classes:
            self._author, self._reply = _Author(), None
        if "data-message-id" in attributes:
            self._finish()
            self._draft = _Draft(attributes["data-message-id"], self.getpos()[0])
            self._unread = 0
        if classes & _AUTHORS:
            number = attributes.get("data-user-id", "")
            is_number = number.isascii() and number.isdecimal()
            self._author = _Author(int(number) if is_number else None, attributes.get("title", ""))
        if classes & _REPLIES:
            self._reply = (SLASH_COMMAND, None)
        if classes & _REPLIES_TO_DELETED:
            self._reply = (REPLY, None)
        if classes & _REPLY_LINKS and (link := _SCROLL.search(attributes.get("onclick", ""))):
            self._reply = (REPLY, int(link[1]))

    def _detail(
        self, draft: _Draft, tag: str, classes: set[str], attributes: Attributes, outer: str
    ) -> None:
        """What belongs to the message that is open."""
        if "chatlog__system-notification-author" in classes and draft.kind == DEFAULT:
            draft.kind = OTHER_NOTICE
        if tag == "use" and (notice := NOTICES.get(attributes.get("href", "").lstrip("#"))):
            draft.kind = notice
        if "chatlog__attachment" in classes:
            draft.files.append("")
        if draft.files and (file := _FILE_TITLE.fullmatch(attributes.get("title", ""))):
            draft.files[-1] = file[1]
        if outer == "text" and tag == "br":
            draft.text.add("\n")
        if outer == "text" and tag == "img":
            draft.text.add(emoji(attributes))
        if outer == "reaction" and tag == "img":
            draft.emoji = emoji(attributes)
            draft.reactions[draft.emoji] = 1

    def _finish(self) -> None:
        draft, self._draft = self._draft, None
        if draft is None:
            return
        reply, self._reply = self._reply, None
        try:
            if self._channel is None:
                self._channel = _channel(self._file_name, self._title)
                self._done.append((draft.line, self._channel))
            message = _message(draft, self._author, reply, self._channel.id, self._own_id)
            self._done.append((draft.line, message))
        except Skip as skip:
            self._done.append((draft.line, skip))


def _sink(tag: str, classes: set[str], outer: str) -> str:
    if tag == "title":
        return "title"
    if outer == "content" and classes & _TEXT:
        return "text"
    return next((_SINKS[name] for name in classes if name in _SINKS), outer)


def _message(
    draft: _Draft,
    author: _Author,
    reply: tuple[int, int | None] | None,
    channel_id: int,
    own_id: int,
) -> Message:
    if author.id is None and not author.title:
        raise Skip(MALFORMED)
    kind, reply_to = reply if reply and draft.kind == DEFAULT else (draft.kind, None)
    return Message(
        id=ids.number(draft.id),
        channel_id=channel_id,
        author_id=author.id if author.id is not None else ids.made_up("person", author.title),
        author_name=storable(author.name.strip()),
        content=storable(draft.text.text()),
        author_kind=author.kind(own_id),
        kind=kind,
        reply_to=reply_to,
        attachments=tuple((storable(name), "") for name in draft.files),
        reactions={storable(name): count for name, count in draft.reactions.items() if name},
    )


def _channel(file_name: str, title: str) -> Channel:
    """The id is only in the file's name; without it, the server's and channel's names stand in."""
    title = storable(title.strip())
    number = _CHANNEL_ID.search(file_name)
    channel_id = int(number[1]) if number else ids.made_up("channel", title or file_name)
    return Channel(channel_id, title.rpartition(" - ")[2] or file_name, "text")
