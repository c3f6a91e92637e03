"""Loops are told from members' habits: by a table, and by all that two communities wrote."""

import random
import time

import pytest

from bot.loops import is_loop
from tests.bot import members


@pytest.mark.parametrize(
    "text",
    [
        "",
        "GGGGGG",
        "nooooo",
        "lol lol lol",
        "no no no no no NO",
        "hahahahahahahahahahahahahahaha",
        "g" + "o" * 65,
        ":pog: :pog: :pog: :pog: :pog:",
        "🎄 " * 14,
        "I'm not sure what to say. I'm not sure what to say.",
        "=" * 60,
        "row row row your boat gently down the stream, row row row your boat",
    ],
)
def test_style_is_no_loop(text: str) -> None:
    assert not is_loop(text)


@pytest.mark.parametrize(
    "text",
    [
        "the " * 150,
        "o" * 300,
        "sounds good " * 30,
        "sure, " + "sorry, " * 40,  # a beginning of its own
        "How's it going?\n\n" * 20,
        "A\nB\n" * 40,
        "lol\n" * 100,
        "I'm glad you're enjoying it too. " * 14 + "I",  # the token limit
        "IT is what it is. It is what it IS. " * 8,
        "哈" * 200,
        "👍🏽" * 80,
        ("All that I can do is support you with your creative projects, as ever. " * 2 + "\n") * 3,
        "word " * 2000,
        " ".join(f"{n}. I'm happy to help you with that one." for n in range(20)),
        "You can use the `widgets` module. It's a module that is used to create widgets. " * 2
        + "It provides widgets. You can use the `widgets` module. "
        + "It's a module that is used to create widgets. " * 2,
    ],
)
def test_loops_are_seen(text: str) -> None:
    assert is_loop(text)


@pytest.mark.parametrize("community", members.COMMUNITIES)
def test_members_hardly_ever_loop(community: str) -> None:
    texts = [line.content for line in members.lines(community)]
    loops = sum(is_loop(text) for text in texts)
    assert len(texts) > 5000
    assert loops <= 0.0005 * len(texts)


def test_time_is_bounded() -> None:
    started = time.process_time()
    assert not is_loop("".join(random.Random(1).choices("abcdefgh    ", k=10_000)))
    assert is_loop("ab" * 50_000)
    assert time.process_time() - started < 1
