"""Likeness: members are near members, and each way of not being one moves its own figure."""

import dataclasses
import functools
import math
import random
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from bot.config import UserError
from model.markov import Chain
from tests.model import community

likeness = pytest.importorskip("model.likeness", reason="needs requirements-train.txt")
frontier = pytest.importorskip("model.frontier")
slang = pytest.importorskip("model.slang")

COUNT = 200


@functools.cache
def against_members(change: Callable[[list[str]], list[str]]) -> Any:
    """Members against what the change makes of others of them."""
    members, more = community.two_sides(COUNT)
    return likeness.compare(members, change(more), community.known()[:1500])


def unchanged(texts: list[str]) -> list[str]:
    return texts


def markov(texts: list[str]) -> list[str]:
    chain, dice = Chain(community.known()), random.Random(0)
    return [chain.reply(dice) for _ in texts]


def shouted(texts: list[str]) -> list[str]:
    return [text.upper() for text in texts]


def formal(texts: list[str]) -> list[str]:
    return ["\n".join(f"{line.capitalize()}." for line in text.splitlines()) for text in texts]


def wordy(texts: list[str]) -> list[str]:
    others = texts[1:] + texts[:1]
    return [f"{text} {other}" for text, other in zip(texts, others, strict=True)]


def in_bursts(texts: list[str]) -> list[str]:
    return [text.replace(" ", "\n", 3) for text in texts]


def friendly(texts: list[str]) -> list[str]:
    return [f"great, love it, {text}" for text in texts]


def laughing(texts: list[str]) -> list[str]:
    return [f"lol {text}" for text in texts]


def decorated(texts: list[str]) -> list[str]:
    return [f"{text} ✨" for text in texts]


def looping(texts: list[str]) -> list[str]:
    return [f"{text} {'and so on ' * 3}" for text in texts]


