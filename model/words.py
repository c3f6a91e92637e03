"""Words, as copies are told by: without case, punctuation or how an apostrophe is typed."""

import re

_CJK = "\u3040-\u30ff\u3400-\u9fff"  # written without spaces: a character counts as a word
_LETTER = rf"[^\W_{_CJK}]"
_WORD = re.compile(rf"[{_CJK}]|{_LETTER}+(?:'{_LETTER}+)*")


def words(text: str) -> list[str]:
    """The words of a text, in their order."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))
