"""An emoji is drawn where Tk survives it, and named where it does not."""

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("tkinter", exc_type=ImportError)

from gui import emoji_probe

DIES = (sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGABRT)")
LIVES = (sys.executable, "-c", "pass")
FAILS = (sys.executable, "-c", "raise SystemExit(1)")


@pytest.fixture(autouse=True)
def _verdict() -> Iterator[None]:
    before = dict(emoji_probe._verdict)
    yield
    emoji_probe._verdict.update(before)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("", ""),
        ("● Läuft, 漢字 ✗ no emoji: 1 # *", "● Läuft, 漢字 :ballot x: no emoji: 1 # *"),
        ("ok 😀!", "ok :grinning face:!"),
        ("👩‍💻👍🏽", ":woman::personal computer::thumbs up sign:"),
        ("1️⃣ ❤️", "1 :heavy black heart:"),
        ("\U0001faff", ":emoji:"),
    ],
)
def test_emoji_are_named_and_all_else_stays(text: str, plain: str) -> None:
    assert emoji_probe.plain(text) == plain


@pytest.mark.skipif(os.name == "nt", reason="no process dies of a signal there")
def test_a_death_is_remembered_and_not_risked_again(tmp_path: Path) -> None:
    assert emoji_probe.find_out(tmp_path, DIES) is False
    assert emoji_probe.shown("😀") == ":grinning face:"
    assert emoji_probe.find_out(tmp_path, LIVES) is False


def test_a_survivor_shows_emoji(tmp_path: Path) -> None:
    assert emoji_probe.find_out(tmp_path / "new", LIVES) is True
    assert emoji_probe.shown("😀") == "😀"
    assert emoji_probe.find_out(tmp_path / "new", FAILS) is True


def test_new_fonts_are_tried_anew(tmp_path: Path) -> None:
    (tmp_path / emoji_probe.FILE).write_text('{"fonts": "other", "is_safe": false}', "utf-8")
    assert emoji_probe.find_out(tmp_path, LIVES) is True


@pytest.mark.parametrize("command", [FAILS, ("/no/such/program",)])
def test_a_probe_that_cannot_be_made_is_careful_and_says_nothing(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    assert emoji_probe.find_out(tmp_path, command) is False
    assert not (tmp_path / emoji_probe.FILE).exists()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"fonts": 1, "is_safe": "yes"}', "\x00"])
def test_a_spoiled_verdict_counts_as_none(tmp_path: Path, text: str) -> None:
    (tmp_path / emoji_probe.FILE).write_text(text, "utf-8")
    assert emoji_probe.find_out(tmp_path, LIVES) is True
    assert json.loads((tmp_path / emoji_probe.FILE).read_text("utf-8"))["is_safe"] is True


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="draws on a display")
def test_the_probe_itself_reaches_a_verdict(tmp_path: Path) -> None:
    assert emoji_probe._survives(emoji_probe.PROBE) is not None
