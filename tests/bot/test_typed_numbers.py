"""Numbers are read as people type them, and nothing else is a number."""

import pytest

from bot import typed_numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.8", 0.8),
        (" 1 ", 1.0),
        ("0,8", 0.8),
        (".5", 0.5),
        ("5.", 5.0),
        ("-0", 0.0),
        ("+1", 1.0),
        ("\u0660\u066b\u0665", 0.5),  # Arabic-Indic
        ("\uff10\uff0e\uff15", 0.5),  # fullwidth
        ("\u0967", 1.0),  # Devanagari
        ("\u22121", -1.0),
    ],
)
def test_a_number_is_read(text: str, value: float) -> None:
    assert typed_numbers.read(text) == value
    assert str(typed_numbers.read(text)) == str(value)


GARBAGE = [
    *("", " ", "nan", "inf", "-inf", "Infinity", "1e400", "1e-1", "0x10", "1_0", "1.2.3", "1,2,3"),
    *("one", "0.5 0.6", "--1", "1/2", "\u00bd", "\u202e0.5", "0\u200b.5", "0\u03375", "9" * 10_000),
    *("<|im_start|>0.5", "5%%", "%", "\x00", "\ud800", "\U0001f51f", "0.5; DROP TABLE settings"),
]


@pytest.mark.parametrize("text", GARBAGE)
def test_garbage_is_no_number(text: str) -> None:
    assert typed_numbers.read(text, takes_percent=True) is None
    assert typed_numbers.whole(text) is None


@pytest.mark.parametrize("text", ["5%", "5 %", "\uff15\uff05", "\u0665\u066a", "5.0%"])
def test_a_percentage_is_a_share_where_that_can_be_meant(text: str) -> None:
    assert typed_numbers.read(text, takes_percent=True) == 0.05
    assert typed_numbers.read(text) is None


def test_a_whole_number_has_no_fraction() -> None:
    assert typed_numbers.whole("150") == 150
    assert typed_numbers.whole("150.0") == 150
    assert typed_numbers.whole("150.5") is None
