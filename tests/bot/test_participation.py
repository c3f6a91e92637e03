"""When the bot speaks: addressed always, else as the dice and the policy say."""

import random
from typing import Any

import pytest

from bot import participation
from bot.participation import Balance, Reason, chance, is_named
from data.habits import Habits
from data.speaking import FACTS
from data.speaking_policy import Policy
from storage.messages import Message
from tests.data.history import message

BOT, AMBER, BOB = 66, 1, 2
EVEN = (1.0,) * 21
HABITS = Habits(EVEN, EVEN, (), (1.0,), {}, {})
WEIGHTS = {**dict.fromkeys(FACTS, 0.0), "spoke_before": 4.0}
CURVE = ((-4.0, 0.001), (0.0, 0.05), (4.0, 0.9))
POLICY = Policy(0.0, WEIGHTS, {}, -3.0, CURVE, HABITS, {})


LONELY = [message(1, AMBER, "a remark")]


def decided(recent: list[Message], roll: float, **changes: Any) -> Reason | None:
    settings = {"is_reply_to_us": False, "rate": 0.05, "policy": None, **changes}
    return participation.decide(recent, own_id=BOT, own_name="Pixel", roll=roll, **settings)


@pytest.mark.parametrize("policy", [None, POLICY])
@pytest.mark.parametrize("rate", [0.0, 0.05])
def test_whoever_addresses_the_bot_is_answered(policy: Policy | None, rate: float) -> None:
    how = {"policy": policy, "rate": rate}
    mentioned = message(0, AMBER, f"<@{BOT}> hi", mentions=(BOT,))
    assert decided([mentioned], 0.999, **how) is Reason.MENTIONED
    plain = [message(0, AMBER, "hi")]
    assert decided(plain, 0.999, is_reply_to_us=True, **how) is Reason.REPLIED_TO
    named = decided([message(0, AMBER, "what does pixel think")], 0.999, **how)
    assert named is Reason.NAMED and named.is_addressed
    assert decided(plain, 0.999, **how) is None


@pytest.mark.parametrize("policy", [None, POLICY])
def test_zero_never_speaks_and_one_always_does(policy: Policy | None) -> None:
    said = [message(0, BOT, "so"), message(9, AMBER, "hi")]
    for recent in (said, said[1:]):
        assert decided(recent, 0.0, policy=policy, rate=0.0) is None
        assert decided(recent, 0.9999999, policy=policy, rate=1.0) is Reason.CHANCE


def test_rate_is_the_chance_where_the_bot_said_nothing() -> None:
    recent = [message(0, AMBER, "a"), message(9, BOB, "b")]
    assert decided(recent, 0.0499) is Reason.CHANCE and decided(recent, 0.0501) is None


@pytest.mark.parametrize("policy", [None, POLICY])
def test_an_exchange_goes_on_more_likely_than_one_begins(policy: Policy | None) -> None:
    exchange = [message(0, BOT, "a"), message(9, AMBER, "b")]
    cold = [message(0, BOB, "a"), message(9, AMBER, "b")]
    assert participation.chance(exchange, BOT, 0.05, policy) > 0.2
    assert participation.chance(cold, BOT, 0.05, policy) <= 0.05


def test_where_others_talk_after_the_bot_it_holds_back() -> None:
    recent = [message(0, BOT, "a"), message(9, AMBER, "b"), message(20, BOB, "c")]
    assert participation.chance(recent, BOT, 0.05) < 0.03
    later = [*recent[:2], message(2000, BOB, "c")]
    assert participation.chance(later, BOT, 0.05) == pytest.approx(0.05)


def test_learned_policy_decides_by_the_roll_alone() -> None:
    recent = [message(0, BOT, "a"), message(9, AMBER, "b")]
    chance = participation.chance(recent, BOT, 0.05, POLICY)
    for roll in (random.Random(n).random() for n in range(200)):
        said = decided(recent, roll, policy=POLICY)
        assert said is (Reason.CHANCE if roll < chance else None)


@pytest.mark.parametrize(
    "text",
    [
        "pixel",
        "Pixel?",
        "hey PIXEL!",
        "@Pixel come here",
        "is it pixel's turn",
        "(pixel)",
        "**Pixel** knows",
        "good one pixel.",
        "pixel: what now",
        "ask pixel, or bob",
        "\uff50\uff49\uff58\uff45\uff4c hello",  # full width
        "> quoted\npixel, is that so?",
        "see https://a.example/b pixel",
        "`code` pixel",
    ],
)
def test_its_name_addresses_it(text: str) -> None:
    assert is_named(text, "Pixel")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "pixels are small",
        "subpixel rendering",
        "megapixel",
        "my_pixel_art",
        "pixel-perfect",
        "non-pixel",
        "https://pixel.example/x",
        "https://a.example/pixel",
        "www.pixel.example",
        "pixel.example is down",
        "art.pixel",
        "src/pixel/main",
        "C:\\pixel",
        "me@pixel.example",
        "pixel@mail.example",
        "`pixel`",
        "``a pixel``",
        "```py\nfor pixel in row:\n```",
        "```\npixel",
        "<:pixel:123456>",
        "<a:pixel:123456>",
        "> pixel said so",
        ">>> long\npixel said so",
        "pi xel",
        "pixél",
    ],
)
def test_what_only_looks_like_its_name_does_not(text: str) -> None:
    assert not is_named(text, "Pixel")


@pytest.mark.parametrize(
    ("name", "text", "is_it"),
    [
        ("Señor Búho", "oye señor  búho", True),
        ("Señor Búho", "oye señor", False),
        ("bot (beta)", "so, Bot (Beta)?", True),
        (".*", "anything", False),
        ("a+b+", "aab", False),
        ("", "", False),
        ("   ", "a   b", False),
        ("it", "it is", False),
        ("★moon★", "hi ★moon★!", True),
        ("月ちゃん", "月ちゃん、いる?", True),
    ],
)
def test_names_are_plain_text(name: str, text: str, is_it: bool) -> None:
    assert is_named(text, name) is is_it


@pytest.mark.parametrize(
    "text", ["`" * 4000, "``" + "a`" * 2000, "<" * 4000, "a" * 4000, "> " * 2000, "pixel" * 800]
)
def test_long_nonsense_is_read_quickly(text: str) -> None:
    assert not is_named(text, "Pixel")


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("kept", [0.4, 1.0])
def test_the_share_is_the_sliders_also_where_manners_hold_much_back(
    rate: float, kept: float
) -> None:
    dice, balance, spoken = random.Random(4), Balance(), 0
    for _ in range(2000):
        wish = chance(LONELY, BOT, rate, shift=balance.shift)
        balance.heard(rate)
        if dice.random() < wish and dice.random() < kept:
            balance.spoke()
            spoken += 1
    assert abs(spoken / 2000 / rate - 1) < 0.1


def test_what_is_owed_never_makes_a_chatterbox() -> None:
    balance = Balance()
    for _ in range(5000):
        balance.heard(0.05)
    assert chance(LONELY, BOT, 0.05, shift=balance.shift) < 0.3
    for _ in range(50):
        balance.spoke()
    assert 0 < chance(LONELY, BOT, 0.05, shift=balance.shift) < 0.05
    for rate, sure in ((0.0, 0.0), (1.0, 1.0)):
        assert chance(LONELY, BOT, rate, shift=balance.shift) == sure
