"""A text that is too long for a message is cut where nobody sees a broken character or fence."""

import time

import pytest

from model.cutting import fit

FAMILY = "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466"


def test_what_fits_is_not_touched() -> None:
    for text in ("", "lol ", "a" * 2000, "😂" * 2000, "```open", "zalgo" + "\u0301" * 900):
        assert fit(text) == text


@pytest.mark.parametrize(
    "cluster",
    [
        FAMILY,
        "\U0001f1e9\U0001f1ea",  # a flag
        "\U0001f44d\U0001f3fd",  # a thumb with a skin tone
        "e\u0301\u0323",
        "\u1112\u1161\u11ab",  # Hangul, a syllable of three letters
        "\u0928\u093f",  # Devanagari with its vowel sign
        "1\ufe0f\u20e3",
        "<:pog:123456789012345678>",
        "<a:dance:123456789012345678>",
    ],
)
def test_what_is_drawn_as_one_is_kept_whole(cluster: str) -> None:
    for limit in range(10, 60):
        kept = fit(f"ab{cluster * 40}", limit)
        count, rest = divmod(len(kept) - 2, len(cluster))
        assert rest == 0
        assert kept == "ab" + cluster * count
        assert len(kept) <= limit < len(kept) + len(cluster)


def test_a_fence_that_is_cut_is_closed() -> None:
    for limit in range(12, 60):
        kept = fit("see:\n```py\nprint('a b c')\nprint('d e f')\n```\nand that was it", limit)
        assert len(kept) <= limit
        assert kept.count("```") % 2 == 0
        assert kept.startswith("see:")
    code = fit("```\n" + "x = 1\n" * 1000 + "```")
    assert code.endswith("x = 1\n```")
    assert 1990 <= len(code) <= 2000


def test_nothing_is_kept_of_one_that_is_too_long_by_itself() -> None:
    assert fit("h" + "\u0301" * 5000) == ""
    assert fit("oh h" + "\u0301" * 5000) == "oh"


@pytest.mark.parametrize("unit", ["a", "h" + "\u0301" * 300, FAMILY, "```", "<:a:", "`", "\u0301"])
def test_time_is_bounded(unit: str) -> None:
    started = time.process_time()
    assert len(fit(unit * (10_000 // len(unit) + 1))) <= 2000
    assert time.process_time() - started < 0.5
