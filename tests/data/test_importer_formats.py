"""Every format, read as its program writes it."""

import gzip
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from data import importer
from storage import channels, database, messages
from storage.channels import Channel
from storage.messages import Message
from tests.data import exports
from tests.data.exports import ANN, BOB, CHANNEL, TEXTS, message_id


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = database.connect(tmp_path / "bot.sqlite3")
    yield connection
    connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "exports"
    folder.mkdir()
    return folder


def load(connection: sqlite3.Connection, path: Path, text: str, own_id: int = 0) -> list[Message]:
    path.write_text(text, encoding="utf-8", newline="")
    importer.load(connection, path, own_id)
    return list(messages.history(connection))


def one(connection: sqlite3.Connection, path: Path, text: str, own_id: int = 0) -> Message:
    (message,) = load(connection, path, text, own_id)
    return message


def test_a_chat_exporter_message_keeps_everything(
    connection: sqlite3.Connection, folder: Path
) -> None:
    raw = exports.chat_exporter_message(
        7,
        "@Bob look :party:",
        type="Reply",
        timestampEdited="2022-05-17T07:00:00+00:00",
        attachments=[{"id": "1", "url": "x", "fileName": "cat.png", "fileSizeBytes": 1}],
        mentions=[{"id": str(BOB), "name": "bob"}],
        reference={"messageId": str(message_id(3)), "channelId": str(CHANNEL), "guildId": "1"},
        reactions=[
            {"emoji": {"id": "", "name": "👍", "isAnimated": False}, "count": 1_000_000},
            {"emoji": {"id": "123", "name": "party", "isAnimated": True}, "count": 2},
        ],
    )
    text = exports.chat_exporter([raw], topic=None)
    assert one(connection, folder / "general.json", text) == Message(
        id=message_id(7),
        channel_id=CHANNEL,
        author_id=ANN,
        author_name="Ann",
        content="@Bob look :party:",
        kind=19,
        reply_to=message_id(3),
        mentions=(BOB,),
        attachments=(("cat.png", ""),),
        reactions={"👍": 1_000_000, "<a:party:123>": 2},
        edited_at=1_652_770_800.0,
    )
    assert channels.known(connection) == [Channel(CHANNEL, "general", "text")]


@pytest.mark.parametrize(
    ("author", "kind"),
    [
        ({"id": "5", "name": "x", "isBot": False}, "member"),
        ({"id": "5", "name": "x", "isBot": True, "discriminator": "1234"}, "bot"),
        ({"id": "5", "name": "x", "isBot": True, "discriminator": "0000"}, "webhook"),
        ({"id": "99", "name": "us", "isBot": True, "discriminator": "1234"}, "self"),
        ({"id": "456226577798135808", "name": "Deleted User"}, "member"),
        ({"id": "000000", "name": "Deleted User", "nickname": None}, "member"),
    ],
)
def test_who_wrote_it_is_told(
    connection: sqlite3.Connection, folder: Path, author: dict[str, Any], kind: str
) -> None:
    raw = exports.chat_exporter_message(1, author=author)
    found = one(connection, folder / "x.json", exports.chat_exporter([raw]), own_id=99)
    assert (found.author_kind, found.author_name) == (kind, author["name"])


@pytest.mark.parametrize(
    ("type_", "number"),
    [
        ("Default", 0),
        ("Reply", 19),
        ("ThreadCreated", 18),
        ("GuildMemberJoin", 7),
        (20, 20),
        ("21", 21),
    ],
)
def test_types_are_names_or_numbers(
    connection: sqlite3.Connection, folder: Path, type_: object, number: int
) -> None:
    raw = exports.chat_exporter_message(1, type=type_)
    assert one(connection, folder / "x.json", exports.chat_exporter([raw])).kind == number


def test_old_and_sparse_chat_exporter_files_are_read(
    connection: sqlite3.Connection, folder: Path
) -> None:
    """Fields that came later are missing, the channel's type is a number, all on one line."""
    raw = {"id": str(message_id(1)), "content": "hello", "author": {"id": str(ANN), "name": "ann"}}
    whole = json.loads(exports.chat_exporter([raw], type=11, categoryId="55"))
    found = one(connection, folder / "x.json", json.dumps(whole, separators=(",", ":")))
    assert (found.content, found.author_name, found.kind) == ("hello", "ann", 0)
    assert channels.known(connection) == [Channel(CHANNEL, "general", "public_thread", 55)]


