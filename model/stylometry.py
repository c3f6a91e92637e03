"""Measures of style: what a reader, or a machine, could tell a writer by, whatever is said.

Each is a number per reply. A burst is one reply, its messages a line each.
"""

import re
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

LONGEST = 4000  # characters that are looked at
LONGEST_END = 40  # characters of a line that its end is looked for in

Array = npt.NDArray[Any]

_WORD = re.compile(r"[^\W_]+(?:['\u2019][^\W_]+)*")
_EMOJI = "[\U0001f000-\U0001faff\u2600-\u27bf\u2b50\u2b55]"
_CUSTOM = r":(?!\d+:)\w{2,32}:"  # and no time of day
_LAUGHS = ("lol", "lmao", "lmfao", "rofl", "xd", "kek", "hehe", "haha", "hahaha", "ahaha", "jaja")
_SHORT = (
    *("u", "ur", "r", "y", "k", "kk", "ok", "idk", "tbh", "imo", "imho", "btw", "brb", "ty", "thx"),
    *("np", "pls", "plz", "omg", "wtf", "gonna", "wanna", "gotta", "dunno", "ya", "yea", "nah"),
    *("cuz", "cos", "tho", "rn", "nvm", "smh", "fyi", "afaik", "iirc", "w", "b4", "gg", "gl"),
)
_GREETINGS = ("hi", "hey", "hello", "yo", "sup", "morning", "night", "gn", "gm", "bye", "cya")
_THANKS = ("thanks", "thank", "thx", "ty", "cheers", "tysm")
_QUESTIONS = (
    "what",
    "why",
    "how",
    "who",
    "where",
    "when",
    "which",
    "does",
    "do",
    "is",
    "are",
    "can",
)
_FIRST = ("i", "im", "i'm", "me", "my", "mine", "i've", "ive", "i'll", "i'd", "we", "us", "our")
_SECOND = ("you", "your", "yours", "u", "ur", "you're", "youre", "you'll", "you've")
_HEDGES = ("maybe", "perhaps", "probably", "guess", "think", "might", "seems", "kinda", "sorta")
_AGREES = (
    "yes",
    "yeah",
    "yep",
    "yea",
    "yup",
    "ok",
    "okay",
    "sure",
    "true",
    "right",
    "agreed",
    "same",
)
_DENIES = ("no", "nope", "nah", "not", "never", "don't", "dont", "can't", "cant", "won't", "isn't")
_CONNECTS = ("however", "therefore", "additionally", "furthermore", "moreover", "although", "while")
_ASSISTANT = re.compile(
    r"\b(?:i'd be happy to|happy to help|feel free|let me know if|as an ai|i'm sorry,|certainly"
    r"|great question|i understand|i apologi[sz]e|here are (?:some|a few)|i hope this)\b"
)
_BARE = re.compile(
    r"\b(?:im|dont|cant|wont|didnt|doesnt|isnt|thats|whats|youre|ive|theres|wasnt)\b"
)


def _share(pattern: str) -> Callable[[str], float]:
    """How many characters of a text are in a pattern's places, a hundred."""
    found = re.compile(pattern)
    return lambda text: 100 * sum(map(len, found.findall(text))) / max(1, len(text))


def _has(pattern: str) -> Callable[[str], float]:
    found = re.compile(pattern)
    return lambda text: float(found.search(text) is not None)


def _any_of(words: Sequence[str]) -> Callable[[str], float]:
    known = frozenset(words)
    return lambda text: float(not known.isdisjoint(_words(text.lower())))


def _ends_with(pattern: str) -> Callable[[str], float]:
    found = re.compile(rf"(?:{pattern})\Z")

    def ends(text: str) -> float:
        """The share of lines that do."""
        lines = [line.rstrip()[-LONGEST_END:] for line in text.splitlines() if line.strip()]
        return sum(found.search(line) is not None for line in lines) / max(1, len(lines))

    return ends


def _words(text: str) -> list[str]:
    return _WORD.findall(text)


def _word_length(text: str) -> float:
    words = _words(text)
    return sum(map(len, words)) / max(1, len(words))


