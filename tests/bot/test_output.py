"""What is made of a reply before it is sent: nothing pings, loops, or points out of the room."""

import itertools
import random
import re
import string
import time

import pytest

from bot import output
from bot.output import Room
from sandbox.world import World

NAMES = {5: "amber", 7: "Max Power"}
EMOJI = {"pog": "<:pog:123>", "dance": "<a:dance:456>", "30": "<:30:789>"}
FORMER = frozenset({"pog", "kek", "old_one", "joy"})
ROOM = Room(NAMES, shown=["look https://pyscript.net/docs/ and discord.gg/abc"])


@pytest.mark.parametrize(
    "reply",
    [
        "LOOOL!!! 😂😂 <3",
        "i think **this** ~~is~~ ||fine|| `ok`",
        ">_>",
        "-_-",
        "@amber come here",
        "1 < 2 > 0 & <b>",
        "#1!",
        "?",
        "…",
        "한글",
        "1️⃣",
        "<:pog:1>",
    ],
)
def test_style_is_not_touched(reply: str) -> None:
    assert output.messages(reply, ROOM) == [reply]


@pytest.mark.parametrize(
    "reply",
    [
        *("", " \n\t", "\u200b\u200d\ufeff", "\u3164", "\u2800 \u115f", "\u0301", "\u202e\u2066"),
        *("**", "** **", "||  ||", "```\n```", "> ", "# ", "-# ", "~~ ~~ __ __", "`"),
        *("<@5>", "@amber", "@Max Power", "<@5> <@7>", "@somebody", "<@999>", "<@&4>", "@here"),
        "the " * 150,
    ],
)
def test_nothing_is_sent_that_says_nothing(reply: str) -> None:
    assert output.messages(reply, ROOM) == []


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        ("hi <@5> and <@!7>", "hi @amber and @Max Power"),
        ("hi <@999> there", "hi there"),
        ("<@999> there", "there"),
        ("so <@999>, ok", "so, ok"),
        ("<@999> <@5> <@998> hey", "@amber hey"),
        ("<@&12> wake up", "wake up"),
        ("ok @everyone @here", "ok @everyone @here"),
        ("x <@<@5>5> y", "x <@@amber5> y"),
        ("x <@<@9>5> y", "x @5> y"),
        ("`<@999>` a", "`` a"),
        ("<@123456789012345678901234567890>", "<@123456789012345678901234567890>"),  # no id
    ],
)
def test_mentions_are_readable_or_gone(reply: str, sent: str) -> None:
    assert output.messages(reply, ROOM) == [sent]


def test_no_markup_of_a_person_is_ever_left() -> None:
    dice = random.Random(1)
    units = ["<@", "<", "@", "!", "&", "5", "9", ">", " ", "a", "<@5>", "<@&9>", "<@!9>"]
    names = {5: "<@9>", 9: "<@&5>"}  # and people choose their names
    for _ in range(3000):
        text = "".join(dice.choices(units, k=dice.randint(1, 14)))
        assert not re.search(r"<@[!&]?\d+>", output.without_pings(text, names)), text


def test_what_is_sent_pings_nobody_even_by_itself() -> None:
    world = World()
    place = world.add_place("general")
    world.add_person(5, "amber")
    reply = "<@5> <@!5> <@&8> hey"
    assert world.add_post(place.id, world.bot_id, reply).is_loud  # so the sandbox would notice
    (sent,) = output.messages(reply, ROOM)
    assert not world.add_post(place.id, world.bot_id, sent).is_loud


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("nice :pog:", "nice <:pog:123>"),
        (":dance::pog: lol:pog:", "<a:dance:456><:pog:123> lol<:pog:123>"),
        ("well :kek: then", "well then"),
        (":kek: well", "well"),
        ("a\n:kek: :old_one: well", "a\nwell"),
        (":kek::pog:", "<:pog:123>"),
        ("well :kek:, ok", "well, ok"),
        (":kek:", ""),
        (":joy: :unknown: :Pog: :)", ":joy: :unknown: :Pog: :)"),
        ("12:30:45 std::pog::x :: :D", "12:30:45 std::pog::x :: :D"),
        (
            "`:pog:` ```\n:kek:\n``` https://x.de/:kek:/",
            "`:pog:` ```\n:kek:\n``` https://x.de/:kek:/",
        ),
        ("<:pog:123> <a:kek:9>", "<:pog:123> <a:kek:9>"),
    ],
)
def test_emoji_are_this_servers(text: str, drawn: str) -> None:
    assert output.with_emoji(text, EMOJI, FORMER) == drawn


def test_an_emoji_of_its_own_is_sent_and_a_former_one_alone_is_not() -> None:
    room = Room({}, [], EMOJI, FORMER)
    assert output.messages("lol\n:kek:\n:pog:", room) == ["lol", "<:pog:123>"]


@pytest.mark.parametrize(
    ("reply", "sent"),
    [
        ("see https://pyscript.net/docs/.", ["see https://pyscript.net/docs/."]),
        ("join discord.gg/abc", ["join discord.gg/abc"]),
        ("use pyscript.net or foo.py", ["use pyscript.net or foo.py"]),
        ("what docs?\nhttps://pyscript.net/other", ["what docs?"]),
        ("[docs](https://evil.example/docs)", []),
        ("join https://discord.gg/xyz", []),
        ("join DISCORD.GG/xyz", []),
        ("join discord.com/invite/abc", []),
    ],
)
def test_a_link_that_nobody_posted_here_is_not_sent(reply: str, sent: list[str]) -> None:
    assert output.messages(reply, ROOM) == sent


def test_a_burst_is_cut_message_by_message() -> None:
    room = Room({}, [], {"pog": "<:pog:123456789012345678>"})
    words = [a + b for a, b in itertools.product(string.ascii_lowercase, repeat=2)]
    burst = output.messages("ok\n" + " ".join([":pog:", ":pog:", *words]), room)
    assert burst[0] == "ok"
    assert burst[1].startswith("<:pog:123456789012345678> <:pog:123456789012345678> aa ab ac")
    assert all(len(said) <= 2000 for said in burst)


@pytest.mark.parametrize(
    "unit", ["<@", "1>", "<@5> ", ":a", ":kek:", "`", "```", "h\u0301", "[](", "> "]
)
def test_time_is_bounded(unit: str) -> None:
    started = time.process_time()
    output.messages("x" + unit * (10_000 // len(unit)), Room(NAMES, [unit], EMOJI, FORMER))
    output.without_pings("<@" * 3000 + "1>" * 3000, NAMES)
    output.without_pings(f"<@{'1' * 10_000}>", NAMES)
    assert time.process_time() - started < 1
