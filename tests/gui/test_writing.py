"""How figures, log lines and colours come out; no window needed."""

import pytest

from bot.logs import LogLine
from gui import snapshot
from gui.log_store import LogStore, matches, moment, rank
from storage.stats import Stats


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.9, "59 s"), (312, "5 min 12 s"), (11_100, "3 h 05 min"), (187_200, "2 d 4 h")],
)
def test_a_duration_has_two_units_at_most(seconds: float, text: str) -> None:
    assert snapshot.duration(seconds) == text


def test_the_day_shows_the_share_of_messages_answered() -> None:
    rows = snapshot.day_rows(Stats(messages_seen=1247, replies=63, average_seconds=2.345), 0)
    assert rows == (
        ("Messages seen", "1,247"),
        ("Responses sent", "63 (5.1%)"),
        ("Average response", "2.3 s"),
        ("Errors", "0"),
    )


def test_figures_that_do_not_exist_are_a_dash() -> None:
    assert snapshot.week_rows(Stats())[2] == ("Fastest response", snapshot.NONE)
    assert {value for _, value in snapshot.facts(None, 0.0, "", None)} == {snapshot.NONE}


def test_large_memory_is_in_gigabytes() -> None:
    assert snapshot.memory(412.4) == "412 MB"
    assert snapshot.memory(2970) == "2.9 GB"


def test_unknown_levels_count_as_info_and_critical_as_error() -> None:
    ranks = [rank(LogLine("", level, "", "")) for level in ("NOTICE", "INFO", "CRITICAL", "ERROR")]
    assert ranks[0] == ranks[1]
    assert ranks[2] == ranks[3]


def test_a_search_ignores_case_and_looks_at_the_source() -> None:
    line = LogLine("", "INFO", "bot.main", "Connected")
    assert matches(line, "MAIN con", "DEBUG")
    assert not matches(line, "connected", "WARNING")


def test_an_impossible_time_is_shown_as_it_came() -> None:
    assert moment(LogLine("2026-99-99T99:99:99.000Z", "INFO", "", "")).startswith("2026-99")


def test_clearing_the_log_keeps_the_count_of_errors() -> None:
    store = LogStore()
    store.add([LogLine("", "CRITICAL", "", "x"), LogLine("", "INFO", "", "y")], 10.0)
    store.clear()
    assert not store.lines
    assert store.errors(20.0) == 1


def luminance(color: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("half", [0, 1], ids=["light", "dark"])
def test_every_text_can_be_read_on_its_background(half: int) -> None:
    theme = pytest.importorskip("gui.theme")
    pairs = [(theme.TEXT, ground) for ground in (theme.CARD, theme.PLAIN, theme.INSET)]
    pairs += [(theme.MUTED, theme.CARD), (theme.DANGER, theme.PLAIN), (theme.TEXT, theme.CHOSEN)]
    pairs += [(theme.ON_ACCENT, theme.ACCENT), (theme.ON_ACCENT, theme.ACCENT_HOVER)]
    pairs += [(color, theme.CARD) for color in theme.TONES.values()]
    pairs += [(color, theme.INSET) for color in theme.LEVELS.values()]
    pairs += [(color, theme.MATCH) for color in (theme.TEXT,)]
    worst = min((contrast(text[half], ground[half]), text, ground) for text, ground in pairs)
    assert worst[0] >= 4.5, worst
