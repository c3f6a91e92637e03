"""Measures of style: each says what it measures, of any text at all."""

import numpy as np
import pytest

from model import stylometry

GARBAGE = [
    *("", " \n ", "?", "a" * 100_000, "!" * 100_000, "\u202eabc", "e\u0301\u0302\u0303" * 50),
    *("\ud800 lone", "\0", "\U0001f600" * 300, "<|im_start|>", "@everyone", "'" * 5000),
    *(':"' * 50_000, "\n" * 100_000, "\u4f60\u597d", "\u2028\x85\x1c", "a'" * 50_000),
]


def test_any_text_has_finite_measures() -> None:
    found = stylometry.measure(GARBAGE)
    assert found.shape == (len(GARBAGE), len(stylometry.NAMES))
    assert np.isfinite(found).all()
    assert len(stylometry.NAMES) >= 40


def test_no_texts_have_no_measures() -> None:
    assert stylometry.measure([]).shape == (0, len(stylometry.NAMES))


@pytest.mark.parametrize(
    ("text", "measure", "value"),
    [
        ("ok.\nfine", "ends in a full stop", 0.5),
        ("ok...", "ends in a full stop", 0),
        ("ok...", "ends in dots", 1),
        ("hm\u2026", "ends in dots", 1),
        ("nice \u2764\ufe0f", "ends in an emoji", 1),
        ("nice :pepe:", "ends in an emoji", 1),
        ("nice :pepe:", "ends without any mark", 0),
        ("nice", "ends without any mark", 1),
        ("WHAT IS THIS", "writes in capitals only", 1),
        ("soooo good", "stretches words", 1),
        ("see www.example.org", "stretches words", 0),
        ("hahahaha", "laughs", 1),
        ("dont", "writes 'im', 'dont' without the apostrophe", 1),
        ("I'd be happy to help!", "talks like an assistant", 1),
        ("nice :pepe:", "uses emoji of the server", 1),
        ("at 12:30:45 or so", "uses emoji of the server", 0),
        ("\U0001f600 \u201cyes\u201d, it\u2019s", "percent of other letters than English", 0),
        ("na\u00efve", "percent of other letters than English", 20),
        ("one\ntwo\nthree", "messages a reply", 3),
        ("the the end", "says a word twice in a row", 1),
    ],
)
def test_a_measure_measures_what_it_says(text: str, measure: str, value: float) -> None:
    found = stylometry.measure([text])[0][stylometry.NAMES.index(measure)]
    assert found == value
