"""Importing: whole or cut, sound or damaged, once or twice, nothing that was stored is lost."""

import contextlib
import gzip
import json
import os
import random
import sqlite3
import sys
import time
import tracemalloc
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.config import UserError
from data import importer
from data.exports import ids, json_stream
from data.exports.source import Broken, Source
from storage import channels, database, messages
from storage.messages import Message, snowflake_at
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


def texts(connection: sqlite3.Connection) -> list[str]:
    return [message.content for message in messages.history(connection)]


def load_lines(
    connection: sqlite3.Connection, folder: Path, raw: list[dict[str, Any]]
) -> importer.Report:
    (folder / "chat.jsonl").write_text(exports.lines(raw), encoding="utf-8")
    return importer.load(connection, folder / "chat.jsonl")


def web_page(words: list[str]) -> str:
    author = exports.html_author(ANN, "ann", "Ann")
    made = [exports.html_message(n, word, author) for n, word in enumerate(words)]
    return exports.html_page(*map(exports.html_group, made))


def own_lines(words: list[str]) -> str:
    return exports.lines([exports.line(n, word) for n, word in enumerate(words)])


def page(words: list[str]) -> str:
    return json.dumps([exports.rest_message(n, word) for n, word in enumerate(words)])


ONE_FILE_FORMATS: dict[str, Callable[[list[str]], str]] = {
    "general.json": exports.chat_exporter_texts,
    "general.html": web_page,
    "chat.jsonl": own_lines,
    "page.json": page,
}


@pytest.mark.parametrize("name", ONE_FILE_FORMATS)
def test_twice_is_the_same_rows(connection: sqlite3.Connection, folder: Path, name: str) -> None:
    (folder / name).write_text(ONE_FILE_FORMATS[name](TEXTS), encoding="utf-8", newline="")
    first = importer.load(connection, folder)
    stored = list(messages.history(connection))
    second = importer.load(connection, folder)
    assert (first.new, first.known, second.new, second.known) == (5, 0, 0, 5)
    assert list(messages.history(connection)) == stored
    assert [message.content for message in stored] == TEXTS


def test_one_message_in_many_formats_is_one_row(
    connection: sqlite3.Connection, folder: Path
) -> None:
    exports.write(folder, {name: made(TEXTS) for name, made in ONE_FILE_FORMATS.items()})
    exports.zipped(folder / "package.zip", exports.package(TEXTS))
    report = importer.load(connection, folder)
    assert (report.new, report.known) == (5, 20)
    assert len(texts(connection)) == 5


def test_what_discord_told_us_is_not_replaced(connection: sqlite3.Connection, folder: Path) -> None:
    known = Message(message_id(0), CHANNEL, ANN, "Ann", "hi <@5>", reactions={"👍": 2})
    messages.save(connection, [known])
    exports.write(folder, exports.package(["hi @Bob"]))
    importer.load(connection, folder)
    assert list(messages.history(connection)) == [known]


def test_a_later_edit_is_taken_over(connection: sqlite3.Connection, folder: Path) -> None:
    messages.save(connection, [Message(message_id(0), CHANNEL, ANN, "Ann", "old")])
    raw = exports.chat_exporter_message(0, "new", timestampEdited="2022-05-18T00:00:00Z")
    (folder / "x.json").write_text(exports.chat_exporter([raw]))
    importer.load(connection, folder)
    assert texts(connection) == ["new"]


def test_how_far_a_channel_was_fetched_stays(connection: sqlite3.Connection, folder: Path) -> None:
    place = channels.Channel(CHANNEL, "as on Discord", "news")
    channels.save(connection, place)
    channels.fetched_through(connection, CHANNEL, 12345)
    channels.mark(connection, CHANNEL, "gone")
    (folder / "x.json").write_text(exports.chat_exporter_texts(TEXTS), encoding="utf-8")
    importer.load(connection, folder)
    (stored,) = channels.known(connection)
    assert (stored.name, stored.fetched_through) == ("as on Discord", 12345)


