"""Numbers as people type them: `0.8`, `0,8`, `5%`, and the digits of any script."""

import re
import unicodedata

LONGEST = 32  # characters; longer than any number that makes sense here
_NUMBER = re.compile(r"([+-]?(?:\d{1,9}(?:\.\d{0,9})?|\.\d{1,9}))\s?(%?)")
_MARKS = str.maketrans({",": ".", "\u066b": ".", "\u066a": "%", "\u2212": "-"})  # Arabic, minus


def read(text: str, *, takes_percent: bool = False) -> float | None:
    """The number that a text is, or None: no words, no exponent, no infinity.

    `5%` is 0.05, where that is asked for.
    """
    if len(text) > LONGEST:
        return None
    plain = unicodedata.normalize("NFKC", text).translate(_MARKS).strip()
    match = _NUMBER.fullmatch(plain)
    if not match or (match[2] and not takes_percent):
        return None
    value = float(match[1]) + 0.0  # and no minus zero
    return round(value / 100, 12) if match[2] else value


def whole(text: str) -> int | None:
    """The whole number that a text is, or None."""
    value = read(text)
    return int(value) if value is not None and value.is_integer() else None
