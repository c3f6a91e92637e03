"""The verdict, the advice and the gate: what follows from which figures."""

import json
from pathlib import Path
from typing import Any

import pytest

from model import report
from model.sides import BASE, CANDIDATE, DEPLOYED, OTHERS


def a_side(auc: float, accuracy: float, **changes: Any) -> dict[str, Any]:
    words = {"distinct_2": 0.9, "loops": 0.0}
    lengths = {"members": 20.0, "others": 20.0}
    return {
        "match": max(0.0, min(1.0, 2 * (1 - accuracy))),
        "detection": {"auc": auc, "auc_95": [auc - 0.04, auc + 0.04], "accuracy": accuracy},
        "likeness": {"characters": lengths, "others": words, "members": words},
        "fit": {"mrr": 0.5},
        "copies": {"rate": 0.0, "members_rate": 0.0},
        **changes,
    }


def a_report(candidate: dict[str, Any], **sides: dict[str, Any]) -> dict[str, Any]:
    known = {"base": BASE, "deployed": DEPLOYED}
    return {
        "format": report.FORMAT,
        "name": "amber",
        "quant": "Q4_K_M",
        "sha256": "a" * 64,
        "data_hash": "data",
        "made_at": 1.0,
        "trained_on": 10_000,
        "sides": {
            OTHERS: a_side(0.5, 0.5, fit={"mrr": 0.3}),
            CANDIDATE: candidate,
            **{known[name]: side for name, side in sides.items()},
        },
        "difference_95": {BASE: [-0.4, -0.2]},
    }


def refusal(facts: dict[str, Any] | None, deployed: str | None = None) -> str:
    return report.refusal(facts, "a" * 64, "data", deployed)


@pytest.mark.parametrize(
    ("auc", "accuracy", "words"),
    [
        (0.52, 0.51, "Indistinguishable"),
        (0.55, 0.54, "Very close"),
        (0.59, 0.56, "Close to the members"),
        (0.80, 0.72, "training helped"),
        (0.93, 0.88, "Easily told apart"),
    ],
)
def test_the_verdict_follows_from_the_interval(auc: float, accuracy: float, words: str) -> None:
    facts = a_report(a_side(auc, accuracy), base=a_side(0.95, 0.9))
    assert words in report.verdict(facts)
    assert f"{accuracy:.0%}" in report.verdict(facts)


def test_advice_is_silent_when_nothing_is_wrong_and_never_when_something_is() -> None:
    assert report.advice(a_report(a_side(0.55, 0.55))) == []
    assert report.advice(a_report(a_side(0.8, 0.75)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"likeness": a_side(0, 0)["likeness"] | {"characters": {"members": 20, "others": 60}}},
            "long",
        ),
        ({"fit": {"mrr": 0.3}}, "fit no better"),
        ({"copies": {"rate": 0.3, "members_rate": 0.05}}, "recites"),
        (
            {"likeness": a_side(0, 0)["likeness"] | {"others": {"distinct_2": 0.5, "loops": 0.1}}},
            "temperature",
        ),
    ],
)
def test_advice_names_what_is_wrong(changes: dict[str, Any], words: str) -> None:
    assert any(words in one for one in report.advice(a_report(a_side(0.8, 0.75, **changes))))


def test_the_gate_lets_a_better_model_through() -> None:
    assert refusal(a_report(a_side(0.6, 0.6), base=a_side(0.9, 0.8))) == ""


def test_the_gate_stops_a_model_that_is_told_apart_more_easily_than_the_one_in_use() -> None:
    in_use = a_side(0.6, 0.6, sha256="b" * 64)
    assert "more easily" in refusal(a_report(a_side(0.7, 0.7), deployed=in_use), "b" * 64)
    assert refusal(a_report(a_side(0.63, 0.6), deployed=in_use), "b" * 64) == ""  # within the error


def test_the_gate_stops_a_model_that_foresees_members_worse() -> None:
    facts = a_report(a_side(0.6, 0.6), base=a_side(0.9, 0.8))
    facts["difference_95"] = {BASE: [0.05, 0.1]}
    assert "foresees members worse" in refusal(facts)


def test_the_gate_wants_the_report_of_this_file_and_of_this_rival() -> None:
    facts = a_report(a_side(0.6, 0.6), base=a_side(0.9, 0.8))
    assert "no report" in refusal(None)
    assert "another file" in report.refusal(facts, "c" * 64, "data", None)
    assert "other data" in report.refusal(facts, "a" * 64, "new data", None)
    assert "Another model" in refusal(facts, "b" * 64)


@pytest.mark.parametrize(
    "garbage",
    ["", "[]", "{", "null", '{"format": 0}', '{"format": 1}', '{"format": 1, "sides": 3}'],
)
def test_a_report_that_is_garbage_is_no_report(garbage: str, tmp_path: Path) -> None:
    folder = tmp_path / "finetuned" / "amber"
    folder.mkdir(parents=True)
    (folder / "amber.Q4_K_M.report.json").write_text(garbage)
    assert report.read(folder, "Q4_K_M") is None
    assert report.history(tmp_path) == []


def test_reports_are_kept_and_found_oldest_first(tmp_path: Path) -> None:
    for made_at, name in ((2.0, "basil"), (1.0, "amber")):
        folder = tmp_path / "finetuned" / name
        folder.mkdir(parents=True)
        report.keep(folder, {**a_report(a_side(0.6, 0.6)), "made_at": made_at}, "Q4_K_M")
    assert [facts["made_at"] for facts in report.history(tmp_path)] == [1.0, 2.0]
    assert json.loads((tmp_path / "finetuned" / "amber" / "amber.Q4_K_M.report.json").read_text())