def test_an_excluded_person_is_refused_and_not_named(
    connection: sqlite3.Connection, folder: Path
) -> None:
    database.exclude_user(connection, BOB)
    raw = [exports.line(0), exports.line(1, author_id=str(BOB), author_name="Bobby")]
    report = load_lines(connection, folder, raw)
    assert (report.new, report.skipped) == (1, {"excluded person": 1})
    assert "Bobby" not in repr(report)
    assert messages.names(connection) == {ANN: "Ann"}


def test_a_partitioned_export_is_one_channel(connection: sqlite3.Connection, folder: Path) -> None:
    raw = [exports.chat_exporter_message(n) for n in range(9)]
    exports.write(
        folder,
        {
            "deep/er/general [part 1].json": exports.chat_exporter(raw[:5]),
            "deep/er/general [part 2].json": exports.chat_exporter(raw[4:]),
        },
    )
    report = importer.load(connection, folder)
    assert (report.new, report.known, report.files, report.channels) == (9, 1, 2, 1)


def test_other_files_are_named_and_left_alone(connection: sqlite3.Connection, folder: Path) -> None:
    files = {"a.png": "\x89PNG", "b.txt": "hello", "c.json": "{}", "d.csv": "a,b\n1,2\n", "e": ""}
    files["f.html"] = "<!doctype html><title>a page</title>"
    exports.write(folder, {**files, "general.json": exports.chat_exporter_texts(TEXTS)})
    report = importer.load(connection, folder)
    assert (report.new, sorted(report.unrecognised)) == (5, sorted(files))


