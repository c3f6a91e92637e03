"""What the training's guide and its notebook say is true of the scripts."""

import functools
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bot.config import ROOT
from model import recipe

NOTEBOOK = ROOT / "docs" / "train_on_colab.ipynb"
GUIDE = ROOT / "docs" / "TRAINING.md"
_COMMAND = re.compile(r"\s((?:scripts/)?\w+\.py)((?:\\\n|[^\n`#|&])*)")  # with its arguments


def _cells(kind: str) -> list[str]:
    cells = json.loads(NOTEBOOK.read_text("utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == kind]


def _texts() -> list[str]:
    return [GUIDE.read_text("utf-8"), *_cells("code"), *_cells("markdown")]


@functools.cache
def _help(script: str) -> str:
    command = [sys.executable, script, "--help"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_the_notebook_is_a_clean_one() -> None:
    notebook: dict[str, Any] = json.loads(NOTEBOOK.read_text("utf-8"))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 4)
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert cell["cell_type"] in ("code", "markdown")
        assert isinstance(cell["metadata"], dict)
        assert cell["source"] and all(isinstance(line, str) for line in cell["source"])
        assert all(line.endswith("\n") for line in cell["source"][:-1])
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None


def test_the_notebooks_code_compiles() -> None:
    for number, source in enumerate(_cells("code")):
        lines = [re.sub(r"^(\s*)[!%].*", r"\1pass", line) for line in source.splitlines()]
        compile("\n".join(lines), f"cell {number}", "exec")


def test_the_notebook_says_first_where_the_messages_go() -> None:
    assert "**This sends your server's messages to Google.**" in _cells("markdown")[0]
    assert "**It sends your server's messages to\nGoogle**" in GUIDE.read_text("utf-8")


def test_only_the_training_files_are_sent() -> None:
    sent = {name for source in _cells("code") for name in re.findall(r'"([\w.]+\.jsonl?)"', source)}
    names = {"train", "valid", "preferences", "valid_preferences"}
    assert sent == {"manifest.json", *(f"{name}.jsonl" for name in names)}
    assert not any(word in source for source in _cells("code") for word in (".env", "sqlite"))


def _is_known(flag: str, script: str) -> bool:
    return re.search(rf"(?<![\w-]){flag}(?![\w-])", _help(script)) is not None


def test_every_script_and_flag_exists() -> None:
    commands = [match.groups() for text in _texts() for match in _COMMAND.finditer(text)]
    steps = ("2_prepare_training_data", "3_train_model", "4_evaluate_personality", "5_deploy_bot")
    scripts = {"bootstrap.py", *(f"scripts/{step}.py" for step in steps)}
    assert {script for script, _ in commands} == scripts
    flags = {
        (flag, script)
        for script, arguments in commands
        for flag in re.findall(r"(?<=\s)--[a-z][\w-]*", arguments)
    }
    assert {("--base-weights", "scripts/3_train_model.py"), ("--train", "bootstrap.py")} <= flags
    assert not [one for one in flags if not _is_known(*one)]


def test_every_flag_the_guide_explains_exists() -> None:
    flags = set(re.findall(r"`(--[a-z][\w-]*)", "\n".join(_texts())))
    names = ("3_train_model", "4_evaluate_personality", "5_deploy_bot")
    scripts = [f"scripts/{name}.py" for name in names]
    assert {"--self-play", "--rollback"} <= flags
    assert not [flag for flag in flags if not any(_is_known(flag, one) for one in scripts)]


def test_the_example_of_a_recipe_can_be_used(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    path = tmp_path / "amber.toml"
    path.write_text(example, "utf-8")
    assert recipe.Recipe(**recipe.read(path)).method == "sft+dpo"


@pytest.mark.parametrize("path", [NOTEBOOK, GUIDE])
def test_files_that_are_named_exist(path: Path) -> None:
    for name in re.findall(r"\]\(([\w./-]+)\)|`(docs/[\w.]+)`", path.read_text("utf-8")):
        there, in_docs = ROOT / (name[0] or name[1]), ROOT / "docs" / (name[0] or name[1])
        assert there.exists() or in_docs.exists(), name
