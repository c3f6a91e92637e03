"""One instance at a time, with real processes."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import single_instance
from bot.config import ROOT, UserError
from single_instance import AlreadyRunning, Instance, acquire

HOLDER = """
import sys, time
from pathlib import Path
import single_instance
try:
    instance = single_instance.acquire(Path(sys.argv[1]), "the window")
except single_instance.AlreadyRunning as other:
    print(other, flush=True)
    sys.exit(3)
print("first", flush=True)
while not instance.was_called():
    time.sleep(0.01)
print("called", flush=True)
sys.stdin.read()
"""

Process = subprocess.Popen[str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[], Process]]:
    with contextlib.ExitStack() as stack:

        def make() -> Process:
            process = subprocess.Popen(
                [sys.executable, "-c", HOLDER, str(tmp_path)],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield make


@pytest.fixture
def first(tmp_path: Path) -> Iterator[Instance]:
    instance = acquire(tmp_path, "the window")
    yield instance
    instance.close()


def said(process: Process) -> str:
    assert process.stdout
    return process.stdout.readline().strip()


def until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.01)


def test_the_second_start_ends_and_calls_the_first(start: Callable[[], Process]) -> None:
    one = start()
    assert said(one) == "first"
    two = start()
    assert said(two) == (
        f"Discord Personality Bot is already running (the window, process {one.pid})."
    )
    assert two.wait(20) == 3
    assert said(one) == "called"


def test_of_many_starts_at_once_one_wins(start: Callable[[], Process]) -> None:
    processes = [start() for _ in range(8)]
    words = [said(process) for process in processes]
    assert words.count("first") == 1
    assert all(word == "first" or "already running" in word for word in words)


def test_after_a_kill_the_next_start_is_the_first(start: Callable[[], Process]) -> None:
    for _ in range(3):
        process = start()
        assert said(process) == "first"
        process.kill()
        process.wait(20)


def test_a_call_is_told_once(tmp_path: Path, first: Instance) -> None:
    assert not first.was_called()
    with pytest.raises(AlreadyRunning):
        acquire(tmp_path, "a terminal")
    assert first.was_called()
    assert not first.was_called()


def test_it_can_be_had_again_after_close(tmp_path: Path) -> None:
    for _ in range(2):
        acquire(tmp_path, "the window").close()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of files")
def test_the_key_is_for_the_owner_only(tmp_path: Path, first: Instance) -> None:
    folder = tmp_path / "instance"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((folder / "address.json").stat().st_mode) == 0o600


GARBAGE = (
    *(b"", b"\x00", b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 4096, b"\x7f\xff\xff\xff"),
    *(b"\0\0\0\4show", (64).to_bytes(4, "big") + b"0" * 64),
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_ignored(tmp_path: Path, first: Instance, garbage: bytes) -> None:
    if sys.platform == "win32":
        pytest.skip("a pipe, not a socket")
    address = json.loads((tmp_path / "instance" / "address.json").read_text())["address"]
    with socket.socket(socket.AF_UNIX) as rude, socket.socket(socket.AF_UNIX) as silent:
        silent.connect(address)
        rude.connect(address)
        with contextlib.suppress(OSError):  # it may hang up in the middle
            rude.sendall(garbage)
        assert not first.was_called()
        with pytest.raises(AlreadyRunning, match="the window"):
            acquire(tmp_path, "a terminal")
        until(first.was_called)


STALE = (
    *("", "{", "[]", "7", '{"pid": 1}', "\x00", '{"pid": 1e999}', "[" * 100_000),
    *(
        json.dumps({"pid": 1, "what": "x", "address": address, "key": "k"})
        for address in ("", "\0", "x" * 500, "nowhere")
    ),
)


@pytest.mark.parametrize("text", STALE, ids=range(len(STALE)))
def test_what_is_stale_in_the_folder_never_blocks_a_start(tmp_path: Path, text: str) -> None:
    folder = tmp_path / "instance"
    folder.mkdir()
    (folder / "address.json").write_text(text)
    (folder / "socket").write_text("no socket")
    (folder / "lock").write_text("12345")
    acquire(tmp_path, "the window").close()


def test_a_holder_that_cannot_be_called_is_still_the_one(
    tmp_path: Path, first: Instance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(single_instance, "ANSWER_SECONDS", 0.2)
    (tmp_path / "instance" / "address.json").write_text("{")
    with pytest.raises(AlreadyRunning, match="not known"):
        acquire(tmp_path, "the window")


def test_a_path_too_long_for_a_socket_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30)
    instance = acquire(folder, "the window")
    with pytest.raises(AlreadyRunning, match=str(os.getpid())):
        acquire(folder, "the window")
    until(instance.was_called)
    instance.close()


def test_a_folder_that_cannot_be_written_to_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Check that it is writable"):
        acquire(tmp_path / "file", "the window")


def test_folders_are_apart(tmp_path: Path, first: Instance) -> None:
    acquire(tmp_path / "other", "the window").close()
