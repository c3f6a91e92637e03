"""Who answers the contexts: complete, reproducible, and not asked twice."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from llama_cpp import Llama

from bot.config import UserError
from model import examples, sources
from model.examples import Example
from model.inference import Sampling
from model.prompts import Turn

SHORT = Sampling(max_tokens=6)


def rows(count: int) -> list[Example]:
    return [
        Example((Turn("kim", f"what about {n}?"),), f"member {n}", n % 2, (n, n + 100))
        for n in range(count)
    ]


def test_a_model_is_asked_once(tmp_path: Path, tiny_model: Path) -> None:
    said = sources.bot(tiny_model, rows(9), SHORT, tmp_path)

    def never(*_: Any) -> Llama:
        raise AssertionError("it was loaded again")

    assert sources.bot(tiny_model, rows(9), SHORT, tmp_path, never) == said
    assert len(said) == 9
    (kept,) = tmp_path.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


def test_an_interrupted_answering_goes_on_and_says_the_same(
    tmp_path: Path, tiny_model: Path
) -> None:
    whole = sources.bot(tiny_model, rows(9), SHORT, tmp_path / "a")
    (first,) = (tmp_path / "a").iterdir()
    lines = first.read_text().splitlines(keepends=True)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / first.name).write_text("".join(lines[:5]) + lines[5][:7])
    resumed = sources.bot(tiny_model, rows(9), SHORT, tmp_path / "b")
    kept = {json.loads(line)["number"] for line in lines[:5]}
    assert all(resumed[number] == whole[number] for number in kept)
    assert len(resumed) == 9 and sum(map(str.__eq__, resumed, whole)) >= 7  # rounding differs


def test_another_temperature_model_or_context_is_another_file(
    tmp_path: Path, tiny_model: Path, tiny_qwen: Path
) -> None:
    sources.bot(tiny_model, rows(3), SHORT, tmp_path)
    sources.bot(tiny_model, rows(3), Sampling(max_tokens=6, temperature=0.2), tmp_path)
    sources.bot(tiny_model, rows(4), SHORT, tmp_path)
    sources.bot(tiny_qwen, rows(3), SHORT, tmp_path)
    assert len(list(tmp_path.iterdir())) == 4


def test_a_file_that_is_no_text_is_a_sentence(tmp_path: Path, tiny_model: Path) -> None:
    sources.bot(tiny_model, rows(2), SHORT, tmp_path)
    (kept,) = tmp_path.iterdir()
    kept.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="Delete it"):
        sources.bot(tiny_model, rows(2), SHORT, tmp_path)


def test_others_speak_elsewhere_in_the_same_channel_and_each_once() -> None:
    pool = [Example((Turn("sam", "hm"),), f"other {n}", n % 2) for n in range(20)]
    found = sources.others(rows(10), pool, seed=0)
    assert len(set(found)) == 10
    assert all(int(text.split()[1]) % 2 == n % 2 for n, text in enumerate(found))
    assert found == sources.others(rows(10), pool, seed=0) != sources.others(rows(10), pool, 1)


def test_a_chain_answers_everything_from_the_words_it_knows() -> None:
    found = sources.markov(rows(5), ["well hello there", "hello you"], seed=0)
    assert len(found) == 5
    assert {word for text in found for word in text.split()} <= {"well", "hello", "there", "you"}


def test_rows_that_show_a_message_in_common_are_one_conversation() -> None:
    made = [(1, 2), (2, 3), (10, 11), (3, 4), (12,)]
    found = examples.conversations([Example((), "x", 0, ids) for ids in made])
    assert found[0] == found[1] == found[3]
    assert len({found[0], found[2], found[4]}) == 3