def test_a_forwarded_message_answers_nothing(connection: sqlite3.Connection, folder: Path) -> None:
    reference = {"type": "Forward", "messageId": str(message_id(1))}
    raw = exports.chat_exporter_message(2, reference=reference)
    assert one(connection, folder / "x.json", exports.chat_exporter([raw])).reply_to is None


def test_a_web_page_keeps_authors_replies_and_reactions(
    connection: sqlite3.Connection, folder: Path
) -> None:
    reply = (
        '<div class="chatlog__reply"><div class="chatlog__reply-author" title="ann">Ann</div>'
        '<div class="chatlog__reply-content"><span class="chatlog__reply-link"'
        f" onclick=\"scrollToMessage(event, '{message_id(1)}')\">not <b>this</b></span></div></div>"
    )
    files = (
        '<div class="chatlog__attachment"><a href="x"><img class="chatlog__attachment-media"'
        ' alt="Image attachment" title="Image: my cat.png (12 KB)"></a></div>'
        '<div class="chatlog__attachment"><div class="chatlog__attachment-generic-name">'
        "<a href='y'>\n notes.txt \n</a></div></div>"
        '<div class="chatlog__embed"><div class="chatlog__embed-description">'
        '<div class="chatlog__markdown chatlog__markdown-preserve">nor this</div></div></div>'
        '<div class="chatlog__reactions"><div class="chatlog__reaction" title="thumbsup">'
        '<img class="chatlog__emoji" alt="👍" src="twemoji/1f44d.svg">'
        '<span class="chatlog__reaction-count">3</span></div></div>'
    )
    ann, bot = (
        exports.html_author(ANN, "ann", "Ann & co"),
        exports.html_author(BOB, "Bo#1234", "Bo", "BOT"),
    )
    page = exports.html_page(
        exports.html_group(
            exports.html_message(1, "first", ann), exports.html_message(2, "second") + files
        ),
        exports.html_group(exports.html_message(3, "third", bot, reply)),
    )
    found = load(connection, folder / f"Place - general [{CHANNEL}].html", page)
    shared = {"channel_id": CHANNEL, "author_id": ANN, "author_name": "Ann & co"}
    assert found == [
        Message(message_id(1), content="first", **shared),  # type: ignore[arg-type]
        Message(
            message_id(2),
            content="second",
            attachments=(("my cat.png", ""), ("notes.txt", "")),
            reactions={"👍": 3},
            **shared,  # type: ignore[arg-type]
        ),
        Message(message_id(3), CHANNEL, BOB, "Bo", "third", "bot", kind=19, reply_to=message_id(1)),
    ]
    assert channels.known(connection) == [Channel(CHANNEL, "general", "text")]


@pytest.mark.parametrize(
    ("markup", "typed"),
    [
        ("a &lt;b&gt; &amp; c", "a <b> & c"),
        ("one<br>two\nthree", "one\ntwo\nthree"),
        ("<strong>a</strong> <em>b</em> <u>c</u> <s>d</s>", "**a** *b* __c__ ~~d~~"),
        (
            '<code class="chatlog__markdown-pre chatlog__markdown-pre--inline">x &lt; y</code>',
            "`x < y`",
        ),
        (
            '<code class="chatlog__markdown-pre chatlog__markdown-pre--multiline language-py">'
            "a = 1\nb = 2</code>",
            "```py\na = 1\nb = 2\n```",
        ),
        ('<a href="https://a.org/?b=1&amp;c">https://a.org/?b=1&amp;c</a>', "https://a.org/?b=1&c"),
        ('<a href="https://a.org">here</a>', "[here](https://a.org)"),
        ('<span class="chatlog__markdown-mention" title="bob">@Bob</span> hi', "@Bob hi"),
        ('<img class="chatlog__emoji" alt="🙂" title="slight_smile" src="1f642.svg">', "🙂"),
        (
            '<img class="chatlog__emoji" alt="pog" title="pog"'
            ' src="https://cdn.discordapp.com/emojis/123456789012345678.gif">',
            "<a:pog:123456789012345678>",
        ),
        (
            '<span class="chatlog__markdown-spoiler chatlog__markdown-spoiler--hidden"'
            ' onclick="showSpoiler(event, this)">boo</span>',
            "||boo||",
        ),
        (
            '<div class="chatlog__markdown-quote">'
            '<div class="chatlog__markdown-quote-border"></div>'
            '<div class="chatlog__markdown-quote-content">a\nb</div></div>no',
            "> a\n> b\nno",
        ),
        ("<h1>Big</h1><ul><li>a</li><li>b</li></ul>", "# Big\n- a\n- b"),
    ],
)
def test_markup_becomes_what_was_typed(
    connection: sqlite3.Connection, folder: Path, markup: str, typed: str
) -> None:
    author = exports.html_author(ANN, "ann", "Ann")
    page = exports.html_page(exports.html_group(exports.html_message(1, markup, author)))
    assert one(connection, folder / "x.html", page).content == typed


