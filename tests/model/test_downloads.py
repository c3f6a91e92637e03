"""Fetching a model from a loopback server that speaks the hub's HTTP, and all that can go wrong."""

import asyncio
import dataclasses
import errno
import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bot.config import ROOT, UserError
from model import base_models, downloads
from model.base_models import FITS, TIGHT, TOO_BIG, BaseModel, Machine
from storage import lock_file

CONTENT = b"GGUF" + os.urandom(3_000_000)
MODEL = dataclasses.replace(
    base_models.BASE_MODELS[0], repo="Some/One", file="m.gguf", size_bytes=len(CONTENT)
)
FILE = f"/{MODEL.repo}/resolve/main/{MODEL.file}"
GB = 10**9


class Hub(ThreadingHTTPServer):
    """The hub's answers: the facts with a redirect, and the file from a content network."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sha256 = hashlib.sha256(CONTENT).hexdigest()
        self.status = 302
        self.breaks_at: list[int] = []  # bytes of each answer still to come that is cut there
        self.knows_ranges = True
        self.busy_times = 0
        self.is_slow = False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        if self.path == "/Old/Name" + FILE.removeprefix("/Some/One"):
            self._say(307, Location=FILE)
        elif self.path != FILE or self.server.status != 302:
            self._say(404 if self.path != FILE else self.server.status)
        else:
            facts = {"X-Linked-Etag": f'"{self.server.sha256}"', "X-Linked-Size": str(len(CONTENT))}
            self._say(302, Location=f"{self.server.url}/cdn/{MODEL.file}?signature=1", **facts)

    def do_GET(self) -> None:
        hub = self.server
        if self.path == FILE:
            self._say(302, Location=f"{hub.url}/cdn/{MODEL.file}?signature=1")
            return
        asked = self.headers.get("Range", "")
        hub.asked.append(asked)
        if hub.busy_times:
            hub.busy_times -= 1
            self._say(503)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.knows_ranges else 0
        end = len(CONTENT)
        more = {"Content-Range": f"bytes {start}-{end - 1}/{end}"} if start else {}
        self.send_response(206 if start else 200)
        for name, value in {"Content-Length": str(end - start), **more}.items():
            self.send_header(name, value)
        self.end_headers()
        stop = hub.breaks_at.pop(0) if hub.breaks_at else end
        for place in range(start, stop, 100_000):
            self.wfile.write(CONTENT[place : min(stop, place + 100_000)])
            if hub.is_slow:
                time.sleep(0.05)
        if stop < end:
            self.connection.close()

    def _say(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass

    def finish(self) -> None:
        try:
            super().finish()
        except OSError:
            return  # who asked has left


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    yield server
    server.shutdown()
    server.server_close()


def fetch(folder: Path, model: BaseModel = MODEL, **how: Any) -> Path:
    return downloads.fetch(model, folder, retry_seconds=0.0, **how)


def partial(folder: Path) -> list[Path]:
    return list((folder / "base").glob("*.partial"))


def test_a_model_arrives_whole_and_under_its_name(hub: Hub, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = fetch(tmp_path, report=lambda done, total: seen.append((done, total)))
    assert path == tmp_path / "base" / "m.gguf"
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT)) and sorted(seen) == seen
    assert not partial(tmp_path)


def test_what_is_there_is_not_fetched_again(hub: Hub, tmp_path: Path) -> None:
    fetch(tmp_path)
    fetch(tmp_path)
    assert len(hub.asked) == 1


def test_a_drop_at_60_percent_goes_on_at_60_percent(hub: Hub, tmp_path: Path) -> None:
    place = len(CONTENT) * 6 // 10
    hub.breaks_at = [place]
    assert fetch(tmp_path).read_bytes() == CONTENT
    first, second = hub.asked
    assert not first
    assert 0 < int(second.removeprefix("bytes=").rstrip("-")) <= place


def test_many_drops_are_survived_as_long_as_something_comes(hub: Hub, tmp_path: Path) -> None:
    hub.breaks_at = list(range(300_000, len(CONTENT), 300_000))
    assert fetch(tmp_path).read_bytes() == CONTENT


def test_a_network_that_stays_away_is_a_sentence_and_keeps_what_came(
    hub: Hub, tmp_path: Path
) -> None:
    hub.breaks_at = [len(CONTENT) // 2] + [0] * 20
    with pytest.raises(UserError, match=r"the connection broke.*What came is kept"):
        fetch(tmp_path)
    (kept,) = partial(tmp_path)
    assert kept.stat().st_size > 1_000_000
    hub.breaks_at = []
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert hub.asked[-1].startswith("bytes=")


def test_a_hub_that_ignores_ranges_sends_all_again(hub: Hub, tmp_path: Path) -> None:
    hub.breaks_at, hub.knows_ranges = [len(CONTENT) // 2], False
    assert fetch(tmp_path).read_bytes() == CONTENT


def test_a_busy_hub_is_asked_again(hub: Hub, tmp_path: Path) -> None:
    hub.busy_times = 2
    assert fetch(tmp_path).read_bytes() == CONTENT


def test_a_wrong_hash_is_thrown_away(hub: Hub, tmp_path: Path) -> None:
    hub.sha256 = "0" * 64
    with pytest.raises(UserError, match="came damaged"):
        fetch(tmp_path)
    assert not partial(tmp_path) and not (tmp_path / "base" / "m.gguf").exists()


def test_a_file_that_changed_on_the_hub_is_not_mixed_with_the_old_one(
    hub: Hub, tmp_path: Path
) -> None:
    old = tmp_path / "base" / "m.gguf.aaaaaaaaaaaa.partial"
    old.parent.mkdir()
    old.write_bytes(b"old" * 1000)
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert not partial(tmp_path)


@pytest.mark.parametrize(
    ("status", "says"),
    [(404, "not on the hub any more"), (401, "wants an account"), (403, "wants an account")],
)
def test_a_refusal_says_to_choose_another(hub: Hub, tmp_path: Path, status: int, says: str) -> None:
    hub.status = status
    with pytest.raises(UserError, match=says):
        fetch(tmp_path)


def test_a_hub_without_checksums_is_not_trusted(hub: Hub, tmp_path: Path) -> None:
    hub.sha256 = "W/nonsense"
    with pytest.raises(UserError, match="does not say what the file"):
        fetch(tmp_path)


def test_a_renamed_repository_is_followed(hub: Hub, tmp_path: Path) -> None:
    moved = dataclasses.replace(MODEL, repo="Old/Name")
    assert fetch(tmp_path, moved).read_bytes() == CONTENT


def test_no_network_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(UserError, match=r"no connection.*Check the network"):
        fetch(tmp_path)


def test_a_disk_without_room_is_noticed_before_the_first_byte(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base_models, "free_disk", lambda folder: 1_000_000)
    with pytest.raises(UserError, match="disk is too full"):
        fetch(tmp_path)
    assert not hub.asked


def test_a_disk_that_fills_up_keeps_what_came(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(downloads, "_receive", full)
    with pytest.raises(UserError, match=r"is full\. What came is kept"):
        fetch(tmp_path)


def test_pausing_works_at_once_and_keeps_what_came(hub: Hub, tmp_path: Path) -> None:
    hub.is_slow, seen = True, [0]

    def report(done: int, total: int) -> None:
        seen[0] = done

    with pytest.raises(downloads.Paused):
        fetch(tmp_path, report=report, is_stopped=lambda: seen[0] > 500_000)
    (kept,) = partial(tmp_path)
    assert 0 < kept.stat().st_size < len(CONTENT)
    hub.is_slow = False
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert hub.asked[-1].startswith("bytes=")


def test_two_downloads_do_not_meet(hub: Hub, tmp_path: Path) -> None:
    lock = tmp_path / "base" / ".download.lock"
    with lock_file.held(lock, ""), pytest.raises(UserError, match="running already"):
        fetch(tmp_path)


def test_a_killed_download_goes_on(hub: Hub, tmp_path: Path) -> None:
    hub.is_slow = True
    code = (
        "import dataclasses, sys; from pathlib import Path; from model import downloads\n"
        "from model.base_models import BASE_MODELS\n"
        "m = dataclasses.replace(BASE_MODELS[0], repo='Some/One', file='m.gguf')\n"
        "downloads.fetch(m, Path(sys.argv[1]), lambda d, t: print(d, flush=True))"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout
    while int(child.stdout.readline()) < 500_000:
        pass
    child.kill()
    child.wait()
    child.stdout.close()
    hub.is_slow = False
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert hub.asked[-1].startswith("bytes=")


def test_no_two_models_share_a_name_or_a_file() -> None:
    models = base_models.BASE_MODELS
    assert len({model.key for model in models}) == len({m.file for m in models}) == len(models)
    assert base_models.by_key(base_models.RECOMMENDED) is models[0]


def test_qwen_is_not_called_free_for_business() -> None:
    qwen = base_models.by_key(base_models.RECOMMENDED)
    assert qwen and not qwen.is_free_for_business and "Research" in qwen.licence


@pytest.mark.parametrize(
    ("memory", "free", "says"),
    [
        (16 * GB, 12 * GB, FITS),
        (8 * GB, 2 * GB, TIGHT),
        (4 * GB, 3 * GB, TIGHT),
        (3 * GB, GB, TOO_BIG),
    ],
)
def test_a_verdict_counts_the_memory(memory: int, free: int, says: str) -> None:
    assert base_models.verdict(base_models.BASE_MODELS[0], Machine(memory, free, 100 * GB)) == says


@pytest.mark.parametrize(
    ("machine", "key"),
    [
        (Machine(16 * GB, 12 * GB, 100 * GB), "qwen2.5-3b"),
        (Machine(4 * GB, 3 * GB, 100 * GB), "gemma-3-1b"),
        (Machine(1 * GB, GB // 2, 100 * GB), "smollm2-135m"),
        (Machine(16 * GB, 12 * GB, GB // 2), "smollm2-135m"),
    ],
)
def test_what_is_recommended_fits(machine: Machine, key: str) -> None:
    assert base_models.recommended(machine).key == key


def test_the_command_line_lists_what_there_is(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "model.downloads", "--models-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0
    *lines, note = done.stdout.splitlines()
    for model, line in zip(base_models.BASE_MODELS, lines, strict=True):
        assert line.startswith(model.key)
        assert re.search(r" about \d+ s| under 1 s| minutes|too big", line)
    assert "A guess from memory" in note


def test_stopping_ends_a_download_that_hangs() -> None:
    async def hang() -> None:
        await asyncio.sleep(3600)

    with pytest.raises(downloads.Paused):
        asyncio.run(downloads._unless_stopped(hang(), lambda: True))
