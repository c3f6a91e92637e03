"""What somebody wrote, as patterns can read it: small letters, no code, links or odd signs."""

import re
import unicodedata

LONGEST = 1_000  # characters that are looked at: the beginning and the end of what is longer
_END = 300
_DISCORDS_LONGEST = 4_000

_CODE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`", re.DOTALL)
_QUOTED = re.compile(r"^>.*$", re.MULTILINE)
_LINK = re.compile(r"https?://\S+|<a?:\w{1,40}:\d{1,22}>|<(?:#|@&)\d{1,22}>")
_MENTION = re.compile(r"<@!?(\d{1,22})>")
_REPEATED = re.compile(r"(\w)\1{2,}")
_MARKS = str.maketrans("\u2019\u2018\u02bc\u201c\u201d", "'''\"\"")
_STYLE = str.maketrans("", "", "*_~|")


def plain(text: str) -> str:
    """A text in one line, as `readable` gives it; the middle of what is too long is left out."""
    text = " ".join(readable(text).split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - _END]} {text[-_END:]}"


def readable(text: str, repeats: int = 2) -> str:
    """Small letters, line by line; marks that pile up or turn the direction are gone.

    A letter that is repeated often is left so many times. A mention reads "somebody". Takes a few
    milliseconds at most, whatever the text.
    """
    text = unicodedata.normalize("NFKD", text[:_DISCORDS_LONGEST].translate(_MARKS))
    text = text[:_DISCORDS_LONGEST]  # a sign may become eighteen
    if not text.isascii():
        text = "".join(c for c in text if unicodedata.category(c) not in ("Mn", "Me", "Cf"))
    text = _QUOTED.sub(" ", _CODE.sub(" ", text))
    text = _MENTION.sub(" somebody ", _LINK.sub(" ", text))
    text = _REPEATED.sub(r"\1" * repeats, text.translate(_STYLE).casefold())
    return "\n".join(" ".join(line.split()) for line in text.splitlines()).strip()
