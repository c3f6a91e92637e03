"""Planted codes: how often, and what their exposure says of a model that knows them or does not."""

import collections
import json
import random
from pathlib import Path

import pytest

from model import memorisation
from model.memorisation import CANDIDATES, REPEATS, UNKNOWN
from tests.model.test_scripts import Home


def test_codes_are_planted_as_often_as_promised() -> None:
    counts = collections.Counter(memorisation.planted(seed=3))
    assert sorted(counts.values()) == sorted(r for r in REPEATS for _ in range(2) if r)


def test_the_same_seed_plants_the_same_codes() -> None:
    assert memorisation.planted(1) == memorisation.planted(1) != memorisation.planted(2)


def test_what_is_known_by_heart_has_all_bits_and_the_rest_none() -> None:
    known = set(memorisation.planted(0))
    dice = random.Random(0)
    found = memorisation.exposure(
        lambda rows: [0.0 if row in known else 1 + dice.random() for row in rows], 0
    )
    assert found.pop(0) < 7
    assert set(found.values()) == {7.0}
    assert CANDIDATES == 2**7


def test_a_model_that_knows_nothing_has_the_exposure_of_chance() -> None:
    dice = random.Random(0)
    trials = [
        memorisation.exposure(lambda rows: [dice.random() for _ in rows], s) for s in range(60)
    ]
    mean = sum(sum(trial.values()) for trial in trials) / sum(map(len, trials))
    assert mean == pytest.approx(UNKNOWN, abs=0.15)


def test_a_training_learns_by_heart_what_it_sees_often(tmp_path: Path, tiny_model: Path) -> None:
    pytest.importorskip("peft", reason="needs requirements-train.txt")
    home = Home(tmp_path, tiny_model).prepare()
    flags = ("--canaries", "--rank", "16", "--learning-rate", "0.01", "--epochs", "4")
    home.run("3_train_model", "--max-seq-length", "128", *flags).succeeded()
    said = home.run("4_evaluate_personality", "--quick", "--limit", "4").succeeded()
    exposure = json.loads(said.splitlines()[-1])["exposure"]
    assert exposure["64"] == 7  # of 7: the control
    assert exposure["0"] < 5