def test_an_older_web_page_is_read(connection: sqlite3.Connection, folder: Path) -> None:
    """As releases before 2.30 wrote it: the author once a group, other names for the same."""
    page = exports.html_page(
        '<div class="chatlog__message-group"><div class="chatlog__reference">'
        '<span class="chatlog__reference-link"'
        f" onclick=\"scrollToMessage(event, '{message_id(1)}')\">x</span></div>"
        '<div class="chatlog__messages">'
        f'<span class="chatlog__author-name" title="ann#0042" data-user-id="{ANN}">Ann</span>'
        f'<div class="chatlog__message" data-message-id="{message_id(2)}" id="message-2">'
        '<div class="chatlog__content">\n <div class="markdown">\n'
        '<span class="preserve-whitespace">so <span class="pre pre--inline">x</span></span>\n'
        '<span class="chatlog__edited-timestamp" title="then">(edited)</span></div></div></div>'
        f'<div class="chatlog__message" data-message-id="{message_id(3)}" id="message-3">'
        '<div class="chatlog__content"><div class="markdown">and</div></div></div></div></div>'
    )
    first, second = load(connection, folder / "x.html", page)
    assert (first.content, first.reply_to, first.kind) == ("so `x`", message_id(1), 19)
    assert (second.content, second.reply_to, second.kind) == ("and", None, 0)
    assert first.author_id == second.author_id == ANN


def test_a_minified_page_and_its_notices_are_read(
    connection: sqlite3.Connection, folder: Path
) -> None:
    page = (
        "<!doctype html><html lang=en><title>Place - general</title><div class=chatlog>"
        "<div class=chatlog__message-group>"
        f"<div class=chatlog__message-container data-message-id={message_id(1)}>"
        "<svg class=chatlog__system-notification-icon><use href=#join-icon></use></svg>"
        f"<span class=chatlog__system-notification-author title=ann data-user-id={ANN}>Ann</span>"
        "<span class=chatlog__system-notification-content><span>joined</span></span>"
        "</div></div></div>"
    )
    found = one(connection, folder / "x.html", page)
    assert (found.kind, found.content, found.author_name) == (7, "", "Ann")


@pytest.mark.parametrize("as_csv", [False, True])
def test_a_data_package_is_its_owners_words(
    connection: sqlite3.Connection, folder: Path, as_csv: bool
) -> None:
    texts = [*TEXTS, 'say "a, b"\nand c']
    exports.write(folder, exports.package(texts, as_csv=as_csv))
    report = importer.load(connection, folder)
    found = list(messages.history(connection))
    assert [message.content for message in found] == texts
    assert {(message.author_id, message.author_name) for message in found} == {(ANN, "Ann")}
    assert found[1].attachments == (("cat.png", ""),)
    assert channels.known(connection) == [Channel(CHANNEL, "general", "text")]
    assert report.skipped == {"a direct message, which is no server's": 1}
    assert report.unrecognised == ["account/avatar.png"]


