"""A training's folder: names, completeness, and one training at a time."""

from pathlib import Path

import pytest

from bot.config import UserError
from model import runs
from model.recipe import Recipe
from model.runs import Plan, Run


def plan() -> Plan:
    return Plan("tiny", "tiny.gguf", "", "0", "1", Recipe(rank=3), 5.0)


def finish(folder: Path) -> Run:
    facts = {"steps": 20, "first_loss": 4.0, "last_loss": 2.0, "seconds": 60.0}
    runs.finish_stage(folder, "sft", facts)
    return runs.finish(folder, plan())


@pytest.mark.parametrize(
    ("file", "title"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("qwen2.5-3b-instruct-q4_k_m.gguf", "qwen2.5-3b-instruct"),
        ("model.f16.gguf", "model"),
        ("phi-4.gguf", "phi-4"),
    ],
)
def test_a_bases_title_leaves_the_quantisation_out(file: str, title: str) -> None:
    assert runs.title(Path(file)) == title


def test_a_plan_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    runs.write_plan(tmp_path / "a", plan())
    assert runs.read_plan(tmp_path / "a") == plan()


def test_a_training_counts_when_its_run_is_written(tmp_path: Path) -> None:
    folder = runs.root(tmp_path) / "a"
    runs.write_plan(folder, plan())
    with pytest.raises(UserError, match="3_train_model"):
        runs.find(tmp_path)
    assert runs.find_unfinished(tmp_path) == folder
    (folder / "sft" / "best").mkdir(parents=True)
    run = finish(folder)
    assert (run.steps, run.first_loss, run.last_loss, run.seconds) == (20, 4.0, 2.0, 60.0)
    assert run.adapter.exists()
    assert not (folder / "sft").exists()
    assert runs.find(tmp_path) == runs.find(tmp_path, "a") == run
    with pytest.raises(UserError, match="without --resume"):
        runs.find_unfinished(tmp_path)


def test_an_unknown_name_lists_what_there_is(tmp_path: Path) -> None:
    folder = runs.root(tmp_path) / "a"
    runs.write_plan(folder, plan())
    finish(folder)
    with pytest.raises(UserError, match=r"named b .*there: a"):
        runs.find(tmp_path, "b")


def test_a_name_is_used_once_and_stays_in_its_folder(tmp_path: Path) -> None:
    runs.write_plan(runs.root(tmp_path) / "a", plan())
    for name in ("a", "../a", "", "x/y", ".hidden"):
        if name:
            with pytest.raises(UserError):
                runs.new_folder(tmp_path, "tiny", name)
    assert runs.new_folder(tmp_path, "tiny", None).name.startswith("tiny-2")


def test_only_a_complete_checkpoint_counts(tmp_path: Path) -> None:
    for step in (20, 100, 120):
        (tmp_path / "checkpoints" / f"checkpoint-{step}").mkdir(parents=True)
    for step in (20, 100):
        (tmp_path / "checkpoints" / f"checkpoint-{step}" / runs.COMPLETE).touch()
    assert runs.checkpoint(tmp_path) == tmp_path / "checkpoints" / "checkpoint-100"
    assert not (tmp_path / "checkpoints" / "checkpoint-120").exists()


def test_two_trainings_at_once_are_refused(tmp_path: Path) -> None:
    with (
        runs.lock(tmp_path),
        pytest.raises(UserError, match="Another training"),
        runs.lock(tmp_path),
    ):
        pass
    with runs.lock(tmp_path):
        pass


def test_a_damaged_plan_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"recipe": {"rank": 3, "colour": 1}}')
    with pytest.raises(UserError, match="not from this release"):
        runs.read_plan(tmp_path)


def test_a_recipe_that_cannot_work_is_a_sentence() -> None:
    with pytest.raises(UserError, match="--batch-size must be from 1"):
        Recipe(batch_size=0)
    with pytest.raises(UserError, match="--learning-rate"):
        Recipe(learning_rate=-1.0)
