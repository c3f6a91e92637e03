"""Bits a character: checked against llama.cpp's own logits and against arithmetic."""

import json
from pathlib import Path

import numpy as np
import pytest
from llama_cpp import Llama

from bot.config import UserError
from model import evaluation, examples, resident
from model.evaluation import Score
from model.examples import Example
from model.prompts import Turn

ROWS = [
    Example((Turn("amber", "hi"), Turn("bob", "anyone up for a game?")), "sure, give me 5"),
    Example((Turn("amber", "hi"), Turn(None, "yo"), Turn("bob", "so?")), "🎉 on my way"),
    Example((Turn("kim", "long " * 80),), "no"),
]


def a_score(bits: list[float], characters: list[int]) -> Score:
    return Score(np.array(bits), np.array([4] * len(bits)), np.array(characters))


def test_figures_are_sums_over_sums() -> None:
    score = a_score([10.0, 30.0], [5, 15])
    assert score.bits_per_char == 2.0
    assert score.perplexity == pytest.approx(2 ** (40 / 8))


def test_a_score_is_what_the_models_logits_say(tiny_model: Path) -> None:
    model = resident.load(tiny_model, 256, threads=1)
    seen: list[int] = []
    score = evaluation.score(model, ROWS, seen.append)
    assert seen == [1, 2, 3]
    encoded = list(examples.tokenise(ROWS, resident.encoder(model), 256))
    plain = Llama(str(tiny_model), n_ctx=256, logits_all=True, verbose=False)
    for place, tokens in enumerate(encoded):
        assert tokens
        plain.reset()
        plain.eval(tokens.ids)
        rows = plain.scores[: len(tokens.ids)].astype(np.float64)
        logs = rows - np.log(np.exp(rows).sum(1, keepdims=True))
        first = len(tokens.ids) - tokens.reply_length
        bits = -sum(logs[i - 1, tokens.ids[i]] for i in range(first, len(tokens.ids))) / np.log(2)
        assert score.bits[place] == pytest.approx(bits, rel=2e-3)
        assert score.tokens[place] == tokens.reply_length
    assert score.characters.tolist() == [len(row.reply) for row in ROWS]


def test_what_was_read_before_does_not_change_a_score(tiny_model: Path) -> None:
    model = resident.load(tiny_model, 256, threads=1)
    forwards = evaluation.score(model, ROWS, lambda done: None)
    backwards = evaluation.score(model, ROWS[::-1], lambda done: None)
    np.testing.assert_allclose(forwards.bits, backwards.bits[::-1], rtol=2e-3)


def test_a_reply_that_never_fits_counts_for_nothing(tiny_model: Path) -> None:
    model = resident.load(tiny_model, 256, threads=1)
    rows = [ROWS[0], Example((Turn("a", "?"),), "x y " * 400)]
    score = evaluation.score(model, rows, lambda done: None)
    assert score.characters.tolist() == [len(ROWS[0].reply), 0]
    assert score.bits[1] == 0


def test_the_interval_holds_the_difference_and_knows_its_sign() -> None:
    dice = np.random.default_rng(0)
    characters = dice.integers(5, 80, 100)
    base = Score(characters * 2.0 + dice.normal(0, 3, 100), characters, characters)
    better = Score(base.bits - characters * 0.2, characters, characters)
    low, high = evaluation.interval(better, base)
    assert low <= -0.2 + 1e-9 and high >= -0.2 - 1e-9
    assert high < 0
    assert evaluation.interval(base, base) == (0.0, 0.0)


def test_a_sample_keeps_the_order_and_is_the_same_every_time() -> None:
    rows = [Example((Turn("a", "?"),), str(number)) for number in range(100)]
    drawn = evaluation.sample(rows, 10, seed=4)
    assert drawn == evaluation.sample(rows, 10, seed=4)
    assert drawn != evaluation.sample(rows, 10, seed=5)
    numbers = [int(row.reply) for row in drawn]
    assert numbers == sorted(numbers) and len(set(numbers)) == 10
    assert evaluation.sample(rows, 500, seed=4) == rows


def test_a_burst_is_learned_as_one_reply_of_several_lines(tmp_path: Path) -> None:
    rows = [{"turns": [{"name": None, "text": "hi"}], "reply": r} for r in (["lol", "no"], "lol")]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert [row.reply for row in examples.read(tmp_path / "train.jsonl")] == ["lol\nno", "lol"]


def test_missing_and_damaged_files_name_the_script_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2_prepare_training_data"):
        examples.read(tmp_path / "train.jsonl")
    turn = '{"name": "a", "text": "hi"}'
    for row in (
        '{"turns": [], "reply": "x"}',
        *(f'{{"turns": [{turn}], "reply": {reply}}}' for reply in ("[]", "[1]", "{}", "null")),
        f'{{"turns": {turn}, "reply": "x"}}',
        "[]",
        "not json",
    ):
        (tmp_path / "train.jsonl").write_text(row + "\n")
        with pytest.raises(UserError, match="2_prepare_training_data"):
            examples.read(tmp_path / "train.jsonl")
    with pytest.raises(UserError, match="2_prepare_training_data"):
        examples.data_hash(tmp_path)
