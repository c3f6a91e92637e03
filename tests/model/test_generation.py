"""Replies drawn side by side: the same as one after the other."""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from llama_cpp import Llama

from model import drawing, generation, resident
from model.inference import Sampling

GREEDY = Sampling(temperature=0.0, repeat_penalty=1.0, max_tokens=12)
SEEDS = [0] * 20


@pytest.fixture(scope="module")
def model(small_model: Path) -> Iterator[Llama]:
    loaded = resident.load(small_model, 512)
    yield loaded
    loaded.close()


def prompts(model: Llama, count: int) -> list[list[int]]:
    """Prompts of all lengths, one of them longer than a batch."""
    dice = random.Random(1)
    words = [
        "so",
        "what",
        "do",
        "you",
        "think",
        "about",
        "this",
        "weather",
        "then",
        "my",
        "friend",
        "is",
        "it",
        "good",
    ]
    texts = [" ".join(dice.choices(words, k=dice.randint(1, 60))) for _ in range(count)]
    texts[count // 2] = " ".join(dice.choices(words, k=generation.BATCH + 20))
    return [model.tokenize(text.encode(), add_bos=False) for text in texts]


def alone(model: Llama, prompt: list[int]) -> str:
    model.reset()
    drawn = itertools.islice(model.generate(prompt, temp=0.0), GREEDY.max_tokens)
    said = list(itertools.takewhile(lambda token: not drawing.is_end(model, token), drawn))
    return str(model.detokenize(said).decode("utf-8", "ignore"))


def test_in_one_place_they_are_what_the_bot_says(
    small_model: Path, model: Llama, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generation, "PLACES", 1)
    asked = prompts(model, 8)
    found = dict(generation.replies(model, asked, GREEDY, SEEDS))
    roomy = resident.load(small_model, 1024)
    assert found == {number: alone(roomy, prompt) for number, prompt in enumerate(asked)}
    roomy.close()


def test_side_by_side_each_prompt_gets_its_own_reply(model: Llama) -> None:
    questions = ["The capital of France is", "One, two, three, four,"] * 6
    asked = [model.tokenize(text.encode(), add_bos=False) for text in questions]
    found = dict(generation.replies(model, asked, GREEDY, SEEDS))
    assert sorted(found) == list(range(12))
    for number, word in enumerate(["paris", "five"] * 6):
        assert word in found[number].lower()


def test_the_same_seed_draws_the_same_replies_and_another_does_not(model: Llama) -> None:
    asked = prompts(model, 14)[:6]  # without the long one
    drawn = [
        dict(generation.replies(model, asked, Sampling(max_tokens=8), range(s, s + 6)))
        for s in (1, 1, 50)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_no_prompts_are_no_replies(model: Llama) -> None:
    assert list(generation.replies(model, [], GREEDY, [])) == []