def stuck(texts: list[str]) -> list[str]:
    return texts[: COUNT // 2] + ["ok then"] * (COUNT // 2)


def flat(figures: dict[str, Any]) -> Iterator[float]:
    for value in figures.values():
        yield from flat(value) if isinstance(value, dict) else [value]


def test_identical_sides_have_no_distance() -> None:
    members, _ = community.two_sides(COUNT)
    found = likeness.compare(members, members, community.known())
    for gap in (found.characters, found.words, found.lines, found.affect):
        assert gap.ks == gap.wasserstein == 0
        assert gap.members == gap.others
    assert found.members == found.others
    assert found.members.shared_types == found.members.shared_tokens == 1
    assert found.slang_recall == found.slang_overuse == 1
    assert found.punctuation == found.emoji == found.casing == found.laughter == 0
    assert found.frontier == 0
    assert found.style_percentile > 45


def test_members_are_near_members() -> None:
    found = against_members(unchanged)
    assert max(found.characters.ks, found.words.ks, found.lines.ks, found.affect.ks) < 0.15
    assert max(found.casing, found.laughter) < 0.15
    assert max(found.punctuation, found.emoji) < 0.4
    assert found.frontier < 0.06
    assert found.slang_recall > 0.6
    assert 0.7 < found.slang_overuse < 1.4
    assert 30 < found.style_percentile < 70
    assert found.members.duplicates < 50
    assert found.members.loops < 0.02


def test_a_markov_chain_is_told_from_members() -> None:
    reference, found = against_members(unchanged), against_members(markov)
    assert found.frontier > 2 * reference.frontier
    assert found.style_percentile < reference.style_percentile - 10
    assert found.others.shared_tokens < reference.others.shared_tokens


@pytest.mark.parametrize(
    ("change", "figure", "least"),
    [
        (shouted, lambda f: f.casing, 0.7),
        (shouted, lambda f: f.frontier, 0.3),
        (shouted, lambda f: 50 - f.style_percentile, 45),
        (formal, lambda f: f.casing, 0.1),
        (formal, lambda f: f.punctuation, 0.1),
        (formal, lambda f: 50 - f.style_percentile, 20),
        (wordy, lambda f: f.characters.ks, 0.2),
        (wordy, lambda f: f.words.wasserstein, 8),
        (wordy, lambda f: f.words.others - f.words.members, 8),
        (in_bursts, lambda f: f.lines.ks, 0.5),
        (in_bursts, lambda f: f.lines.others - f.lines.members, 2),
        (friendly, lambda f: f.affect.ks, 0.4),
        (friendly, lambda f: f.affect.others - f.affect.members, 0.4),
        (laughing, lambda f: f.laughter, 0.5),
        (decorated, lambda f: f.emoji, 0.4),
        (looping, lambda f: f.others.loops, 0.95),
        (stuck, lambda f: f.others.duplicates, 450),
        (stuck, lambda f: f.frontier, 0.1),
    ],
)
def test_what_is_not_like_members_moves_its_figure(
    change: Callable[[list[str]], list[str]], figure: Callable[[Any], float], least: float
) -> None:
    assert figure(against_members(change)) > least + figure(against_members(unchanged))


def test_a_change_leaves_the_other_figures_alone() -> None:
    plain, loud = against_members(unchanged), against_members(shouted)
    for name in ("characters", "words", "lines", "members", "slang_recall", "laughter"):
        assert getattr(loud, name) == getattr(plain, name)


@pytest.mark.parametrize(
    ("one", "other", "figure"),
    [
        ("see you there", "See you there", "casing"),
        ("see you there", "SEE YOU THERE", "casing"),
        ("see you there.", "see you there!!!", "punctuation"),
        ("see you — there", "see you - there", "punctuation"),
        ("see you 🎉", "see you 💯", "emoji"),
        ("see you :)", "see you <:pog:771>", "emoji"),
        ("see you hahaha", "see you lmao", "laughter"),
    ],
)
def test_kinds_that_never_meet_are_1_apart(one: str, other: str, figure: str) -> None:
    found = likeness.compare([one] * 40, [other] * 40, [one] * 40)
    moved = {name: getattr(found, name) for name in ("casing", "punctuation", "emoji", "laughter")}
    assert moved.pop(figure) == pytest.approx(1.0)
    assert set(moved.values()) == {0.0}


def test_kinds_do_not_depend_on_how_often_a_mark_is_repeated() -> None:
    one, other = ["what??? ahahaha 👍🏽 http://a.b/C:D"] * 40, ["what?????? haha 👍 http://c"] * 40
    found = likeness.compare(one, other, one)
    assert found.punctuation == found.laughter == found.emoji == found.casing == 0


def test_slang_is_what_english_lacks_and_many_texts_have() -> None:
    texts = ["pbot do the thing", "i like the gitter room", "the pbot is in gitter now"] * 4
    once = ["zorgle " * 50, "see https://pbottery.example @bob"]
    said = [slang.words(text) for text in texts + once]
    assert set(slang.slang(said)) >= {"pbot", "gitter"}
    assert not {"the", "is", "zorgle", "pbottery", "bob"} & set(slang.slang(said))
    assert slang.slang([]) == []


def test_slang_of_the_community_is_found() -> None:
    found = slang.slang([slang.words(text) for text in community.known()])
    assert {"lol", "pbot", "gitter", "freecodecamp", ":smile:"} <= set(found[:50])
    assert not {"the", "and", "is", "to", "you"} & set(found)


def test_slang_can_be_missed_and_overdone() -> None:
    known = ["pbot dance", "gitter room", "pbot in gitter"] * 20
    members = ["pbot is nice", "gitter is slow"] * 20
    missed = likeness.compare(members, ["this is nice", "that is slow"] * 20, known)
    assert missed.slang_recall == 0
    assert missed.slang_overuse < 0.1
    overdone = likeness.compare(members, ["pbot pbot pbot", "pbot gitter pbot"] * 20, known)
    assert overdone.slang_recall == 1
    assert overdone.slang_overuse > 2.5


def test_shares_of_words_are_of_as_many_words_on_both_sides() -> None:
    members = [f"a{number}" for number in range(40)]
    others = [f"{' '.join(members)} b{number}" for number in range(40)]
    found = likeness.compare(members, others, members)
    assert found.others.distinct_1 == found.others.shared_tokens == 1
    assert found.members.distinct_1 == 1


def test_the_integral_of_the_frontier_is_that_of_its_definition() -> None:
    p_counts, q_counts = np.array([3, 0, 7, 1, 9]), np.array([2, 5, 0, 1, 9])
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (p_counts, q_counts))
    steps = 2000
    total = 0.0
    for t in (np.arange(steps) + 0.5) / steps:
        r = t * p + (1 - t) * q
        total += 2 / steps * (t * p * np.log(p / r) + (1 - t) * q * np.log(q / r)).sum()
    assert frontier.integral(p_counts, q_counts) == pytest.approx(total, rel=1e-4)
    assert frontier.integral(p_counts, p_counts) == 0
    assert frontier.integral(np.array([10**9, 0]), np.array([0, 10**9])) == pytest.approx(1)


def test_the_same_seed_gives_the_same_figures() -> None:
    (members, more), known = community.two_sides(80), community.known()[:400]
    found = likeness.compare(members, more, known, seed=3)
    assert found == likeness.compare(members, more, known, seed=3)
    assert found.style_percentile != likeness.compare(members, more, known, 4).style_percentile


@pytest.mark.parametrize(
    "junk",
    [
        ["\ud800", "\x00", "((" * 90, "\u200b", "👍🏽\u200d", "-" * 300, "İ", "漢字"] * 5,
        ["a"] * 40,
        ["🎉"] * 40,
        ["word " * 400] * 40,
        ["http://a.b", "<@1>", "1 2", "\u2028x"] * 10,
    ],
)
@pytest.mark.filterwarnings("error")
def test_garbage_gives_finite_figures(junk: list[str]) -> None:
    members, _ = community.two_sides(40)
    for sides in ((members, junk), (junk, junk)):
        found = likeness.compare(*sides, junk)
        assert all(map(math.isfinite, flat(dataclasses.asdict(found))))


def test_too_little_is_an_error_with_a_way_out() -> None:
    enough, few = ["hi"] * 40, ["hi"] * 39 + [" \n"] * 9
    for lists in (
        ([], [], []),
        (few, enough, enough),
        (enough, few, enough),
        (enough, enough, few),
    ):
        with pytest.raises(UserError, match="Fetch more history"):
            likeness.compare(*lists)
