"""The window's words in another language, where somebody has translated them.

A translation is gui/locales/LANGUAGE/LC_MESSAGES/window.mo. Babel collects what is to be said:

    pybabel extract -k label:2 -k heading:2 -k button:2 -k switch:2 -k entry:2 -k set_text:2
        -o gui/locales/window.pot gui

Words are looked up where they are shown (`gui/components/controls.py`), so that all others write
plain English.
"""

import gettext
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "locales"

_found = gettext.translation("window", _FOLDER, fallback=True)


def translate(text: str) -> str:
    """The words to show; the same where nobody has translated them."""
    return _found.gettext(text) if text else ""  # gettext's own "" is the file's header
