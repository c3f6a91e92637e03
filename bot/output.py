"""What leaves the bot: a reply as the messages that are sent for it, or nothing.

Its style is not touched. Nothing leaves that pings, that only shows what a model is (a loop, an
empty line, an emoji that this server no longer has), or that links to where nobody here did.
`prompts.clean` has removed the template's artefacts before.
"""

import dataclasses
import functools
import re
import unicodedata
from collections.abc import Callable, Collection, Iterable, Mapping

from rich.emoji import Emoji

from bot import loops
from model import prompts
from model.cutting import fit

_PING = r"<@[!&]?[0-9]{1,20}>"
_PERSON = re.compile(r"<@!?([0-9]+)>")
_EMOJI = r":[A-Za-z0-9_]{2,32}:"
_CODE_OR_LINK = r"```.*?(?:```|\Z)|`[^`\n]+`|https?://\S+|<a?:\w+:[0-9]+>"
_LINK = re.compile(
    r"(?:https?://|\b(?:discord\.gg|dsc\.gg|discord(?:app)?\.com/invite)/)[^\s<>()\[\]]+", re.I
)
_MARKUP = re.compile(r"^(?:>>>|>|#{1,3}|-#)(?:\s|$)|[*_~|`]", re.MULTILINE)
_AT = re.compile(r"@[\w.-]+")
_FILLERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")  # drawn as nothing, by definition


@dataclasses.dataclass(frozen=True)
class Room:
    """What a reply may refer to.

    `names`: the people of the conversation; `shown`: the texts of the prompt; `emoji`: the
    server's own that the bot may use, as they are written, by name (`{"pog": "<:pog:1>"}`);
    `former_emoji`: names of custom emoji that members ever used here.
    """

    names: Mapping[int, str]
    shown: Collection[str]
    emoji: Mapping[str, str] = dataclasses.field(default_factory=dict)
    former_emoji: Collection[str] = frozenset()


def messages(reply: str, room: Room) -> list[str]:
    """The messages of a cleaned reply, in their order; none for one that must not be sent."""
    if loops.is_loop(reply):
        return []
    text = with_emoji(without_pings(reply, room.names), room.emoji, room.former_emoji)
    burst = [fit(said) for said in prompts.split(text)]
    return [
        said
        for said in burst
        if not is_empty(said, room.names.values()) and not has_unknown_link(said, room.shown)
    ]


def is_empty(text: str, names: Iterable[str] = ()) -> bool:
    """Whether nothing would be read: no text, characters that are not drawn, mere markup, a name.

    `names` are the people whose mention alone says nothing.
    """
    for name in sorted(names, key=len, reverse=True):
        text = text.replace(f"@{prompts.clean_name(name)}", "")
    return not any(map(_is_drawn, _MARKUP.sub("", _AT.sub("", text))))


def without_pings(text: str, names: Mapping[int, str]) -> str:
    """Mentions as members read them: `@name`, and nothing for a role or somebody not known.

    `@everyone` and `@here` stay: they are mere text, as all that is sent may mention nobody.
    """

    def readable(ping: str) -> str:
        person = _PERSON.fullmatch(ping)
        name = names.get(int(person[1])) if person else None
        return f"@{prompts.clean_name(name)}" if name else ""

    text = _rows(_PING).sub(functools.partial(_replaced, _PING, readable), text)
    # a name, or what stood around a removed mention, may spell another one
    return text.replace("<@", "@") if re.search(_PING, text) else text


def with_emoji(text: str, emoji: Mapping[str, str], former: Collection[str]) -> str:
    """`:pog:` as this server's emoji; one that it once had is removed. Code and links stay."""

    def drawn(shortcode: str) -> str:
        name = shortcode[1:-1]
        if name in former and Emoji.replace(shortcode) == shortcode:  # no Unicode emoji either
            return emoji.get(name, "")
        return emoji.get(name, shortcode)

    row = _rows(_EMOJI, after_none_of=":0-9", untouched=_CODE_OR_LINK)
    return row.sub(functools.partial(_replaced, _EMOJI, drawn), text)


def has_unknown_link(text: str, shown: Iterable[str]) -> bool:
    """Whether there is a link or an invite that nobody posted in the conversation.

    The model has it from its training data, where it was meant for others, or made it up.
    """
    links = set(_links(text))
    return bool(links) and not links <= {link for known in shown for link in _links(known)}


def _links(text: str) -> list[str]:
    found = (re.sub(r"^https?://", "", link, flags=re.I) for link in _LINK.findall(text))
    return [link.rstrip("/.,;:!?'\"*_~|`") for link in found]


def _is_drawn(character: str) -> bool:
    """Whether a character shows by itself: no space, control, format sign or mere accent.

    One that this Python does not know yet may be an emoji.
    """
    kind = unicodedata.category(character)
    return kind[0] not in "ZM" and kind not in ("Cc", "Cf", "Cs") and character not in _FILLERS


@functools.cache
def _rows(unit: str, after_none_of: str = "", untouched: str = "(?!)") -> re.Pattern[str]:
    """Units in a row with a space at most between them, and the spaces around them."""
    guard = f"(?<![{after_none_of}])" if after_none_of else ""
    row = f"( ?){guard}({unit}(?: ?{unit})*)( ?)"
    return re.compile(f"({untouched})|{row}", re.DOTALL)


def _replaced(unit: str, replace: Callable[[str], str], match: re.Match[str]) -> str:
    """A row of units, each replaced; one that becomes nothing takes a space with it."""
    untouched, before, row, after = match.groups()
    if row is None:
        return str(untouched)
    units = re.findall(f"( ?)({unit})", row)
    made = "".join(space + new for space, old in units if (new := replace(old)))
    if made:
        return f"{before}{made.lstrip()}{after}"
    opens_a_line = match.start() == 0 or match.string[match.start() - 1] == "\n"
    return "" if opens_a_line else str(after)
