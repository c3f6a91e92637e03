"""The tally of blind picks: what it says, and what it is kept in."""

import json
import os
import random
import stat
from pathlib import Path

import pytest

from model import picks
from model.picks import Tally


def test_picks_are_kept_for_each_pair_in_either_order(tmp_path: Path) -> None:
    path = tmp_path / "reports" / picks.FILE
    picks.add(path, "ours", "base", "ours")
    picks.add(path, "base", "ours", "base")
    picks.add(path, "base", "ours", None)
    assert picks.add(path, "ours", "base", "ours") == Tally(("base", "ours"), (1, 2), 1)
    assert picks.find(path, "base", "ours").picks == 4
    assert picks.find(path, "ours", "other") == Tally(("other", "ours"))


@pytest.mark.skipif(os.name == "nt", reason="Windows knows no modes")
def test_the_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / picks.FILE
    picks.add(path, "ours", "base", "ours")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"a / b": 1}', '{"a / b": [1, 2]}'])
def test_garbage_counts_as_nothing_and_is_replaced(tmp_path: Path, text: str) -> None:
    path = tmp_path / picks.FILE
    path.write_text(text)
    assert picks.find(path, "a", "b") == Tally(("a", "b"))
    assert picks.add(path, "a", "b", "b").wins == (0, 1)


@pytest.mark.parametrize(
    "counts", [[-1, 0, 0], [1.5, 0, 0], [True, 0, 0], ["1", 0, 0], [10**12] * 3]
)
def test_counts_that_cannot_be_count_as_nothing(tmp_path: Path, counts: list[object]) -> None:
    path = tmp_path / picks.FILE
    path.write_text(json.dumps({"a / b": counts, "a / c": [3, 1, 0]}))
    assert picks.find(path, "a", "b").picks == 0
    picks.add(path, "a", "b", "a")
    assert picks.find(path, "a", "c").wins == (3, 1)


def test_bytes_by_chance_are_survived(tmp_path: Path) -> None:
    dice, path = random.Random(0), tmp_path / picks.FILE
    for _ in range(300):
        path.write_bytes(dice.randbytes(dice.randrange(60)))
        assert picks.find(path, "a", "b").picks == 0


def test_only_what_chance_explains_badly_is_a_finding() -> None:
    few, many = Tally(("a", "b"), (2, 8)), Tally(("a", "b"), (10, 40), 3)
    assert few.sentence().startswith("b won 8 of 10 against a, 80 % (95 % interval 49 to 94 %).")
    assert few.sentence().endswith("That is too few to tell.")
    assert many.sentence().endswith("; 3 were alike. b is the better one.")
    assert "none" in Tally(("a", "b"), ties=2).sentence()


def test_an_interval_covers_the_truth_as_often_as_it_says() -> None:
    dice, hits = random.Random(1), 0
    for _ in range(2000):
        truth, count = dice.uniform(0.1, 0.9), dice.randrange(10, 60)
        right = sum(dice.random() < truth for _ in range(count))
        low, high = picks.wilson(right / count, count, 0.95)
        hits += low <= truth <= high
    assert 0.93 < hits / 2000 < 0.97
    assert picks.wilson(0, 0, 0.95) == (0.0, 1.0)
