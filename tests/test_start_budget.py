"""The day's starts, counted in a file."""

import json
from pathlib import Path

import pytest

from start_budget import DAY_SECONDS, LOGINS_A_DAY, STARTS_A_DAY, StartBudget

NOW = 1_700_000_000.0


def spend(budget: StartBudget, count: int, now: float = NOW) -> None:
    for number in range(count):
        budget.spend(now + number)


def test_the_next_start_is_free_until_the_days_are_used_up(tmp_path: Path) -> None:
    budget = StartBudget(tmp_path / "starts.json")
    spend(budget, STARTS_A_DAY - 1)
    assert budget.free_at(NOW + 60) == NOW + 60
    budget.spend(NOW + 60)
    assert budget.free_at(NOW + 61) == NOW + DAY_SECONDS
    assert budget.free_at(NOW + DAY_SECONDS) == NOW + DAY_SECONDS


def test_another_launcher_goes_on_counting(tmp_path: Path) -> None:
    for number in range(STARTS_A_DAY):
        StartBudget(tmp_path / "starts.json").spend(NOW + number)
    assert StartBudget(tmp_path / "starts.json").free_at(NOW + 100) > NOW + 100


DAMAGED = (
    *("[[1]]", "[[1, 2, 3]]", '[[1, "x"]]', "[[1, null]]"),
    *("", "{", '{"a": 1}', "7", "null", '["x"]', "[NaN]", "[null]", "\x00", "[" * 100_000),
    *(f"[{10**400}]", "[1e999]"),
)


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_file_counts_as_none(tmp_path: Path, text: str) -> None:
    path = tmp_path / "starts.json"
    path.write_text(text)
    assert StartBudget(path).starts(NOW) == []
    StartBudget(path).spend(NOW)
    assert json.loads(path.read_text()) == [[NOW, 1]]


def test_a_start_of_many_shards_is_as_many_logins(tmp_path: Path) -> None:
    path = tmp_path / "starts.json"
    budget, shards = StartBudget(path), LOGINS_A_DAY // 3
    for number in range(3):
        assert budget.free_at(NOW + number, shards) == NOW + number
        budget.spend(NOW + number, shards)
    assert StartBudget(path).free_at(NOW + 3, 1) == NOW + DAY_SECONDS
    assert StartBudget(path).free_at(NOW + 3, shards + 1) == NOW + 1 + DAY_SECONDS


def test_more_shards_than_logins_in_a_day_may_still_start_once(tmp_path: Path) -> None:
    budget = StartBudget(tmp_path / "starts.json")
    assert budget.free_at(NOW, LOGINS_A_DAY * 2) == NOW
    budget.spend(NOW, LOGINS_A_DAY * 2)
    assert budget.free_at(NOW + 1, LOGINS_A_DAY * 2) == NOW + DAY_SECONDS


def test_starts_that_an_earlier_version_counted_are_one_login_each(tmp_path: Path) -> None:
    path = tmp_path / "starts.json"
    path.write_text(json.dumps([NOW, NOW + 1]))
    assert StartBudget(path).starts(NOW) == [NOW, NOW + 1]
    assert StartBudget(path).free_at(NOW + 2, LOGINS_A_DAY - 1) == NOW + DAY_SECONDS


def test_a_file_that_gets_lost_forgives_nothing_to_the_one_who_wrote_it(tmp_path: Path) -> None:
    budget = StartBudget(tmp_path / "starts.json")
    for number in range(STARTS_A_DAY):
        budget.spend(NOW + number)
        (tmp_path / "starts.json").write_text("{")
    assert budget.free_at(NOW + 100) > NOW + 100


def test_a_clock_set_back_forgives_nothing(tmp_path: Path) -> None:
    budget = StartBudget(tmp_path / "starts.json")
    spend(budget, STARTS_A_DAY)
    assert budget.free_at(NOW - 3600) == NOW + DAY_SECONDS


def test_a_clock_that_was_years_ahead_does_not_lock_the_bot_out(tmp_path: Path) -> None:
    spend(StartBudget(tmp_path / "starts.json"), STARTS_A_DAY, NOW + 1000 * DAY_SECONDS)
    assert StartBudget(tmp_path / "starts.json").free_at(NOW) == NOW


def test_more_starts_than_allowed_wait_for_as_many_to_grow_old(tmp_path: Path) -> None:
    path = tmp_path / "starts.json"
    path.write_text(json.dumps([NOW + number for number in range(STARTS_A_DAY + 10)]))
    assert StartBudget(path).free_at(NOW + 100) == NOW + 10 + DAY_SECONDS
