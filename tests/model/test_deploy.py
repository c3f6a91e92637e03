"""Script 5: what is listed, what is deployed, and what stays deployed whatever happens."""

import importlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import ROOT
from model import export, provenance, registry
from storage import database, messages, people
from storage.messages import Message
from tests.model import finetuned

script = importlib.import_module("scripts.5_deploy_bot")

KIM = 123456789012345678


class Home:
    """A settings file with data and models folders of its own, and script 5 run on it."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.models, self.env, self._capsys = folder / "models", folder / "test.env", capsys
        lines = (f"DATA_DIR={folder / 'data'}", f"MODELS_DIR={self.models}", "THREADS=1")
        self.env.write_text("\n".join([*lines, "CONTEXT_LENGTH=256"]))
        self.connection: sqlite3.Connection = database.connect(
            folder / "data" / "database" / "bot.sqlite3"
        )

    @property
    def deployed(self) -> str | None:
        model = database.deployed_model(self.connection)
        return model.name if model else None

    def run(self, *arguments: str) -> str:
        code, out, err = self._run(arguments)
        assert code == 0, out + err
        return out

    def refused(self, *arguments: str) -> str:
        """The one sentence for a person, with the exit code that says so."""
        code, out, err = self._run(arguments)
        assert code == 78, out + err
        assert err.startswith("error: ") and err.count("\n") == 1
        return err

    def _run(self, arguments: tuple[str, ...]) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                sys, "argv", ["5_deploy_bot.py", "--env", str(self.env), "--force", *arguments]
            )
            code = script.main()
        out, err = self._capsys.readouterr()
        return code, out, err

    def save(self, message_id: int, author_id: int = KIM) -> None:
        """Store a message of somebody."""
        message = Message(message_id, 1, author_id, "kim", "hello")
        with database.transaction(self.connection):
            messages.save(self.connection, [message])


@pytest.fixture
def home(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Home:
    return Home(tmp_path, capsys)


def test_a_model_is_deployed_and_taken_back(home: Home, tiny_model: Path) -> None:
    finetuned.exported(home.models, tiny_model, "amber", trained_at=1.7e9)
    finetuned.exported(home.models, tiny_model, "basil", trained_at=1.8e9)
    assert "Deployed basil (Q4_K_M)" in home.run()  # the newest
    home.run("--model", "amber")
    home.run("--model", "amber")  # once more is no second step
    assert home.deployed == "amber"
    assert "The bot runs basil" in home.run("--rollback")
    assert home.deployed == "basil"
    assert "its base model" in home.run("--rollback")
    assert "nothing to take back" in home.refused("--rollback")


def test_the_list_says_what_is_known_of_each(home: Home, tiny_model: Path) -> None:
    assert "No model yet" in home.run("--list")
    model = finetuned.exported(home.models, tiny_model)
    database.add_model(home.connection, export.row(model))
    database.deploy(home.connection, "amber")
    for name in ("erased", "excluded", "gone", "damaged", "garbage"):
        path = finetuned.exported(home.models, tiny_model, name, trained_at=1.6e9).path
        if name == "erased":
            provenance.mark_erased(path.parent, KIM)
        if name == "excluded":
            home.save(7)
            facts = {"message_hashes": [provenance.message_hash(7)]}
            (path.parent / provenance.DATA).write_text(json.dumps(facts))
            database.exclude_user(home.connection, KIM)
        if name == "gone":
            path.unlink()
        if name == "damaged":
            path.write_bytes(b"GGUF")
        if name == "garbage":
            (path.parent / "manifest.json").write_text('{"files": []}')
    lost = database.Model("lost", home.models / "x.gguf", "base", "hash", {}, 1.5e9)
    database.add_model(home.connection, lost)
    titles, first, *others, last = home.run("--list").splitlines()
    assert titles.split()[:4] == ["name", "file", "base", "licence"]
    assert first.split()[:5] == ["*", "amber", "Q4_K_M", "SmolLM2-135M-Instruct", "apache-2.0"]
    assert first.split()[5:8] == ["sft+dpo", "1.500", f"{model.path.stat().st_size / 1e6:.0f}"]
    assert first.endswith(("2023-11-14", "2023-11-15"))  # where a new day has begun
    assert last == "* deployed"
    remarks = {line.split()[0]: line for line in others}
    assert set(remarks) == {"erased", "excluded", "gone", "damaged", "lost"}
    assert remarks["erased"].endswith("learned from 1 who was erased since")
    assert remarks["excluded"].endswith("learned from somebody who is excluded")
    assert remarks["gone"].endswith("its file is gone")
    assert remarks["lost"].endswith("its file is gone")
    assert remarks["damaged"].endswith("its file is damaged")


def test_a_model_that_learned_from_somebody_erased_is_refused(home: Home, tiny_model: Path) -> None:
    folder = finetuned.exported(home.models, tiny_model).path.parent
    provenance.mark_erased(folder, KIM)
    for arguments in ((), ("--model", "amber"), ("--bundle", str(home.env.parent))):
        assert "learned from 1 who was erased since" in home.refused(*arguments)
    assert home.deployed is None
    home.run("--although-erased")
    assert home.deployed == "amber"
    assert database.models(home.connection)[0].erased_people == 1


def test_a_model_that_learned_from_somebody_excluded_is_refused(
    home: Home, tiny_model: Path
) -> None:
    finetuned.trained(home.models, tiny_model)
    home.save(finetuned.FIRST + 3)
    database.exclude_user(home.connection, KIM)
    assert "somebody who is excluded" in home.refused()
    assert not (home.models / "finetuned" / "amber").exists()  # before it was exported
    people.include(home.connection, KIM)
    people.decide(home.connection, KIM, False)
    home.run()  # a no counts where the mode says so
    database.remember(home.connection, "consent_mode", "opt-out")
    assert "somebody who is excluded" in home.refused()


def test_a_changed_file_is_refused(home: Home, tiny_model: Path) -> None:
    model = finetuned.exported(home.models, tiny_model)
    with model.path.open("rb+") as file:
        file.seek(-1, 2)
        file.write(b"\x55")
    assert "sha256" in home.refused("--model", "amber")
    assert home.deployed is None


def test_a_model_that_fails_leaves_the_old_one(home: Home, tiny_model: Path) -> None:
    finetuned.exported(home.models, tiny_model, "amber", trained_at=1.7e9)
    home.run()
    broken = home.env.with_name("broken.gguf")
    broken.write_bytes(tiny_model.read_bytes()[:100_000])
    finetuned.exported(home.models, broken, "basil", trained_at=1.8e9)
    assert "damaged or incomplete" in home.refused()
    assert home.deployed == "amber"
    assert [model.name for model in database.models(home.connection)] == ["amber"]


def test_a_model_without_words_leaves_the_old_one(
    home: Home, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finetuned.exported(home.models, tiny_model)
    monkeypatch.setattr(script.prompts, "clean", lambda text: "")
    assert "has nothing to say" in home.refused()
    assert home.deployed is None


DIES = """
import importlib, os, sys
module, name, *sys.argv = sys.argv[1:]
script = importlib.import_module("scripts.5_deploy_bot")
setattr(importlib.import_module(module), name, lambda *_, **__: os._exit(9))
script.main()
"""


@pytest.mark.parametrize(
    ("module", "function"),
    [
        ("bot.logs", "report"),  # while the adapter is added
        ("model.provenance", "keep"),  # the file is there, and whom it learned from is not
        ("model.runs", "write_json"),  # its manifest is not
        ("model.prompts", "build"),  # in the self-test
        ("storage.database", "deploy"),  # in the transaction
    ],
)
def test_a_kill_leaves_the_old_one_and_nothing_half(
    home: Home, tiny_model: Path, module: str, function: str
) -> None:
    old = finetuned.exported(home.models, tiny_model, "old")
    database.add_model(home.connection, export.row(old))
    database.deploy(home.connection, "old")
    finetuned.trained(home.models, tiny_model, "new")
    arguments = ("5", "--force", "--env", str(home.env))
    command = [sys.executable, "-c", DIES, module, function, *arguments]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 9
    assert home.deployed == "old"
    assert [model.name for model in database.models(home.connection)] == ["old"]
    entries = registry.entries(home.models, [], [])
    assert {entry.remark for entry in entries} == {""}  # whole, or not there at all
    home.run("--model", "new")
    assert home.deployed == "new"
    assert not list(home.models.rglob("*.partial"))


def test_an_interrupted_export_leaves_nothing(
    home: Home, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    finetuned.trained(home.models, tiny_model)
    monkeypatch.setattr(export, "quantise", interrupt)
    assert home._run(())[0] == 130
    assert not [path for path in home.models.glob("finetuned/*/*") if path.is_file()]


def test_a_model_whose_file_is_lost_is_not_gone_back_to(home: Home, tiny_model: Path) -> None:
    lost = finetuned.exported(home.models, tiny_model, "amber").path
    finetuned.exported(home.models, tiny_model, "basil")
    home.run("--model", "amber")
    home.run("--model", "basil")
    lost.unlink()
    assert "has lost its file" in home.refused("--rollback")
    assert home.deployed == "basil"
    lost.write_bytes(tiny_model.read_bytes())
    provenance.mark_erased(lost.parent, KIM)
    assert "was erased since" in home.refused("--rollback")
    assert home.deployed == "basil"
    home.run("--rollback", "--although-erased")
    assert home.deployed == "amber"


def test_a_model_is_carried_to_another_machine(
    home: Home, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    finetuned.trained(home.models, tiny_model)
    said = home.run("--bundle", str(tmp_path))
    assert home.deployed is None  # a bundle changes nothing here
    path = tmp_path / "amber-Q4_K_M.zip"
    assert said.splitlines()[-1].endswith(f"--install {path.name}")
    (tmp_path / "laptop").mkdir()
    laptop = Home(tmp_path / "laptop", capsys)
    laptop.run("--install", str(path))
    assert laptop.deployed == "amber"
    laptop.run("--install", str(path))
    laptop.run()  # the newest, though it was trained elsewhere
    assert "its base model" in laptop.run("--rollback")
    laptop.save(finetuned.FIRST)
    database.exclude_user(laptop.connection, KIM)
    assert "somebody who is excluded" in laptop.refused("--install", str(path))
    path.write_bytes(path.read_bytes()[:-100])
    assert "no whole bundle" in laptop.refused("--install", str(path))
    assert laptop.deployed is None


def test_an_installed_model_that_fails_is_not_deployed(
    home: Home, tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:100_000])
    finetuned.exported(home.models, broken)
    home.run("--bundle", str(tmp_path))
    (tmp_path / "laptop").mkdir()
    laptop = Home(tmp_path / "laptop", capsys)
    sentence = laptop.refused("--install", str(tmp_path / "amber-Q4_K_M.zip"))
    assert "damaged or incomplete" in sentence
    assert laptop.deployed is None


def test_one_deployment_at_a_time(home: Home, tiny_model: Path) -> None:
    finetuned.exported(home.models, tiny_model)
    with registry.lock(home.models):
        assert "Another deployment" in home.refused()
        assert "amber" in home.run("--list")
