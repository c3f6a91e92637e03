"""Quotes of a person are cut out of what others wrote, and nothing else is."""

import random
import string

import pytest

from data.quotes import Quotes, is_long

LONG = "the heron stands in the cold river again"
OTHER = "nobody at all would ever say it quite like that"
LINES = "a first line that is long enough to count\nshort\nand a third one that is long as well"
CHINESE = "今天早上我在河边看到一只苍鹭站在冷水里一动也不动很久很久"

CASES = [
    ("as a whole", LONG, ""),
    ("in the middle", f"he said {LONG}, really", "he said , really"),
    ("twice", f"{LONG} and {LONG}", " and "),
    ("quoted with marks", f'"{LONG}" is what I read', '"" is what I read'),
    ("a block quote", f"> {LONG}\nlol", "lol"),
    ("a short block quote", "> short\nlol", "lol"),
    ("a block quote of many lines", ">>> short\nok\nno", "ok\nno"),
    ("lines of one message", "\n".join(f"> {line}" for line in LINES.split("\n")), ""),
    ("without spaces", f"他说 {CHINESE} 吗", "他说  吗"),
    ("one in another", f"x{LONG}{OTHER}y", "xy"),
]


@pytest.fixture(scope="module")
def quotes() -> Quotes:
    return Quotes([LONG, OTHER, LINES, CHINESE, "ok then", "lol", "", "  ", "a" * 30])


@pytest.mark.parametrize(
    ("content", "left"), [case[1:] for case in CASES], ids=[c[0] for c in CASES]
)
def test_quotes_are_cut(quotes: Quotes, content: str, left: str) -> None:
    assert quotes.cut(content) == left


@pytest.mark.parametrize(
    "content",
    [
        "lol",
        "ok then, short is short",
        LONG[:-1],
        LONG.upper(),
        "> a line that nobody quoted from them\nlol",
        "a" * 100,
        ">",
        "> ",
        "",
    ],
)
def test_what_is_short_or_not_theirs_stays(quotes: Quotes, content: str) -> None:
    assert quotes.cut(content) == content


def test_cutting_agrees_with_looking_for_each_text_in_turn() -> None:
    dice = random.Random(3)

    def sentence() -> str:
        return " ".join(
            "".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 9))) for _ in range(9)
        )

    theirs = [sentence() for _ in range(300)]
    quotes = Quotes(theirs)
    for _ in range(300):
        before, after = sentence(), sentence()
        content = before + dice.choice(["", ' "', "\n"]) + dice.choice(theirs) + after
        expected = content
        for text in theirs:
            expected = expected.replace(text, "")
        assert quotes.cut(content) == expected
        assert quotes.cut(before) == before


def test_long_is_four_words_and_24_characters() -> None:
    assert is_long("four words of it, enough")
    assert not is_long("four words of it enoug")
    assert not is_long("https://example.com/a-link-that-anybody-shares")
    assert is_long(CHINESE)
