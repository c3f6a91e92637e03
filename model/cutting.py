"""A text cut to the length of one Discord message, where nothing that is drawn as one is broken.

Discord counts code points (its staff in discord-api-docs issue 1315); discord.py does not check.
"""

import re

import wcwidth

DISCORD_LIMIT = 2000

_WHOLE = re.compile(r"<a?:\w+:[0-9]+>|```")  # several characters that mean one thing
_FENCE = "```"


def fit(text: str, limit: int = DISCORD_LIMIT) -> str:
    """The text, or as much of its beginning as Discord takes; a code fence that is cut is closed.

    Never ends within a grapheme cluster: an emoji of several, a flag, a letter and its accents.
    """
    if len(text) <= limit:
        return text
    kept = _beginning(text, limit)
    if _is_closed(kept):
        return kept
    kept = _beginning(text, limit - len(_FENCE) - 1)
    if _is_closed(kept):
        return kept  # the fence opened in what is gone now
    if kept.endswith(_FENCE):
        return kept.removesuffix(_FENCE).rstrip()
    return f"{kept}\n{_FENCE}"


def _beginning(text: str, limit: int) -> str:
    end = 0
    for cluster in wcwidth.iter_graphemes(text):
        if end + len(cluster) > limit:
            break
        end += len(cluster)
    for unit in _WHOLE.finditer(text[: limit + 100]):
        if unit.start() < end < unit.end():
            end = unit.start()
    return text[:end].rstrip()


def _is_closed(text: str) -> bool:
    return text.count(_FENCE) % 2 == 0