def test_nothing_to_import_says_what_is_read(connection: sqlite3.Connection, folder: Path) -> None:
    (folder / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    for path in (folder, folder / "a.png"):
        with pytest.raises(UserError, match="DiscordChatExporter's JSON and HTML"):
            importer.load(connection, path)
    with pytest.raises(UserError, match="There is nothing at"):
        importer.load(connection, folder / "missing.json")


@pytest.mark.skipif(sys.platform == "win32", reason="modes and links are otherwise there")
def test_links_that_lead_out_are_not_followed(
    connection: sqlite3.Connection, tmp_path: Path, folder: Path
) -> None:
    outside = exports.write(tmp_path / "outside", {"x.json": exports.chat_exporter_texts(TEXTS)})
    (folder / "link.json").symlink_to(outside / "x.json")
    (folder / "linked").symlink_to(outside)
    (folder / "loop").symlink_to(folder / "loop")
    if sys.platform != "win32":
        os.mkfifo(folder / "pipe")
    exports.write(folder, {"own.jsonl": own_lines(["mine"])})
    (folder / "inside.jsonl").symlink_to(folder / "own.jsonl")
    report = importer.load(connection, folder)
    assert texts(connection) == ["mine"]
    refused = ["link.json (leads out)", "linked (leads out)", "loop (leads out)"]
    assert sorted(report.refused) == refused


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_file_that_may_not_be_read_is_told(connection: sqlite3.Connection, folder: Path) -> None:
    exports.write(folder, {"a.json": exports.chat_exporter_texts(TEXTS), "b.json": "{"})
    (folder / "b.json").chmod(0)
    report = importer.load(connection, folder)
    assert report.new == 5 and "b.json" in str(report.broken + report.refused)


def test_dangerous_members_of_a_zip_are_left_alone(
    connection: sqlite3.Connection, folder: Path
) -> None:
    text = exports.chat_exporter_texts(TEXTS)
    bomb = exports.chat_exporter_texts(["a" * 50_000_000])
    names = {"../up.json": text, "/top.json": text, "C:\\x.json": text, "bomb.json": bomb}
    path = exports.zipped(folder / "x.zip", {**names, "good.json": own_lines(["good"])})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("link.json")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    report = importer.load(connection, folder)
    assert texts(connection) == ["good"]
    reasons = [reason.partition(" (")[2] for reason in report.refused]
    assert reasons == [
        *["leads out)"] * 3,
        "unpacks to more than 200 times its size)",
        "is a link)",
    ]


def test_a_packed_file_that_swells_is_given_up(
    connection: sqlite3.Connection, folder: Path
) -> None:
    lines = own_lines(["first"]).encode() + b" " * 50_000_000
    (folder / "x.jsonl.gz").write_bytes(gzip.compress(lines))
    report = importer.load(connection, folder)
    assert report.new == 1 and "200 times its size" in report.broken[0]


@pytest.mark.parametrize("name", ONE_FILE_FORMATS)
def test_what_came_before_a_cut_is_kept(
    connection: sqlite3.Connection, folder: Path, name: str
) -> None:
    words = [f"word {n}" for n in range(300)]
    whole = ONE_FILE_FORMATS[name](words).encode()
    (folder / name).write_bytes(whole[: len(whole) * 2 // 3])
    report = importer.load(connection, folder)
    assert 150 < report.new < 210
    assert texts(connection) == words[: report.new]
    (broken,) = report.broken
    assert broken.startswith(f"{name} is cut short at ")
    unit, number = broken.split()[-2:]
    at = int(number.replace(",", ""))
    lost = whole.splitlines()[at - 1 :] if unit == "line" else [whole[at:]]
    assert words[report.new].encode() in b"".join(lost)
    assert words[report.new - 1].encode() not in b"".join(lost)


def test_a_packed_file_that_was_cut_gives_what_it_can(
    connection: sqlite3.Connection, folder: Path
) -> None:
    noise = random.Random(1)
    words = [f"{noise.random()}" for _ in range(5000)]
    whole = gzip.compress(own_lines(words).encode())
    (folder / "x.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    report = importer.load(connection, folder)
    assert 1000 < report.new < 4000 and "is cut short" in report.broken[0]


BAD_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "content is null": ({"content": None}, "a field is missing or malformed"),
    "content is a number": ({"content": 5}, "a field is missing or malformed"),
    "author is null": ({"author_id": None}, "a field is missing or malformed"),
    "id is true": ({"id": True}, "a field is missing or malformed"),
    "id is a fraction": ({"id": 1.5}, "a field is missing or malformed"),
    "id of 64 bits": ({"id": str(2**63)}, "an id or type out of range"),
    "author of 64 bits": ({"author_id": 2**63}, "an id or type out of range"),
    "channel of 70 bits": ({"channel_id": str(2**70)}, "an id or type out of range"),
    "mentions of 64 bits": ({"mentions": [2**63]}, "an id or type out of range"),
    "timestamp of words": ({"timestamp": "yesterday"}, "a field is missing or malformed"),
    "timestamp of 2014": ({"timestamp": "2014-12-31T23:59:59+00:00"}, "dated before 2015"),
    "timestamp of 2199": ({"timestamp": "2199-01-01T00:00:00Z"}, "dated in the future"),
    "id of tomorrow": ({"id": snowflake_at(time.time() + 200_000)}, "dated in the future"),
    "no such type": ({"type": "Nonsense"}, "an unknown message type"),
    "type below zero": ({"type": -1}, "an unknown message type"),
    "count below zero": (
        {"reactions": [{"emoji": "x", "count": -1}]},
        "a reaction count out of range",
    ),
    "count of 64 bits": (
        {"reactions": [{"emoji": "x", "count": 2**63}]},
        "a reaction count out of range",
    ),
    "reactions are words": ({"reactions": "many"}, "a field is missing or malformed"),
    "mentions are a number": ({"mentions": 5}, "a field is missing or malformed"),
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_bad_message_is_counted_with_its_place(
    connection: sqlite3.Connection, folder: Path, case: str
) -> None:
    changes, reason = BAD_FIELDS[case]
    report = load_lines(connection, folder, [exports.line(0), exports.line(1, **changes)])
    assert report.new == 1
    assert report.skipped == {reason: 1}
    assert report.first == {reason: "chat.jsonl, line 2"}


@pytest.mark.parametrize("gone", ["id", "author_id", "content", "channel"])
def test_a_missing_field_is_counted(
    connection: sqlite3.Connection, folder: Path, gone: str
) -> None:
    raw = exports.line(1)
    del raw[gone], raw["channel_id"]
    report = load_lines(connection, folder, [exports.line(0), raw])
    assert (report.new, report.skipped) == (1, {"a field is missing or malformed": 1})


@pytest.mark.parametrize(
    "line",
    [b"not json", b"[]", b"5", b'"x"', b"{}", b'{"id": "\xff"}', b'{"content": "\\ud800"}', b"{"],
)
def test_a_line_that_is_no_message_is_counted(
    connection: sqlite3.Connection, folder: Path, line: bytes
) -> None:
    sound = own_lines(TEXTS).encode()
    (folder / "x.jsonl").write_bytes(line + b"\n\n" + sound)
    report = importer.load(connection, folder)
    assert (report.new, sum(report.skipped.values()), report.broken) == (5, 1, [])


@pytest.mark.parametrize(
    "bad", [b"\xff\xfe\x80", b"\\ud800", b"\\udc00x", b"\x01", b"\\x", b"\xed\xa0\x80"]
)
@pytest.mark.parametrize("name", ["general.json", "chat.jsonl", "page.json"])
def test_text_that_cannot_be_stored_costs_one_message(
    connection: sqlite3.Connection, folder: Path, name: str, bad: bytes
) -> None:
    whole = ONE_FILE_FORMATS[name](["one", "two HERE", "three"]).encode()
    (folder / name).write_bytes(whole.replace(b"HERE", bad))
    report = importer.load(connection, folder)
    assert texts(connection) == ["one", "three"]
    assert report.skipped == {"not valid JSON in UTF-8": 1}
    assert not report.broken


def test_invalid_bytes_cost_one_message_of_a_page(
    connection: sqlite3.Connection, folder: Path
) -> None:
    whole = web_page(["one", "two HERE", "three"]).encode()
    (folder / "x.html").write_bytes(whole.replace(b"HERE", b"\xff"))
    report = importer.load(connection, folder)
    assert texts(connection) == ["one", "three"]
    assert report.skipped == {"text that is not valid UTF-8": 1}


def test_a_nul_in_a_text_is_kept(connection: sqlite3.Connection, folder: Path) -> None:
    raw = exports.line(0, "a\0b", reactions=[{"emoji": "\0", "count": 1}])
    load_lines(connection, folder, [raw])
    (found,) = messages.history(connection)
    assert (found.content, found.reactions) == ("a\0b", {"\0": 1})


def test_an_empty_export_is_no_error(connection: sqlite3.Connection, folder: Path) -> None:
    exports.write(folder, {"a.json": exports.chat_exporter([]), "b.json": "[]", "c.json": "[ ]\n"})
    report = importer.load(connection, folder)
    assert (report.files, report.messages, report.broken) == (3, 0, [])


def test_a_count_that_does_not_add_up_is_told(connection: sqlite3.Connection, folder: Path) -> None:
    whole = json.loads(exports.chat_exporter_texts(TEXTS))
    (folder / "x.json").write_text(json.dumps({**whole, "messageCount": 7}))
    report = importer.load(connection, folder)
    assert report.new == 5
    assert report.broken[0].startswith("x.json holds 5 messages and claims 7 at byte ")


def test_what_was_stored_survives_a_bad_import(
    connection: sqlite3.Connection, folder: Path
) -> None:
    known = Message(message_id(99), CHANNEL, ANN, "Ann", "precious")
    messages.save(connection, [known])
    (folder / "x.json").write_bytes(exports.chat_exporter_texts(TEXTS).encode()[:900])
    importer.load(connection, folder)
    assert "precious" in texts(connection)


def test_progress_ends_at_the_whole(connection: sqlite3.Connection, folder: Path) -> None:
    exports.write(folder, {"a.jsonl": own_lines(["x"] * 12_000), "b.txt": "no export"})
    seen: list[tuple[int, int, int]] = []
    importer.load(connection, folder, on_progress=lambda *now: seen.append(now))
    size = sum(path.stat().st_size for path in folder.iterdir())
    assert seen == sorted(seen) and len(seen) >= 3
    assert seen[-1] == (size, size, 12_000)


def test_a_large_file_needs_little_memory(connection: sqlite3.Connection, folder: Path) -> None:
    """20 MB of messages; the whole file as Python objects would take more than 100."""
    padding: dict[str, Any] = {"embeds": [{"description": "x" * 6000}]}
    raw = [exports.chat_exporter_message(n, **padding) for n in range(3000)]
    (folder / "x.json").write_text(exports.chat_exporter(raw))
    assert (folder / "x.json").stat().st_size > 19_000_000
    del raw
    tracemalloc.start()
    try:
        report = importer.load(connection, folder)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.new == 3000 and peak < 8_000_000


def test_a_value_without_an_end_is_given_up() -> None:
    def endless() -> Iterator[bytes]:
        yield b'{"messages": [{"content": "'
        while True:
            yield b"x" * 8_000_000

    with pytest.raises(Broken, match="more than 16 MiB"):
        list(json_stream.records(endless(), ("messages.item",)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_chunks_may_end_anywhere(size: int) -> None:
    whole = exports.chat_exporter_texts(['a "quoted" \\ {brace', "] } [", "ü🙂", ""]).encode()
    chunks = [whole[at : at + size] for at in range(0, len(whole), size)]
    found = list(json_stream.records(chunks, ("messages.item", "channel")))
    assert [path for path, _, _ in found] == ["channel"] + ["messages.item"] * 4
    assert all(whole[at:].startswith(raw) for _, at, raw in found)
    assert [json.loads(raw)["content"] for _, _, raw in found[1:]] == [
        'a "quoted" \\ {brace',
        "] } [",
        "ü🙂",
        "",
    ]


@pytest.mark.parametrize(
    "written",
    [
        "2022-05-17T06:05:16.28Z",
        "2022-05-17T06:05:16.2800000+00:00",
        "2022-05-17 06:05:16.280",
        "2022-05-17T08:05:16.28+0200",
        "2022-05-17 06:05:16.280000 UTC",
    ],
)
def test_moments_are_read_as_every_python_must(written: str) -> None:
    assert ids.seconds(written) == 1_652_767_516.28
    assert ids._written_otherwise(written).timestamp() == 1_652_767_516.28


def test_a_source_reads_only_what_is_asked_for(folder: Path) -> None:
    (folder / "x.jsonl").write_bytes(b"x" * 5_000_000)
    path = folder / "x.jsonl"
    source = Source("x", path.stat().st_size, lambda: path.open("rb"))
    assert len(source.head()) == 65_536
    assert source.done < 1_000_000


def _files_of_all_formats() -> dict[str, bytes]:
    words = [*TEXTS, 'x "y" <b>z</b> & \\ {', "ü" * 50] * 3
    files = {name: made(words).encode() for name, made in ONE_FILE_FORMATS.items()}
    for name, text in exports.package(words, as_csv=True).items():
        files[f"package/{name}"] = text.encode()
    files["chat.jsonl.gz"] = gzip.compress(files["chat.jsonl"])
    return files


@pytest.mark.parametrize("seed", range(40))
def test_damage_never_stops_an_import(
    connection: sqlite3.Connection, folder: Path, seed: int
) -> None:
    """Cuts and flipped bits anywhere, in every format and in a zip of them all."""
    dice = random.Random(seed)
    files = {name: _damaged(data, dice) for name, data in _files_of_all_formats().items()}
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    with zipfile.ZipFile(folder / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    (folder / "all.zip").write_bytes(_damaged((folder / "all.zip").read_bytes(), dice))
    try:
        importer.load(connection, folder)
    except UserError:
        assert not texts(connection)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_zip_with_a_damaged_list_is_never_a_crash(
    connection: sqlite3.Connection, folder: Path
) -> None:
    path = exports.zipped(folder / "x.zip", exports.package(TEXTS))
    whole, dice = path.read_bytes(), random.Random(5)
    for _ in range(300):
        changed = bytearray(whole)
        changed[-dice.randrange(1, 900)] = dice.randrange(256)
        path.write_bytes(changed)
        with contextlib.suppress(UserError):
            importer.load(connection, path)


def _damaged(data: bytes, dice: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(dice.choice([0, 1, 1, 5, 50])):
        changed[dice.randrange(len(changed))] ^= 1 << dice.randrange(8)
    return bytes(changed[: dice.randrange(len(changed))] if dice.random() < 0.4 else changed)