def test_a_zipped_data_package_is_read_where_it_lies(
    connection: sqlite3.Connection, folder: Path
) -> None:
    path = exports.zipped(folder / "package.zip", exports.package(TEXTS))
    assert importer.load(connection, path).new == len(TEXTS)
    assert [path] == list(folder.iterdir())


def test_part_of_a_data_package_says_what_is_missing(
    connection: sqlite3.Connection, folder: Path
) -> None:
    files = exports.package(TEXTS)
    del files["account/user.json"]
    report = importer.load(connection, exports.write(folder, files))
    assert "give the whole package" in report.broken[0]


def test_our_own_lines_keep_everything(connection: sqlite3.Connection, folder: Path) -> None:
    raw = exports.line(
        2,
        "yes",
        type="Reply",
        reply_to=str(message_id(1)),
        mentions=[str(BOB)],
        attachments=["cat.png"],
        reactions=[{"emoji": "👍", "count": 4}],
        bot=True,
    )
    assert one(connection, folder / "x.jsonl", exports.lines([raw])) == Message(
        id=message_id(2),
        channel_id=CHANNEL,
        author_id=ANN,
        author_name="Ann",
        content="yes",
        author_kind="bot",
        kind=19,
        reply_to=message_id(1),
        mentions=(BOB,),
        attachments=(("cat.png", ""),),
        reactions={"👍": 4},
    )


def test_foreign_ids_are_the_same_every_time(connection: sqlite3.Connection, folder: Path) -> None:
    first = exports.line(0, "first", id="55a09958a7d4f38e13c1338b", author_id="ann")
    second = exports.line(0, "second", id="575192471097267921300371", author_id="bob")
    second |= {"reply_to": first["id"], "mentions": ["ann"], "attachments": 2}
    for raw in (first, second):
        del raw["channel_id"]
    text = exports.lines([first, second])
    found = load(connection, folder / "x.jsonl", text)
    assert load(connection, folder / "again.jsonl", text) == found
    one, two = sorted(found, key=lambda message: message.content)
    assert two.reply_to == one.id
    assert two.mentions == (one.author_id,) != (two.author_id,)
    assert one.sent_at == 1_652_767_516.285
    assert 0 < one.channel_id < 2**53 > one.author_id > 0
    assert channels.known(connection) == [Channel(one.channel_id, "general", "text")]


def test_pages_and_threads_of_discord_itself_are_read(
    connection: sqlite3.Connection, folder: Path
) -> None:
    page = [exports.rest_message(n, text) for n, text in enumerate(TEXTS)]
    (folder / "page.json.gz").write_bytes(gzip.compress(json.dumps(page).encode()))
    thread = {"id": "31", "type": 11, "name": "help", "parent_id": "30"}
    inside = [exports.rest_message(50, "in a thread", channel_id="31")]
    threads = [
        {"thread": thread, "messages": inside},
        {"thread": {**thread, "id": "32"}, "messages": []},
    ]
    (folder / "threads.json").write_text(json.dumps(threads))
    assert importer.load(connection, folder).new == len(TEXTS) + 1
    assert channels.known(connection) == [
        Channel(31, "help", "public_thread", 30),
        Channel(32, "help", "public_thread", 30),
        Channel(CHANNEL, str(CHANNEL), "text"),
    ]


def test_names_of_files_say_nothing(connection: sqlite3.Connection, folder: Path) -> None:
    text = exports.chat_exporter_texts(TEXTS)
    (folder / "chat.html").write_bytes(gzip.compress(text.encode("utf-16")))
    assert importer.load(connection, folder / "chat.html").new == len(TEXTS)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize(
    "made",
    [
        exports.chat_exporter_texts,
        lambda texts: exports.lines([exports.line(n, t) for n, t in enumerate(texts)]),
    ],
)
def test_byte_order_marks_are_understood(
    connection: sqlite3.Connection, folder: Path, encoding: str, made: Any
) -> None:
    mark = "\ufeff" if encoding.endswith("e") else ""
    (folder / "x").write_bytes((mark + made(TEXTS)).encode(encoding))
    importer.load(connection, folder / "x")
    assert [message.content for message in messages.history(connection)] == TEXTS
