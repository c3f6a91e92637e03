"""What is learned from: everything members write, and nothing else."""

import pytest

from data.duplicates import Duplicates
from data.privacy import Audience
from data.selection import Selection
from storage.messages import Message
from tests.data.history import message

EVERYBODY = Audience(frozenset())


@pytest.mark.parametrize(
    "text",
    ["k", "lol", "GGGGGG", "😂", "WAT!!!", "teh", "see https://a.b ok", "<:pog:77>", ".", "1"],
)
def test_everything_a_member_wrote_is_kept(text: str) -> None:
    assert Selection(EVERYBODY).reason_to_leave_out(message(0, 1, text)) is None


@pytest.mark.parametrize(
    ("left_out", "reason"),
    [
        (message(0, 1, "hi", author_kind="bot"), "bot"),
        (message(0, 1, "hi", author_kind="webhook"), "webhook"),
        (message(0, 1, "hi", author_kind="self"), "self"),
        (message(0, 1, "joined", kind=7), "notice"),
        (message(0, 5, "hi"), "person not included"),
        (message(0, 1, " https://a.b/c  <https://d.e> "), "only links"),
        (message(0, 1, " \n"), "no text"),
    ],
)
def test_what_is_left_out_and_why(left_out: Message, reason: str) -> None:
    selection = Selection(Audience(frozenset({5})))
    assert selection.reason_to_leave_out(left_out) == reason


SAID = "pineapple belongs on every pizza, fight me"


@pytest.mark.parametrize(
    ("text", "is_left_out"),
    [
        (f"> {SAID}\nlmao the bot", True),
        (f"did it just say {SAID.upper()}??", True),
        ("> lol\nwhy", True),
        ("lol", False),
        ("pineapple belongs on every sandwich", False),
        ("> somebody else\nno", False),
    ],
)
def test_an_echo_of_the_bot_is_left_out(text: str, is_left_out: bool) -> None:
    own = [message(0, 9, SAID, author_kind="self"), message(1, 9, "lol", author_kind="self")]
    reason = Selection(EVERYBODY, own).reason_to_leave_out(message(60, 1, text))
    assert reason == ("quotes the bot" if is_left_out else None)


def test_what_the_bot_took_from_a_member_stays_the_members() -> None:
    own = [message(60, 9, SAID, author_kind="self")]
    assert Selection(EVERYBODY, own).reason_to_leave_out(message(0, 1, SAID)) is None


COPYPASTA = "I used to think the moon was made of cheese until my uncle went there last summer"


@pytest.mark.parametrize(
    ("text", "is_alike"),
    [
        (COPYPASTA, True),
        (COPYPASTA.upper() + " lol", True),
        (COPYPASTA.replace("uncle", "aunt", 1) + " and came back with a whole lot of it", False),
        ("gm", False),
        ("", False),
        ("something else entirely that nobody has ever copied from anywhere", False),
    ],
)
def test_near_copies_are_found_and_small_talk_is_not(text: str, is_alike: bool) -> None:
    known = Duplicates()
    known.add(COPYPASTA)
    known.add("gm")
    assert known.has_one_like(text) is is_alike
