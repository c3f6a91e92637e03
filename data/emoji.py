"""What a reaction's emoji says of a message: liked, disliked, or neither."""

import functools
import re

# Skulls, tears, clowns and fists are laughter and cheering in chat: not in here.
NEGATIVE = frozenset("👎😡😠🤬🤮🤢😒🙄💩❌🚫⛔🙅🖕🥱🚮😾")
# Doubt and questions say nothing about quality; letters, like digits, are votes in a poll.
NEUTRAL = frozenset("🤔🤨😐😑😕🤦🤷❓❔🔟🅰🅱")
NEGATIVE_NAMES = frozenset(
    {"-1", "boo", "boring", "cringe", "disagree", "disgusting", "dislike", "downvote", "eww"}
    | {"fail", "gross", "hate", "minusone", "nope", "puke", "thumbsdown", "trash", "ugh", "vomit"}
    | {"wrong", "yikes", "yuck"}
)

_CUSTOM = re.compile(r"<?a?:([^:]+):\d*>?")  # <:name:id>, <a:name:id> or :name:
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
_VARIANT = re.compile("[\ufe0f\U0001f3fb-\U0001f3ff]|\u200d.*")  # colour, skin tone, gender
_BALLOT = re.compile("[0-9#*]\u20e3|[\U0001f1e6-\U0001f1ff]")  # two such letters are a flag


@functools.lru_cache(4096)
def sign(emoji: str) -> int:
    """1 for an emoji that approves, -1 for one that rejects, 0 for neither."""
    custom = _CUSTOM.fullmatch(emoji)
    if custom:
        return -1 if _is_negative(custom[1]) else 1
    plain = _VARIANT.sub("", emoji)
    if plain in NEUTRAL or _BALLOT.fullmatch(plain):
        return 0
    return -1 if plain in NEGATIVE else 1


def _is_negative(name: str) -> bool:
    """Whether a server's own emoji rejects: `downvote`, `thumbs_down` and `pepeNope` do."""
    words = [word.lower() for word in _WORD.findall(name)]
    return not NEGATIVE_NAMES.isdisjoint({name, "".join(words), *words})
