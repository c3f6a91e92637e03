"""Untangling: who answers whom, and which messages belong together."""

import random
from dataclasses import replace

import numpy as np
import pytest

from data import conversations, links, plan
from data.conversations import Untangler
from data.links import LAGS, Linker
from storage.messages import Message
from tests.data.history import chat, message

ANN, BOB, CAT, DAN = 1, 2, 3, 4


def numbers(said: list[Message]) -> list[int]:
    _, found = Untangler().feed(said)
    return [int(number) for number in found]


def targets(said: list[Message]) -> list[int]:
    """The place of what each message answers, -1 for none."""
    places = {m.id: place for place, m in enumerate(said)}
    return [places.get(int(target), -1) for target in Linker().link(said)]


def test_a_marked_reply_joins_what_it_answers_however_far_back() -> None:
    said = chat(3 * LAGS)
    said.append(message(10**6, DAN, "you were right", reply_to=said[0].id))
    assert targets(said)[-1] == 0
    assert numbers(said)[-1] == numbers(said)[0]


def test_a_message_after_a_long_silence_begins_a_conversation() -> None:
    said = [
        message(0, ANN, "the cat sleeps"),
        message(20, BOB, "good for it"),
        message(400_000, CAT, "breakfast pictures anyone"),
    ]
    assert targets(said)[2] == -1
    assert numbers(said) == [0, 0, 1]


def test_somebody_named_is_answered_by_mention_at_sign_or_colon() -> None:
    talk = [
        message(0, ANN, "which editor do people use", author_name="ann"),
        message(30, BOB, "my train is late again", author_name="bob"),
        message(50, CAT, "trains always are", author_name="cat"),
    ]
    for text, more in (
        ("<@1> vim of course", {"mentions": (ANN,)}),
        ("@ann vim of course", {}),
        ("ann: vim of course", {}),
    ):
        assert targets([*talk, message(70, DAN, text, **more)])[3] == 0, text


def test_shared_rare_words_tell_two_conversations_apart() -> None:
    said = [
        message(0, ANN, "my sourdough starter smells of acetone, is that bad"),
        message(15, BOB, "anybody else lost the ranked tournament yesterday"),
        message(40, CAT, "acetone means the starter is hungry, feed it"),
        message(60, DAN, "the tournament servers crashed for everybody"),
    ]
    assert targets(said)[2:] == [0, 1]
    found = numbers(said)
    assert found[0] == found[2] != found[1] == found[3]


def test_what_is_typed_right_after_ones_own_message_goes_on_with_it() -> None:
    said = [message(0, ANN, "did you see that"), message(3, BOB, "wow"), message(5, BOB, "insane")]
    assert targets(said) == [-1, 0, 1]


def test_blocks_of_any_size_give_the_same_links() -> None:
    said = chat(300, people=5, seed=3)
    whole = Linker().link(said)
    linker, dice, parts, begin = Linker(), random.Random(1), [], 0
    while begin < len(said):
        size = dice.randint(1, 60)
        parts.append(linker.link(said[begin : begin + size]))
        begin += size
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_channels_do_not_see_each_other() -> None:
    first = [replace(m, channel_id=1) for m in chat(80)]
    second = [replace(m, channel_id=2) for m in chat(80, people=3, seed=5)]
    plans, _ = plan.read([*first, *second], lambda _: None, 0.1)
    for one, said in zip(plans, (first, second), strict=True):
        assert set(one.targets.tolist()) <= {0, *(m.id for m in said)}
        assert one.conversations.min() == 0


def test_common_words_tell_nothing() -> None:
    texts = ["the cat sat"] * 300 + ["the acetone smells"]
    assert links.common_words(texts) == {"the", "cat", "sat"}
    assert links.common_words([]) == frozenset()


@pytest.mark.parametrize("reply_to", [999, 2**62])
def test_a_reply_to_what_is_not_there_begins_a_conversation(reply_to: int) -> None:
    said = [message(0, ANN, "one"), message(10, BOB, "two", reply_to=reply_to)]
    found, belongs = Untangler().feed(said)
    assert found.tolist() == [0, 0]
    assert belongs.tolist() == [0, 1]


def test_a_reply_to_a_later_message_is_no_reply() -> None:
    later = message(10, BOB, "two")
    said = [message(0, ANN, "one", reply_to=later.id), later]
    assert Untangler().feed(said)[1].tolist()[0] == 0


def test_a_target_always_comes_before_and_belongs_together() -> None:
    said = chat(200, people=4, seed=9)
    found, belongs = Untangler().feed(said)
    places = {m.id: place for place, m in enumerate(said)}
    for place, target in enumerate(found.tolist()):
        if target:
            assert places[target] < place
            assert belongs[places[target]] == belongs[place]


@pytest.mark.parametrize("text", ["", " ", "@", ":", "a" * 4000, "\u202e\x00🦊", "@@@ ::: ,,,"])
def test_any_text_can_be_linked(text: str) -> None:
    said = [message(i, i % 3 + 1, text) for i in range(40)]
    assert len(Linker().link(said)) == 40


def test_the_latest_conversation_leaves_the_others_out() -> None:
    said = [
        message(0, ANN, "my sourdough starter smells of acetone, is that bad"),
        message(15, BOB, "anybody else lost the ranked tournament yesterday"),
        message(40, CAT, "acetone means the starter is hungry, feed it"),
    ]
    assert conversations.latest(said) == [said[0], said[2]]
    assert conversations.latest([]) == []
