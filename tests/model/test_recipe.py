"""Recipes: defaults by size, limits, and the file they may come from."""

import dataclasses
from pathlib import Path

import pytest

from bot.config import UserError
from model import recipe
from model.recipe import LARGE, SMALL, Recipe


def test_a_large_model_trains_as_the_specification_says() -> None:
    assert recipe.default(3_085_938_688) is LARGE
    assert recipe.default(134_515_008) is SMALL
    assert (LARGE.rank, LARGE.alpha, LARGE.dropout, LARGE.learning_rate) == (64, 128, 0.05, 1e-4)
    assert LARGE.batch_size * LARGE.accumulation == 32
    assert (LARGE.epochs, LARGE.max_seq_length, LARGE.warmup) == (5, 2048, 0.03)
    assert (LARGE.dpo_beta, LARGE.dpo_learning_rate, LARGE.dpo_epochs) == (0.1, 5e-5, 2)
    assert (LARGE.orpo_learning_rate, LARGE.orpo_lambda) == (8e-6, 0.1)


def test_the_default_prefers_only_where_there_are_enough_pairs() -> None:
    assert Recipe().stages(recipe.FEWEST_PAIRS - 1) == ("sft",)
    assert Recipe().stages(recipe.FEWEST_PAIRS) == ("sft", "dpo")
    assert Recipe(method="sft").stages(10_000) == ("sft",)
    assert Recipe(method="sft+dpo").stages(5) == ("sft", "dpo")
    assert Recipe(method="orpo").stages(0) == ("orpo",)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"learning_rate": 0.0}, "--learning-rate must be from"),
        ({"rank": 0}, "--rank must be from 1"),
        ({"method": "rlhf"}, "--method must be one of: auto, sft"),
        ({"precision": "int3"}, "--precision must be one of"),
    ],
)
def test_what_makes_no_sense_is_a_sentence(changes: dict[str, object], named: str) -> None:
    with pytest.raises(UserError, match=named):
        dataclasses.replace(SMALL, **changes)  # type: ignore[arg-type]


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('method = "orpo"\nepochs = 2\nlearning_rate = 3e-5\nembeddings = false\n')
    assert recipe.read(path) == {
        "method": "orpo",
        "epochs": 2.0,
        "learning_rate": 3e-5,
        "embeddings": False,
    }


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("rank = ", "Cannot read the recipe"),
        ("rnk = 4", "there is no 'rnk'"),
        ("rank = 4.5", "rank must be of kind int"),
        ('epochs = "two"', "epochs must be of kind float"),
        ("rank = true", "rank must be of kind int"),
        ("\x00", "Cannot read the recipe"),
    ],
)
def test_garbage_in_the_file_is_a_sentence(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text(text)
    with pytest.raises(UserError, match=named):
        recipe.read(path)
    with pytest.raises(UserError, match="Cannot read the recipe"):
        recipe.read(tmp_path / "nowhere.toml")
