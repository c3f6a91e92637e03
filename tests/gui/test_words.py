"""Translations: looked up where words are shown, and never in the way."""

import gettext
from typing import Any

import pytest

from gui import words
from gui.components import controls


class _German(gettext.NullTranslations):
    def gettext(self, message: str) -> str:
        return {"Start": "Starten", "": "Project-Id-Version: 1"}.get(message, message)


def test_a_translated_window_says_so(tk_root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "_found", _German())
    button = controls.button(tk_root, "Start", lambda: None)
    assert button.cget("text") == "Starten"
    label = controls.label(tk_root)
    assert label.cget("text") == ""
    controls.set_text(label, "amber-fox said \u201cStart\u201d")
    assert label.cget("text") == "amber-fox said \u201cStart\u201d"


def test_without_a_translation_words_stay() -> None:
    assert words.translate("Start") == "Start"