def _variety(text: str) -> float:
    words = _words(text.lower())
    return len(set(words)) / max(1, len(words))


def _repeats(text: str) -> float:
    words = _words(text.lower())
    return float(any(one == two for one, two in pairwise(words)))


def _begins(test: Callable[[str], bool]) -> Callable[[str], float]:
    def begins(text: str) -> float:
        lines = [line.lstrip() for line in text.splitlines() if line.strip()]
        return sum(test(line[0]) for line in lines) / max(1, len(lines))

    return begins


MEASURES: dict[str, Callable[[str], float]] = {
    "characters (logarithm)": lambda text: float(np.log1p(len(text))),
    "words (logarithm)": lambda text: float(np.log1p(len(_words(text)))),
    "messages a reply": lambda text: float(1 + text.strip().count("\n")),
    "letters a word": _word_length,
    "share of different words": _variety,
    "says a word twice in a row": _repeats,
    "begins with a capital": _begins(str.isupper),
    "begins in lower case": _begins(str.islower),
    "percent of capitals": _share(r"[A-Z]"),
    "writes in capitals only": lambda text: float(text.isupper() and len(text) > 3),
    "writes without any capital": lambda text: float(text.islower()),
    "ends in a full stop": _ends_with(r"(?<!\.)\.|\u3002"),
    "ends in a question mark": _ends_with(r"[?\uff1f]"),
    "ends in an exclamation mark": _ends_with(r"[!\uff01]"),
    "ends in dots": _ends_with(r"\.\.|\u2026"),
    "ends in an emoji": _ends_with(rf"{_EMOJI}[\ufe0f\u200d]*|{_CUSTOM}"),
    "ends without any mark": _ends_with(r"[\w\s]"),
    "percent of commas": _share(","),
    "percent of marks": _share(r"[^\w\s]"),
    "repeats a mark": _has(r"([!?.,])\1"),
    "stretches words": _has(r"(?!www\.)([a-zA-Z])\1\1"),
    "writes 'im', 'dont' without the apostrophe": lambda text: float(
        bool(_BARE.search(text.lower()))
    ),
    "uses apostrophes": _has(r"\w'\w"),
    "uses curly apostrophes or quotes": _has("[\u2018\u2019\u201c\u201d]"),
    "uses dashes": _has("[\u2013\u2014]|\\s-\\s"),
    "quotes something": _has(r"[\"\u201c][^\"\u201d\n]{2,80}[\"\u201d]"),
    "laughs": lambda text: float(
        any(word in _LAUGHS or word.startswith(("haha", "ahah")) for word in _words(text.lower()))
    ),
    "abbreviates": _any_of(_SHORT),
    "uses emoji": _has(_EMOJI),
    "uses emoji of the server": _has(_CUSTOM),
    "uses smileys": _has(r"(?:^|\s)(?:[:;=]['-]?[()DPpOo/\\|]|<3|\^\^|xD|XD)"),
    "mentions somebody": _has(r"@\w"),
    "posts a link": _has(r"https?://"),
    "uses numbers": _has(r"\d"),
    "uses code marks": _has(r"`"),
    "uses brackets": _has(r"[()\[\]]"),
    "greets": _any_of(_GREETINGS),
    "thanks": _any_of(_THANKS),
    "asks with a question word": _any_of(_QUESTIONS),
    "speaks of itself": _any_of(_FIRST),
    "addresses somebody": _any_of(_SECOND),
    "hedges": _any_of(_HEDGES),
    "agrees": _any_of(_AGREES),
    "denies": _any_of(_DENIES),
    "connects like an essay": _any_of(_CONNECTS),
    "talks like an assistant": lambda text: float(bool(_ASSISTANT.search(text.lower()))),
    "percent of other letters than English": _share(r"(?![a-zA-Z])[^\W\d_]"),
}
NAMES = tuple(MEASURES)


def measure(texts: Sequence[str]) -> Array:
    """Every measure of every text, (texts, measures), finite whatever the text."""
    cut = [text[:LONGEST] for text in texts]
    rows = [[found(text) for found in MEASURES.values()] for text in cut]
    return np.array(rows, np.float64).reshape(len(texts), len(NAMES))
