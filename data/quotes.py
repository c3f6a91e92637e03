"""What others repeat of a person's messages."""

import collections
from collections.abc import Iterable

LONG = 24  # characters; what is shorter, anybody may have written
WORDS = 4


def is_long(text: str) -> bool:
    """Whether a text is long enough to be somebody's own."""
    # other scripts may write without spaces
    return len(text) >= LONG and (len(text.split()) >= WORDS or not text.isascii())


class Quotes:
    """Cuts a person's texts out of others': quoted lines, and longer texts wherever they stand."""

    def __init__(self, texts: Iterable[str]) -> None:
        whole = {text.strip() for text in texts}
        lines = {line.strip() for text in whole for line in text.splitlines()}
        self._quotable = (whole | lines) - {""}
        self._by_beginning: dict[str, list[str]] = collections.defaultdict(list)
        for text in sorted(filter(is_long, self._quotable), key=len, reverse=True):
            self._by_beginning[text[:LONG]].append(text)

    @property
    def long(self) -> list[str]:
        """The texts and lines that are long enough to be found anywhere."""
        return [text for texts in self._by_beginning.values() for text in texts]

    def cut(self, content: str) -> str:
        """The text without what it quotes of the person; the very same if it quotes nothing."""
        if content.startswith(">") or "\n>" in content:
            content = self._cut_lines(content)
        return self._cut_long(content)

    def _cut_lines(self, content: str) -> str:
        """Leave out lines that Discord shows as a quotation: `> one`, or `>>> all that follow`."""
        kept, is_quote = [], False
        for line in content.split("\n"):
            is_quote = is_quote or line.startswith(">>> ")
            quoted = line.removeprefix(">>> ").removeprefix("> ").strip()
            if not ((is_quote or line.startswith("> ")) and quoted in self._quotable):
                kept.append(line)
        return "\n".join(kept)

    def _cut_long(self, content: str) -> str:
        beginnings, position = self._by_beginning, 0
        while position <= len(content) - LONG:
            for text in beginnings.get(content[position : position + LONG], ()):
                if content.startswith(text, position):
                    content = content[:position] + content[position + len(text) :]
                    break
            else:
                position += 1
        return content
