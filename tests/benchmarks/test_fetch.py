"""The fetch benchmark, tiny: that it measures, not what."""

from benchmarks import fetch


def test_it_measures_every_number_of_channels() -> None:
    figures = fetch.main(["--channels", "1", "3", "--seconds", "1"])
    assert figures["refused"] == 0
    for channels in (1, 3):
        assert figures[f"share_of_limit_{channels}"] > 0
        assert figures[f"messages_per_s_{channels}"] > 0


def test_the_least_seconds_are_those_of_the_slower_limit() -> None:
    assert fetch._least_seconds(1, 26) == 25
    assert fetch._least_seconds(5, 25) == 20
    assert fetch._least_seconds(50, 25) == 25
    assert [fetch._pages(channels, 25) for channels in (1, 5, 50)] == [28, 28, 25]
