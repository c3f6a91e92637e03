"""The launcher's own file: kept, forgiving, and never in the way."""

import json
from pathlib import Path

import pytest

from gui import preferences
from gui.preferences import FILE, Preferences


def test_what_was_kept_is_read_again(tmp_path: Path) -> None:
    kept = Preferences(starts_bot=True, notices="errors", scale=150, keep_messages_days=90)
    preferences.write(tmp_path / "new", kept)
    assert preferences.read(tmp_path / "new") == kept


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", '"x"', "\ufeff{}", '{"scale": 1e999}', "\x00" * 100]
)
def test_garbage_counts_as_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE).write_text(text, "utf-8")
    assert preferences.read(tmp_path) == Preferences()


def test_nonsense_in_one_field_leaves_the_others(tmp_path: Path) -> None:
    fields = {
        "scale": 9000,
        "notices": "loud",
        "starts_bot": 1,
        "sounds": True,
        "keep_logs_days": 7,
    }
    (tmp_path / FILE).write_text(json.dumps(fields), "utf-8")
    assert preferences.read(tmp_path) == Preferences(sounds=True, keep_logs_days=7)


def test_what_a_newer_release_kept_survives(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"hologram": true}', "utf-8")
    preferences.write(tmp_path, Preferences())
    assert json.loads((tmp_path / FILE).read_text("utf-8"))["hologram"] is True
