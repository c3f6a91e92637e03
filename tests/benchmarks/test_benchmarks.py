"""The benchmarks, run small: they end with their figures, and mean what they say."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import disentangle, ingest, participation
from benchmarks.disentangle import Guess
from bot.config import ROOT
from data.links import Linker
from tests.data.history import chat


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)


def test_they_are_listed_and_an_unknown_one_is_a_sentence() -> None:
    listed = run()
    assert listed.returncode == 0 and "disentangle" in listed.stdout
    unknown = run("nonsense")
    assert unknown.returncode == 2 and "There is no benchmark 'nonsense'" in unknown.stdout


def test_disentangle_beats_both_baselines() -> None:
    figures = json.loads(run("disentangle").stdout.splitlines()[-1])
    best = max(figures["link_f1_gap"], figures["link_f1_previous"])
    assert figures["link_f1"] >= best + 0.1
    assert figures["exact"] > max(figures["exact_gap"], figures["exact_previous"])


def test_participation_beats_both_rates_beyond_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the smaller community alone; without a name all are judged."""
    monkeypatch.setattr(participation, "RESAMPLED", 60)
    path = disentangle.COMMUNITIES / "pyscript-discord"
    figures = participation.main(["--history", str(path)])
    assert figures["brier"] == figures["pyscript-discord"]["brier"]
    for rate in ("fixed", "channel"):
        assert figures[f"brier_under_{rate}"][0] > 0
        assert figures[f"pr_auc_over_{rate}"][0] > 0
        assert figures["unaddressed"]["brier"] < figures["unaddressed"][f"brier_{rate}"]
    assert figures["decision_ms"] < 2


def test_guesses_never_see_the_replies(tmp_path: Path) -> None:
    said = chat(200)
    plain = [disentangle._hidden(m) for m in said]
    marked = [replace(m, reply_to=said[max(0, i - 3)].id) if i else m for i, m in enumerate(said)]
    seen = {g.id: g.linked for g in disentangle.guess([marked])}
    linked = Linker(disentangle._common([plain])).link(plain).tolist()
    assert seen == {m.id: link for m, link in zip(said[1:], linked[1:], strict=True)}


def test_f1_and_exact_chains_by_hand() -> None:
    guesses = [
        Guess(2, target=1, linked=1, previous=1, in_gap=0),
        Guess(4, target=3, linked=0, previous=3, in_gap=3),
        Guess(5, target=4, linked=4, previous=4, in_gap=4),
        Guess(9, target=7, linked=8, previous=8, in_gap=8),
    ]
    figures = disentangle.scores(guesses)
    assert figures["link_f1"] == round(2 * 2 / (4 + 3), 4)
    assert figures["link_f1_previous"] == 0.75
    assert figures["exact"] == round(1 / 3, 4)  # of {1 2} {3 4 5} {7 9}
    assert figures["exact_previous"] == round(2 / 3, 4)


def test_ingest_measures_every_step(tmp_path: Path) -> None:
    figures = ingest.main(["--messages", "3000", "--keep", str(tmp_path)])
    assert figures["messages"] == 3000
    for key in ("import_over_floor", "prepare_over_floor", "peak_mb", "messages_per_s", "examples"):
        assert figures[key] > 0
    assert sum(1 for _ in (tmp_path / "history.jsonl").open("rb")) == 3000
