"""Step 4 as a person runs it, on a tiny model: the report, the gate it opens, the blind test."""

import json
import stat
from pathlib import Path

import pytest

from storage import database
from tests.model.test_scripts import FAST, Home

pytest.importorskip("peft", reason="needs requirements-train.txt")
pytest.importorskip("sklearn", reason="needs requirements-train.txt")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Home:
    """A model trained for a few steps, with enough held out to judge it."""
    made = Home(tmp_path_factory.mktemp("home"), tiny_model).prepare(train=120, valid=220)
    made.run("3_train_model", "--name", "amber", "--max-steps", "6", *FAST).succeeded()
    connection = database.connect(made.data / "database" / "bot.sqlite3")
    database.change_setting(connection, "max_tokens", 12)
    connection.close()
    return made


def test_the_report_is_made_shown_and_opens_the_gate(home: Home) -> None:
    said = home.run("4_evaluate_personality", "--limit", "75").succeeded()
    figures = json.loads(said.splitlines()[-1])
    assert figures["auc"] > 0.9  # a model of random weights
    assert figures["match"] < 0.3
    assert "told" in said and "other members" in said

    folder = home.models / "finetuned" / "amber"
    facts = json.loads((folder / "amber.Q4_K_M.report.json").read_text())
    assert facts["contexts"] == 75
    assert set(facts["sides"]) == {
        "other members",
        "this model",
        "the base model",
        "a Markov chain",
    }
    assert facts["sides"]["other members"]["detection"]["auc"] < 0.7
    assert facts["tells"] and facts["advice"] and facts["verdict"]

    (page,) = (home.data / "reports").iterdir()
    text = page.read_text()
    assert stat.S_IMODE(page.stat().st_mode) == 0o600
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org", "")
    assert text.count("<svg") == 2
    assert "src=" not in text and "<script" not in text

    sentence = home.run("5_deploy_bot").out
    assert "Deployed amber" in sentence or "more easily" in home.run("5_deploy_bot").refused()


def test_tuned_sampling_is_kept_and_becomes_the_bots(home: Home) -> None:
    before = home.run("4_evaluate_personality", "--limit", "60", "--tune").succeeded()
    assert before.count("AUC") > 10
    tuned = json.loads(before.splitlines()[-1])["sampling"]
    assert set(tuned) == {"temperature", "top_p", "min_p", "repeat_penalty"}

    # as it was tuned a model of random weights often says nothing, which counts for nobody
    figures = home.run("4_evaluate_personality", "--limit", "110").succeeded()
    assert json.loads(figures.splitlines()[-1])["sampling"] == tuned
    report = json.loads((home.models / "finetuned/amber/amber.Q4_K_M.report.json").read_text())
    assert {name: report["sampling"][name] for name in tuned} == tuned

    home.run("5_deploy_bot", "--force").succeeded()
    connection = database.connect(home.data / "database" / "bot.sqlite3")
    bots = database.settings(connection)
    assert {name: getattr(bots, name) for name in tuned} == tuned
    assert bots.max_tokens == 12


def test_too_few_held_out_replies_are_a_sentence(home: Home) -> None:
    assert "50 replies" in home.run("4_evaluate_personality", "--limit", "20").refused()


def test_people_judge_what_was_said_already_and_are_scored(home: Home, tmp_path: Path) -> None:
    page = tmp_path / "judge.html"
    flags = ("--limit", "75", "--blind-test", str(page))
    home.run("4_evaluate_personality", *flags).succeeded()
    kept = {path.name: path.read_bytes() for path in (home.data / "evaluation").iterdir()}
    home.run("4_evaluate_personality", *flags).succeeded()
    assert kept == {path.name: path.read_bytes() for path in (home.data / "evaluation").iterdir()}
    key = tmp_path / "judge.key.json"
    assert page.exists() and key.exists()
    assert "needs the key" in home.run("4_evaluate_personality", "--score", str(key)).refused()
    garbage = tmp_path / "result.json"
    garbage.write_text("{}")
    refused = home.run("4_evaluate_personality", "--score", str(key), str(garbage)).refused()
    assert "result.json" in refused
