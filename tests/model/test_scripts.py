"""Scripts 3, 4 and 5 as a person runs them, on a tiny model: from data to a deployed GGUF."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bot.config import ROOT
from model import runs
from storage import database
from tests.model.shapes import QWEN_3B, write_header

pytest.importorskip("peft", reason="needs requirements-train.txt")

FAST = ("--rank", "2", "--batch-size", "4", "--max-seq-length", "128", "--learning-rate", "0.002")
WORDS = ("yeah", "nope", "lol", "what", "the", "game", "tonight", "works", "for", "me", "see")


class Home:
    """A settings file with data and models folders of its own."""

    def __init__(self, folder: Path, base: Path) -> None:
        self.models, self.data, self.base = folder / "models", folder / "data", base
        self.env = folder / "test.env"
        token = "MTIzNDU2Nzg5MDEyMzQ1Njc4." + "Gabcde." + "x" * 38
        lines = (
            f"DISCORD_TOKEN={token}",
            "SERVER_ID=123456789012345678",
            "ADMIN_USERS=123456789012345678",
            f"DATA_DIR={self.data}",
            f"MODELS_DIR={self.models}",
            "THREADS=1",
            "CONTEXT_LENGTH=256",
        )
        self.env.write_text("\n".join(lines))

    def prepare(self, train: int = 80, valid: int = 12) -> "Home":
        """Write what script 2 writes."""
        folder = self.data / "training"
        folder.mkdir(parents=True, exist_ok=True)
        dice = random.Random(train)
        for name, count in (("train", train), ("valid", valid)):
            rows = [json.dumps(_row(dice, number)) for number in range(count)]
            (folder / f"{name}.jsonl").write_text("\n".join(rows) + "\n")
        for name in ("preferences", "valid_preferences"):
            (folder / f"{name}.jsonl").write_text("")
        digest = hashlib.sha256(str(train).encode()).hexdigest()
        manifest = {"data_hash": digest, "file_hashes": {}, "message_hashes": []}
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return self

    def command(self, script: str, *arguments: str) -> list[str]:
        base = ["--base-gguf", str(self.base)] if script == "3_train_model" else []
        path = str(ROOT / "scripts" / f"{script}.py")
        return [sys.executable, path, "--env", str(self.env), *base, *arguments]

    def run(self, script: str, *arguments: str, env: dict[str, str] | None = None) -> "Done":
        done = subprocess.run(
            self.command(script, *arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(env or {})},
        )
        return Done(done.returncode, done.stdout, done.stderr)


class Done:
    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    def succeeded(self) -> str:
        assert self.code == 0, self.out + self.err
        return self.out

    def refused(self) -> str:
        """The sentence for a person: last, alone, and with the exit code that says so."""
        assert self.code == 78, self.out + self.err
        assert "Traceback" not in self.err
        return self.err.strip().splitlines()[-1]


def _row(dice: random.Random, number: int) -> dict[str, object]:
    def say() -> str:
        return " ".join(dice.choice(WORDS) for _ in range(dice.randrange(2, 7)))

    turns = [{"name": dice.choice(["amber", "bob", None]), "text": say()} for _ in range(3)]
    return {"turns": turns, "reply": say(), "channel_id": 1, "message_id": number}


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path) -> Home:
    return Home(tmp_path, tiny_model)


def test_from_data_to_a_deployed_model_and_back(home: Home) -> None:
    home.prepare()
    flags = ("--name", "amber", "--max-steps", "4", "--canaries", *FAST)
    said = home.run("3_train_model", *flags).succeeded()
    progress = [json.loads(line[10:]) for line in said.splitlines() if line.startswith("@progress")]
    assert progress[-1]["step"] == "train" and progress[-1]["done"] == 4
    assert progress[-1]["note"].startswith("sft loss ")

    said = home.run("4_evaluate_personality", "--quick", "--limit", "6").succeeded()
    figures = json.loads(said.splitlines()[-1])
    assert (figures["model"], figures["examples"]) == ("amber", 6)
    assert figures["bits_per_char"] < figures["bits_per_char_base"]
    assert figures["perplexity"] < figures["perplexity_base"]
    assert set(figures["exposure"]) == {"0", "1", "4", "16", "64"}
    assert all(0 <= known <= 7 for known in figures["exposure"].values())
    said = home.run("4_evaluate_personality", "--quick", "--limit", "6").succeeded()
    again = json.loads(said.splitlines()[-1])
    assert again["bits_per_char"] == figures["bits_per_char"]

    assert "It has no report" in home.run("5_deploy_bot", "--model", "amber").refused()
    home.run("5_deploy_bot", "--model", "amber", "--force").succeeded()
    connection = database.connect(home.data / "database" / "bot.sqlite3")
    deployed = database.deployed_model(connection)
    assert deployed and deployed.name == "amber" and deployed.path.exists()
    assert deployed.metrics["bits_per_char"] == figures["bits_per_char"]
    listed = home.run("5_deploy_bot", "--list").succeeded()
    assert any(line.startswith("* amber") for line in listed.splitlines())
    assert f"{figures['bits_per_char']:.3f}" in listed

    assert "its base model" in home.run("5_deploy_bot", "--rollback").succeeded()
    assert database.deployed_model(connection) is None
    assert "nothing to take back" in home.run("5_deploy_bot", "--rollback").refused()


@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGINT")
def test_a_stopped_training_is_resumed_however_and_however_often_it_was_stopped(home: Home) -> None:
    home.prepare()
    how = iter(("ctrl-c", "stdin", "both"))
    long = ("--epochs", "40", "--max-steps", "400")
    begun = home.command("3_train_model", "--name", "amber", *long, *FAST)
    done = _steps_when_stopped(home, begun, next(how))
    for one in how:
        done = _steps_when_stopped(home, home.command("3_train_model", "--resume"), one)
    folder = runs.find_unfinished(home.models)
    plan = json.loads((folder / "plan.json").read_text())
    plan["recipe"]["max_steps"] = done + 2  # so that the rest is quick
    (folder / "plan.json").write_text(json.dumps(plan))
    home.run("3_train_model", "--resume").succeeded()
    assert runs.find(home.models).steps == done + 2
    assert _steps(home.models / "training" / "amber" / "loss.jsonl") == done + 2


def _steps_when_stopped(home: Home, command: list[str], how: str) -> int:
    """Let a training do some more steps and stop it; how many it has done by then."""
    curve = home.models / "training" / "amber" / "loss.jsonl"
    before = _steps(curve)
    child = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdin and child.stdout
    while child.poll() is None and _steps(curve) <= before:
        time.sleep(0.05)
    if not before:
        refused = home.run("3_train_model", "--name", "bob", *FAST).refused()
        assert "Another training is running" in refused
    if how != "ctrl-c":
        child.stdin.close()
    if how != "stdin":
        child.send_signal(signal.SIGINT)
    out = child.stdout.read()
    assert child.wait() == 0, out
    assert "--resume" in out
    assert before < _steps(curve) < 400
    return _steps(curve)


def _steps(curve: Path) -> int:
    """How many steps a loss curve tells of."""
    lines = curve.read_text().splitlines() if curve.exists() else []
    return sum('"loss"' in line for line in lines)


def test_what_is_missing_is_a_sentence_with_the_way_out(home: Home, tmp_path: Path) -> None:
    assert "scripts/2_prepare_training_data.py" in home.run("3_train_model").refused()
    assert "scripts/3_train_model.py" in home.run("4_evaluate_personality").refused()
    assert "scripts/3_train_model.py" in home.run("5_deploy_bot").refused()
    home.prepare(train=10)
    assert "at least 50 are needed" in home.run("3_train_model").refused()
    home.prepare()
    assert "without --resume" in home.run("3_train_model", "--resume").refused()
    wrong = home.run("3_train_model", "--base-gguf", str(tmp_path / "none.gguf")).refused()
    assert "There is no model at" in wrong
    assert not list(home.models.glob("training/*/*"))


def test_without_torch_the_command_that_installs_it_is_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "torch.py").write_text('raise ImportError("no", name="torch")')
    done = home.prepare().run("3_train_model", env={"PYTHONPATH": str(tmp_path / "hidden")})
    assert "python3 bootstrap.py --train" in done.refused()


def test_a_plan_needs_no_data_and_writes_nothing(home: Home) -> None:
    said = home.run("3_train_model", "--plan", *FAST).succeeded()
    assert "Training by sft and dpo on the" in said and "  together " in said
    assert "That fits" in said and "no training data yet" in said
    assert not home.models.exists() and not home.data.exists()
    home.prepare(train=80)
    said = home.run("3_train_model", "--plan", "--epochs", "2", *FAST).succeeded()
    assert "Training by sft on the" in said
    assert "At most 20 steps of sft, of 8 examples each." in said
    assert not home.models.exists()


def test_a_plan_can_be_made_before_torch_is_installed(home: Home, tmp_path: Path) -> None:
    (tmp_path / "hidden").mkdir()
    (tmp_path / "hidden" / "torch.py").write_text('raise ImportError("no", name="torch")')
    env = {"PYTHONPATH": str(tmp_path / "hidden")}
    own = home.run("3_train_model", "--plan", env=env).succeeded()
    assert "on the CPU, as long as" in own
    default = home.command("3_train_model", "--plan")
    default = [part for part in default if part not in ("--base-gguf", str(home.base))]
    said = subprocess.run(default, capture_output=True, text=True, env={**os.environ, **env})
    assert said.stdout.splitlines()[1].startswith("134 million numbers in 32 bits")
    assert not home.models.exists()  # the default model was not fetched for it


def test_what_does_not_fit_is_refused_in_the_same_words(home: Home, tmp_path: Path) -> None:
    large = write_header(tmp_path / "large.gguf", QWEN_3B)
    home.prepare()
    wish = ("--base-gguf", str(large), "--batch-size", "1024", "--method", "sft")
    planned = home.run("3_train_model", "--plan", *wish)
    assert "  together " in planned.out
    said = planned.refused()
    assert "This training needs" in said and "Either " in said
    assert home.run("3_train_model", *wish).refused() == said
    assert not list(home.models.glob("training/*/*"))


def test_new_data_makes_an_old_training_unmeasurable_and_unresumable(home: Home) -> None:
    home.prepare().run("3_train_model", "--name", "amber", "--max-steps", "1", *FAST).succeeded()
    (home.models / "training" / "amber" / "run.json").rename(home.models / "aside.json")
    home.prepare(train=81)
    assert "data has changed" in home.run("3_train_model", "--resume").refused()
    (home.models / "aside.json").rename(home.models / "training" / "amber" / "run.json")
    assert "prepared again" in home.run("4_evaluate_personality").refused()


@pytest.mark.parametrize("script", ["3_train_model", "4_evaluate_personality", "5_deploy_bot"])
def test_every_script_explains_itself_by_path_and_as_a_module(script: str) -> None:
    for how in ([f"scripts/{script}.py"], ["-m", f"scripts.{script}"]):
        command = [sys.executable, *how, "--help"]
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
        assert "--env" in said.stdout
