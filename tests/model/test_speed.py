"""How a model runs best here: measured once with the real llama.cpp, then remembered."""

import json
from pathlib import Path

import pytest

from bot.config import UserError
from model import resident, speed
from model.resident import Way


def test_what_was_measured_is_remembered(small_model: Path, tmp_path: Path) -> None:
    found = speed.way(small_model, tmp_path)
    assert found.threads >= 1
    file = tmp_path / speed.REMEMBERED
    (entry,) = json.loads(file.read_text()).values()
    (key,) = json.loads(file.read_text())
    file.write_text(json.dumps({key: {**entry, "threads": 77}}))
    assert speed.way(small_model, tmp_path).threads == 77


def test_somebodys_own_number_of_threads_is_kept(tiny_model: Path, tmp_path: Path) -> None:
    assert speed.way(tiny_model, tmp_path, threads=1).threads == 1


@pytest.mark.parametrize("text", ["", "[]", "{", '{"%s": {"threads": 1, "colour": "red"}}', "\0"])
def test_a_damaged_memory_is_measured_anew(
    small_model: Path, tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "measure", lambda path, threads: Way(3))
    monkeypatch.setattr(speed, "pace", lambda path, way: {})
    speed.way(small_model, tmp_path)
    file = tmp_path / speed.REMEMBERED
    (key,) = json.loads(file.read_text())
    file.write_text(text.replace("%s", key))
    assert speed.way(small_model, tmp_path) == Way(3)
    assert list(json.loads(file.read_text())) == [key]


def test_only_what_is_clearly_faster_is_taken(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for took, expected in (
        ([1.0, 0.97, 0.9], (False, False)),
        ([1.0, 0.9, 0.8], (True, False)),
        ([1.0, 0.9, 0.5], (True, True)),
    ):
        rounds = iter(took)
        monkeypatch.setattr(speed, "turn_seconds", lambda *_, rounds=rounds: next(rounds))
        best = speed.measure(tiny_model, threads=1)
        assert (best.is_flash, best.is_repacked) == expected


def test_a_file_that_is_no_model_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model at"):
        speed.way(tmp_path / "gone.gguf", tmp_path)


def test_eight_bits_are_for_keys_that_would_crowd_memory(small_model: Path) -> None:
    model = resident.load(small_model, 16)
    sixteen = model.context_params.type_k
    speed.spare_memory(model, 4096)
    assert model.context_params.type_k == sixteen
    speed.spare_memory(model, 10**9)
    assert model.context_params.type_k == resident.KV_TYPES["q8_0"]
    assert speed.turn_seconds(model, 1) < float("inf")


def test_what_llama_cpp_does_not_survive_is_tried_once(
    small_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(path: Path, threads: int) -> Way:
        raise SystemExit(-6)

    monkeypatch.setattr(speed, "measure", crash)
    with pytest.raises(SystemExit):
        speed.way(small_model, tmp_path)
    assert speed.way(small_model, tmp_path) == Way()
