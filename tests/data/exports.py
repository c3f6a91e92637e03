"""Small exports made by hand, in every format that the importer reads."""

import csv
import html
import io
import json
import zipfile
from pathlib import Path
from typing import Any

FIRST = 976_000_000_000_000_000  # 17 May 2022
CHANNEL = 900_000_000_000_000_001
ANN, BOB = 800_000_000_000_000_001, 800_000_000_000_000_002
TEXTS = ["hello", "hi Ann", "what a day\nreally", "it is 🙂", "bye"]


def message_id(number: int) -> int:
    """A minute apart."""
    return FIRST + (number * 60_000 << 22)


def chat_exporter_message(number: int, content: str = "hello", **changes: Any) -> dict[str, Any]:
    """One message as DiscordChatExporter writes it."""
    author = {"id": str(ANN), "name": "ann", "discriminator": "0000", "nickname": "Ann"}
    return {
        "id": str(message_id(number)),
        "type": "Default",
        "timestamp": "2022-05-17T06:05:16.28+00:00",
        "timestampEdited": None,
        "isPinned": False,
        "content": content,
        "author": {**author, "isBot": False, "roles": []},
        "attachments": [],
        "embeds": [],
        "stickers": [],
        "reactions": [],
        "mentions": [],
        **changes,
    }


def chat_exporter(messages: list[dict[str, Any]], **channel: Any) -> str:
    """A whole file by DiscordChatExporter."""
    place = {"id": str(CHANNEL), "type": "GuildTextChat", "name": "general", **channel}
    return json.dumps(
        {
            "guild": {"id": "1", "name": "Place"},
            "channel": place,
            "dateRange": {"after": None, "before": None},
            "exportedAt": "2026-01-01T00:00:00+00:00",
            "messages": messages,
            "messageCount": len(messages),
        },
        indent=2,
        ensure_ascii=False,
    )


def chat_exporter_texts(texts: list[str]) -> str:
    """A whole file with these texts."""
    return chat_exporter([chat_exporter_message(n, text) for n, text in enumerate(texts)])


def line(number: int, content: str = "hello", **changes: Any) -> dict[str, Any]:
    """One of our own lines."""
    return {
        "id": str(message_id(number)),
        "channel": "general",
        "channel_id": str(CHANNEL),
        "author_id": str(ANN),
        "author_name": "Ann",
        "bot": False,
        "timestamp": "2022-05-17T06:05:16.285+00:00",
        "content": content,
        "reply_to": None,
        "reactions": [],
        "type": "Default",
        "mentions": [],
        "attachments": 0,
        **changes,
    }


def lines(messages: list[dict[str, Any]]) -> str:
    """A whole file of our own lines."""
    return "".join(json.dumps(message, ensure_ascii=False) + "\n" for message in messages)


def rest_message(number: int, content: str = "hello", **changes: Any) -> dict[str, Any]:
    """A message object of Discord's own interface."""
    return {
        "type": 0,
        "content": content,
        "mentions": [],
        "attachments": [],
        "timestamp": "2022-05-17T06:05:16.285000+00:00",
        "edited_timestamp": None,
        "id": str(message_id(number)),
        "channel_id": str(CHANNEL),
        "author": {"id": str(ANN), "username": "ann", "global_name": "Ann"},
        **changes,
    }


def html_message(number: int, inner: str, header: str = "", before: str = "") -> str:
    """A message in the markup of DiscordChatExporter 2.40 and later."""
    place = message_id(number)
    return (
        f'<div id="chatlog__message-container-{place}" class="chatlog__message-container"'
        f' data-message-id="{place}"><div class="chatlog__message">'
        f'<div class="chatlog__message-primary">{before}{header}'
        '<div class="chatlog__content chatlog__markdown"><span class="chatlog__markdown-preserve">'
        f"<!--wmm:ignore-->{inner}<!--/wmm:ignore--></span></div>"
    )


def html_author(number: int, title: str, name: str, tag: str = "") -> str:
    """The header of a group of messages."""
    label = f'<span class="chatlog__author-tag">{tag}</span>' if tag else ""
    return (
        f'<div class="chatlog__header"><span class="chatlog__author" style="color: red"'
        f' title="{html.escape(title)}" data-user-id="{number}">{html.escape(name)}</span>{label}'
        '<span class="chatlog__timestamp"><a href="#x">17/05/2022 06:05</a></span></div>'
    )


def html_group(*messages: str) -> str:
    """One author's messages; each still lacks the ends of its three elements."""
    ends = "</div></div></div>"
    return '<div class="chatlog__message-group">' + "".join(m + ends for m in messages) + "</div>"


def html_page(*groups: str) -> str:
    """A whole page."""
    return (
        '<!DOCTYPE html><html lang="en"><head><title>Place - general</title><meta charset="utf-8">'
        "<style>.chatlog__message-group { margin: 0 }</style>"
        "<script>if (1 < 2) { document.write('<div>') }</script></head><body>"
        '<div class="preamble"><div class="preamble__entry">Place</div></div>'
        '<div class="chatlog">' + "\n".join(groups) + "</div></body></html>"
    )


def package(texts: list[str], *, as_csv: bool = False) -> dict[str, str]:
    """The files of a data package, by name: one server channel and one conversation."""
    rows = [
        {
            "ID": message_id(n),
            "Timestamp": "2022-05-17 06:05:16",
            "Contents": text,
            "Attachments": "https://cdn.discordapp.com/attachments/1/2/cat.png?ex=1"
            if n == 1
            else "",
        }
        for n, text in enumerate(texts)
    ]
    table = io.StringIO()
    writer = csv.DictWriter(table, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    name, content = (
        ("messages.csv", table.getvalue()) if as_csv else ("messages.json", json.dumps(rows))
    )
    place = {"id": str(CHANNEL), "type": "GUILD_TEXT", "name": "general", "guild": {"id": "1"}}
    direct = {"id": "77", "type": "DM", "recipients": [str(ANN), str(BOB)]}
    secret = [{"ID": 9, "Timestamp": "2022-05-17 06:05:16", "Contents": "s", "Attachments": ""}]
    return {
        "account/user.json": json.dumps({"id": str(ANN), "username": "ann", "global_name": "Ann"}),
        "account/avatar.png": "not really",
        f"messages/c{CHANNEL}/channel.json": json.dumps(place),
        f"messages/c{CHANNEL}/{name}": content,
        "messages/c77/channel.json": json.dumps(direct),
        "messages/c77/messages.json": json.dumps(secret),
        "messages/index.json": json.dumps({str(CHANNEL): "general", "77": "Direct Message"}),
    }


def write(folder: Path, files: dict[str, str]) -> Path:
    """Files into a folder."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="")
    return folder


def zipped(path: Path, files: dict[str, str]) -> Path:
    """Files into a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path
