"""DiscordChatExporter's HTML of one message's text, turned back into what the person typed."""

import dataclasses
import re

_AROUND = {"strong": "**", "b": "**", "em": "*", "i": "*", "u": "__", "s": "~~"}
_BEFORE_LINE = {"h1": "# ", "h2": "## ", "h3": "### ", "li": "- "}
_EMOJI_FILE = re.compile(r"(?:^|[/\\])(\d{15,20})(?:-\w+)?\.(\w+)")
_LANGUAGE = re.compile(r"\blanguage-(\S+)")

Attributes = dict[str, str]


@dataclasses.dataclass
class Opened:
    """A tag whose end is awaited: where its text starts, and what becomes of it."""

    start: int
    before: str = ""
    after: str = ""
    is_quote: bool = False
    link: str = ""


class MessageText:
    """Collects a message's text from the tags and the text in them."""

    def __init__(self) -> None:
        self._pieces: list[str] = []

    def text(self) -> str:
        """All of it; Discord itself cuts spaces and empty lines at both ends."""
        return "".join(self._pieces).strip()

    def add(self, text: str) -> None:
        self._pieces.append(text)

    def opened(self, tag: str, attributes: Attributes) -> Opened:
        """A tag begins; hand back what this returns to `closed`."""
        kind = attributes.get("class", "").strip()
        place = Opened(len(self._pieces))
        if "pre--inline" in kind:
            place.before = place.after = "`"
        elif "pre--multiline" in kind:
            language = _LANGUAGE.search(kind)
            place.before, place.after = f"```{language[1] if language else ''}\n", "\n```\n"
        elif "spoiler" in kind and "onclick" in attributes:
            place.before = place.after = "||"
        elif kind.endswith("quote"):
            place.is_quote = True
        elif tag == "a":
            place.link = attributes.get("href", "")
        elif tag in _AROUND:
            place.before = place.after = _AROUND[tag]
        elif tag in _BEFORE_LINE:
            place.before, place.after = _BEFORE_LINE[tag], "\n"
        return place

    def closed(self, place: Opened) -> None:
        """The tag's end."""
        inner = "".join(self._pieces[place.start :])
        del self._pieces[place.start :]
        if place.is_quote:
            inner = "> " + inner.rstrip("\n").replace("\n", "\n> ") + "\n"
        if place.link and inner != place.link:
            inner = f"[{inner}]({place.link})"
        self.add(place.before + inner + place.after)


def emoji(attributes: Attributes) -> str:
    """An emoji's image: the character itself, or `<:name:id>` for a server's own."""
    name = attributes.get("alt", "")
    file = _EMOJI_FILE.search(attributes.get("src", "").partition("?")[0])
    if not name or not file:
        return name
    return f"<{'a' if file[2] == 'gif' else ''}:{name.strip(':')}:{file[1]}>"
