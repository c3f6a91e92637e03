"""How long a model would take here: from what was measured, and else from memory's speed."""

import json
from pathlib import Path
from typing import Any

import pytest

from model import estimate, speed
from model.estimate import Estimate, Pace

SMALL, LARGE = 98_000_000, 1_928_000_000
SIZES = [10**6, SMALL, 5 * 10**8, LARGE, 9 * 10**9, 10**11]
KEY = "{}.gguf 1 0.3.36 0123456789ab"


def remember(folder: Path, **models: Any) -> Estimate:
    known = {KEY.format(name): {"threads": 1, "pace": pace} for name, pace in models.items()}
    (folder / estimate.REMEMBERED).write_text(json.dumps(known))
    return estimate.look(folder)


def seconds(found: Estimate) -> list[float]:
    return [found.reply_seconds("unknown.gguf", size) for size in SIZES]


def test_a_larger_model_takes_longer(tmp_path: Path) -> None:
    guessed = estimate.look(tmp_path)
    small = remember(tmp_path, small=estimate.entry(SMALL, 250.0, 95.0))
    both = remember(
        tmp_path, small=estimate.entry(SMALL, 250, 95), large=estimate.entry(LARGE, 21, 9.5)
    )
    for found in (guessed, small, both):
        assert seconds(found)[0] > 0
        assert seconds(found) == sorted(set(seconds(found)))


def test_one_model_tells_of_another() -> None:
    """Figures of two cores: a model of 0.1 GB and one of 2 GB, each told from the other."""
    small, large = Pace.of(SMALL, 252, 95), Pace.of(LARGE, 21.5, 9.5)
    assert small.reply_seconds(LARGE) == pytest.approx(large.reply_seconds(LARGE), rel=0.25)
    assert large.reply_seconds(SMALL) == pytest.approx(small.reply_seconds(SMALL), rel=0.25)
    assert large.reply_seconds(LARGE) == pytest.approx(32 / 21.5 + 16 / 9.5)


def test_what_was_measured_of_a_model_wins(tmp_path: Path) -> None:
    odd = {"small one": estimate.entry(SMALL, 32, 16), "large": estimate.entry(LARGE, 320, 160)}
    found = remember(tmp_path, **odd)
    assert found.reply_seconds("small one.gguf", SMALL) == pytest.approx(2)
    assert found.reply_seconds("large.gguf", LARGE) == pytest.approx(0.2)
    assert found.reply_seconds("other.gguf", LARGE) == pytest.approx(0.2)
    assert "large.gguf" in found.basis and "measured here" in found.basis


@pytest.mark.parametrize(
    "pace",
    [
        *(None, 3, "fast", [], {}, {"bytes": SMALL}),
        *({**estimate.entry(SMALL, 32, 16), "bytes": size} for size in (0, -1, 1.5, "1", True)),
        *({**estimate.entry(SMALL, 32, 16), "read": rate} for rate in (0, -1, "1", None, 1e300)),
        {**estimate.entry(SMALL, 32, 16), "written": float("nan")},
        {**estimate.entry(SMALL, 32, 16), "written": float("inf")},
        {**estimate.entry(SMALL, 32, 16), "machine": "another"},
        {**estimate.entry(SMALL, 32, 16), "machine": []},
    ],
)
def test_what_makes_no_sense_is_ignored(tmp_path: Path, pace: Any) -> None:
    found = remember(tmp_path, small=pace)
    assert not found.measured and "guess" in found.basis
    assert all(0 < one < float("inf") for one in seconds(found))


@pytest.mark.parametrize(
    "text", ["", "[]", "{", "\0", '{"a": 3}', '{"": {"pace": {}}}', "[" * 10**5]
)
def test_a_damaged_memory_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / estimate.REMEMBERED).write_text(text)
    assert "guess" in estimate.look(tmp_path).basis


def test_loading_a_model_leaves_its_pace_for_the_catalogue(
    tiny_model: Path, tmp_path: Path
) -> None:
    speed.way(tiny_model, tmp_path)
    found = estimate.look(tmp_path)
    assert list(found.measured) == [tiny_model.name]
    assert 0 < found.reply_seconds(tiny_model.name, tiny_model.stat().st_size) < 30
    speed.way(tiny_model, tmp_path)
    assert estimate.look(tmp_path) == found


def test_memory_is_measured_in_a_moment_and_plausible() -> None:
    assert 1e8 < estimate.copied_per_second() < 1e13


def test_seconds_are_said_as_people_say_them() -> None:
    assert [estimate.shown(one) for one in (0.2, 1, 4.4, 99, 200)] == [
        *("under 1 s", "about 1 s", "about 4 s", "about 99 s", "minutes"),
    ]
