"""Copies: the longest run of words, found as a plain search finds it, and whose habit it is."""

import random

import pytest

from bot.config import UserError
from tests.model import community

copying = pytest.importorskip("model.copying", reason="needs requirements-train.txt")
Copy = copying.Copy


def the_longest(text: str, known: list[str]) -> int:
    """By looking for every run of words in every text."""
    words, texts = text.split(), [f" {other} " for other in known]
    runs = (words[i:j] for i in range(len(words)) for j in range(i + 1, len(words) + 1))
    found = (len(run) for run in runs if any(f" {' '.join(run)} " in other for other in texts))
    return max(found, default=0)


def some_texts(count: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    return [" ".join(dice.choices("abcd", k=dice.randint(0, 12))) for _ in range(count)]


def test_runs_are_those_of_a_plain_search() -> None:
    texts, known = some_texts(40, 1), some_texts(30, 2)
    found = copying.longest_runs(texts, known)
    assert [run.words for run in found] == [the_longest(text, known) for text in texts]
    assert [run.reply for run in found] == list(range(40))
    for text, run in zip(texts, found, strict=True):
        source = [known[run.source]] if run.words else []
        assert the_longest(text, source) == run.words
        assert (run.source == -1) == (run.words == 0)


def test_a_run_stands_in_one_text() -> None:
    (run,) = copying.longest_runs(["we all like pie and tea"], ["we all like", "pie and tea"])
    assert run.words == 3


def test_the_oldest_source_is_named() -> None:
    known = ["other", "one two three", "one two three"]
    assert copying.longest_runs(["say one two three"], known) == [Copy(0, 1, 3)]
    assert (
        copying.longest_runs(["one"], []) == copying.longest_runs(["one"], [""]) == [Copy(0, -1, 0)]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Don\u2019t tell HIM, okay?!", 4),
        ("don't\ntell him... OKAY", 4),
        ("今日は天気がいい", 8),
        ("🎉 <@5> -- !!", 1),
        ("", 0),
    ],
)
def test_case_punctuation_and_lines_hide_no_copy(text: str, words: int) -> None:
    known = ["and don\u2019t tell him okay", "ええ今日は天気がいいね", "5"]
    assert copying.longest_runs([text], known)[0].words == words


def test_rates_are_of_replies_with_six_words_or_more_copied() -> None:
    known = ["a b c d e f g", "nothing"]
    replies = ["x a b c d e f y", "a b c d e", "zzz", "a b c d e f g"]
    copies = copying.compare(replies, ["b c d e f g", "a", "b"], known)
    assert copying.LEAST_WORDS == 6
    assert copies.rate == 0.5
    assert copies.members_rate == pytest.approx(1 / 3)
    assert copies.longest == 7
    assert copies.examples == (Copy(3, 0, 7), Copy(0, 0, 6))


def test_members_copy_little_and_a_parrot_all() -> None:
    known, (members, more) = community.known(), community.two_sides(300)
    parrot = [text for text in known if len(text.split()) > 8][:300]
    assert copying.compare(more, members, known).rate < 0.1
    copies = copying.compare(parrot, members, known)
    assert copies.rate > 0.95
    assert copies.members_rate < 0.1
    assert len(copies.examples) == copying.EXAMPLES


def test_the_nearest_text_is_the_one_that_says_the_same() -> None:
    known = ["what a nice day", "my cat sleeps all day", "lol", "the cat is on the roof again"]
    replies = ["that cat, on the roof, again?", "LOL", "quite a nice day", "🎉", ""]
    assert copying.nearest(replies, known) == [3, 2, 0, -1, -1]
    assert copying.nearest(known * 40, known) == [0, 1, 2, 3] * 40


def test_garbage_has_places_and_rates_all_the_same() -> None:
    junk = ["\ud800", "\x00", "((" * 900, "a " * 900, "\u2028\u200b", "", " ", "İ"]
    copies = copying.compare(junk, junk, junk)
    assert copies.rate == copies.members_rate == 1 / 8
    assert copies.longest == 900
    assert copying.nearest(junk, junk)[3] == 3


def test_nothing_to_compare_is_an_error_with_a_way_out() -> None:
    for place in range(3):
        lists = [["a"] if other != place else [] for other in range(3)]
        with pytest.raises(UserError, match="Fetch more history"):
            copying.compare(*lists)
