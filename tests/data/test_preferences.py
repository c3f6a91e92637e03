"""Reactions become preferences only as far as they say something about the message."""

import math
import random
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from data import emoji, preferences
from data.preferences import Exposure, votes
from sandbox import community
from storage import database, messages
from storage.messages import Message

START = 1_600_000_000
DAY = 86_400
TALK, ANNOUNCEMENTS = 1, 2
UNKNOWN, POPULAR = 5, 6


def message(seconds: float, likes: int = 0, **fields: Any) -> Message:
    fields = {"channel_id": TALK, "author_id": UNKNOWN, "author_name": "x", **fields}
    counts = fields.pop("reactions", {"👍": likes} if likes else {})
    snowflake = messages.snowflake_at(START + seconds)
    return Message(id=snowflake, content="text", reactions=counts, **fields)


def town(seconds: float = 0, count: int = 300) -> list[Message]:
    """Seven people in one channel, ten minutes apart, a like for every fifth message."""
    return [
        message(seconds + i * 600, int(i % 5 == 0), author_id=100 + i % 7) for i in range(count)
    ]


def fitted(tmp_path: Path, chat: Iterable[Message]) -> Exposure:
    return Exposure.fit(stored(tmp_path, chat))


def stored(tmp_path: Path, chat: Iterable[Message]) -> sqlite3.Connection:
    connection = database.connect(tmp_path / "bot.sqlite3")
    with database.transaction(connection):
        messages.save(connection, chat)
    return connection


def test_a_standout_beats_the_popular_authors_average(tmp_path: Path) -> None:
    loved = [message(90 + i * 1800, 8 + i % 5, author_id=POPULAR) for i in range(80)]
    average, standout = message(100_007, 10, author_id=POPULAR), message(101_007, 5)
    exposure = fitted(tmp_path, [*town(), *loved, average, standout])
    by_popular, by_unknown = exposure.judge(average), exposure.judge(standout)
    assert abs(by_popular.score) < 0.3
    assert by_unknown.score > 1
    assert by_unknown.weight > 2 * by_popular.weight


def test_an_announcement_is_liked_for_its_place(tmp_path: Path) -> None:
    crier = {"channel_id": ANNOUNCEMENTS, "author_id": 100}
    loud = [message(90 + i * 9000, 480 + i, **crier) for i in range(20)]
    ordinary, standout = message(100_007, 490, **crier), message(101_007, 5)
    exposure = fitted(tmp_path, [*town(), *loud, ordinary, standout])
    assert exposure.judge(ordinary).score < exposure.judge(standout).score
    assert exposure.judge(ordinary).score < 0.7
    assert exposure.expected(TALK, 101, START + DAY) == pytest.approx(0.2, abs=0.05)


def test_a_busy_month_is_not_better_than_a_quiet_one(tmp_path: Path) -> None:
    busy = [message(200 * DAY + i * 600, 6, author_id=100 + i % 7) for i in range(300)]
    exposure = fitted(tmp_path, [*town(), *busy, message(300 * DAY)])
    then = exposure.judge(message(DAY, 3, author_id=101))
    now = exposure.judge(message(201 * DAY, 6, author_id=101))
    assert then.expected < 0.5 < 5 < now.expected
    assert then.score > now.score + 1


def test_a_message_just_written_has_had_no_time(tmp_path: Path) -> None:
    exposure = fitted(tmp_path, town())
    newest = exposure.newest_at
    ages = [0, 300, 3600, preferences.TAU_SECONDS, 10 * preferences.TAU_SECONDS]
    rates = [exposure.expected(TALK, 101, newest - age) for age in ages]
    assert rates[0] == 0
    assert rates == sorted(rates)
    assert rates[3] / rates[4] == pytest.approx(1 - math.exp(-1), rel=0.01)
    assert exposure.expected(TALK, 101, newest + DAY) == 0


def test_unliked_counts_less_against_what_was_just_written(tmp_path: Path) -> None:
    chat = town()
    exposure = fitted(tmp_path, chat)
    old, fresh = exposure.judge(chat[1]), exposure.judge(chat[-1])
    assert old.score < fresh.score <= 0


def test_three_messages_do_not_make_a_loud_channel(tmp_path: Path) -> None:
    few = [message(i * 700 + 7, 4, channel_id=7, author_id=100 + i) for i in range(3)]
    many = [message(i * 700 + 8, 4, channel_id=8, author_id=100 + i % 10) for i in range(150)]
    exposure = fitted(tmp_path, [*town(), *few, *many])
    nobody = 999
    known, rumoured, unknown = (
        exposure.expected(channel, nobody, START + DAY) for channel in (8, 7, nobody)
    )
    assert unknown < rumoured < known
    assert rumoured < 4 < known * 1.3
    assert known == pytest.approx(4, rel=0.3)


def test_nothing_is_expected_of_a_place_by_the_message_itself(tmp_path: Path) -> None:
    hit = message(9_001, 9, channel_id=7)
    judgement = fitted(tmp_path, [*town(), hit]).judge(hit)
    assert judgement.expected < 0.4
    assert judgement.score > 1.5


def test_chance_alone_makes_no_factors(tmp_path: Path) -> None:
    dice = random.Random(1)
    chat = [
        message(i * 600, int(dice.random() < 0.2), author_id=dice.randrange(20))
        for i in range(2000)
    ]
    exposure = fitted(tmp_path, chat)
    factors = [group.factor for group in exposure.authors.groups.values()]
    assert 0.8 < min(factors) <= max(factors) < 1.25


def test_expectations_add_up_to_what_was_given(tmp_path: Path) -> None:
    chat = town() + [message(90 + i * 1800, i % 9, author_id=POPULAR) for i in range(80)]
    exposure = fitted(tmp_path, [*chat, message(100 * DAY)])
    expected = sum(exposure.expected(m.channel_id, m.author_id, m.sent_at) for m in chat)
    assert expected == pytest.approx(sum(votes(m.reactions)[0] for m in chat), rel=0.15)


def test_a_million_reactions_on_one_message_move_nobody_else(tmp_path: Path) -> None:
    viral = message(9_001, 2**62, author_id=101)
    plain = fitted(tmp_path / "plain", town())
    shaken = fitted(tmp_path / "shaken", [*town(), viral])
    when = START + DAY
    assert shaken.expected(TALK, 102, when) == pytest.approx(plain.expected(TALK, 102, when), 0.3)
    judgement = shaken.judge(viral)
    assert math.isfinite(judgement.score)
    assert judgement.weight == 1


def test_rejection_is_below_silence(tmp_path: Path) -> None:
    exposure = fitted(tmp_path, town())
    silence, torn, hated, loathed = (
        exposure.judge(message(DAY, reactions=counts))
        for counts in ({}, {"👍": 1, "👎": 1}, {"👎": 2}, {"👍": 1, "👎": 9})
    )
    assert silence.score == pytest.approx(torn.score, abs=0.001)
    assert 0 > torn.score > hated.score > loathed.score
    assert silence.weight < hated.weight < loathed.weight
    assert (torn.positive, torn.negative) == (1, 1)


def test_weight_grows_with_evidence(tmp_path: Path) -> None:
    exposure = fitted(tmp_path, town())
    weights = [exposure.judge(message(DAY, likes)).weight for likes in (1, 2, 3, 5, 9, 10**6)]
    assert weights == sorted(weights)
    assert 0 < weights[0] < 0.5 < weights[4] <= weights[5] == 1


@pytest.mark.parametrize(
    ("text", "sign"),
    [
        ("👍", 1), ("👍🏿", 1), ("❤️", 1), ("❤️‍🔥", 1), ("💀", 1), ("😭", 1), ("🤡", 1), ("👊", 1),
        ("🇸🇪", 1),
        ("👎", -1), ("👎🏽", -1), ("🙅🏻‍♀️", -1), ("❌", -1), ("🤮", -1),
        ("🤷🏼‍♂️", 0), ("🅰️", 0), ("3️⃣", 0), ("🇸", 0), ("🤔", 0),
        ("<:downvote:123456789012345678>", -1), ("<a:pepeNope:12>", -1), (":thumbs_down:", -1),
        (":-1:", -1), ("<:Thumbs_Down2:1>", -1), (":DISLIKE:", -1),
        ("<:trashpanda:1>", 1), ("<:upvote:1>", 1), (":cooldoge:", 1), (":+1:", 1), (":boost:", 1),
        ("", 1), ("<::1>", 1), ("<:", 1), (":", 1), ("<:a:b:c:1>", 1), ("\x00", 1),
        ("👎" * 3000, 1),
    ],
)  # fmt: skip
def test_what_an_emoji_says(text: str, sign: int) -> None:
    assert emoji.sign(text) == sign


def test_counts_of_nobody_are_ignored() -> None:
    assert votes({"👍": 3, "🎉": 2, "👎": 1, "❌": 1, "🤔": 8, "❤️": 0, "😡": -4}) == (5, 2)
    assert votes({}) == (0, 0)


def test_where_nobody_reacts_nothing_is_expected(tmp_path: Path) -> None:
    for number, chat in enumerate(
        [[], [message(0), message(60)], [message(0, reactions={"👎": 2})]]
    ):
        exposure = fitted(tmp_path / str(number), chat)
        assert exposure.judge(message(30)).score == 0
        assert exposure.judge(message(30, 1)).score > 0


def test_only_what_members_wrote_sets_the_expectation(tmp_path: Path) -> None:
    chat = town()
    bots = [message(i * 900 + 1, 50, author_kind="bot", author_id=77) for i in range(50)]
    gone = message(5_000.5, 90)
    connection = stored(tmp_path / "all", [*chat, *bots, gone])
    messages.mark_deleted(connection, [gone.id])
    plain = fitted(tmp_path / "plain", chat)
    assert Exposure.fit(connection).mean == pytest.approx(plain.mean)


def test_a_row_is_the_training_row_and_its_pair(tmp_path: Path) -> None:
    judgement = fitted(tmp_path, town()).judge(message(DAY, 4))
    training = {"turns": [], "reply": ["lol", "no way"], "channel_id": 1}
    row = preferences.row(judgement, training)
    assert row == {**training, "chosen": ["lol", "no way"], "rejected": None} | judgement._asdict()
    assert "chosen" not in training
    assert row["positive"] == 4


def test_the_same_dice_give_the_same_canned_reply() -> None:
    for style, canned in preferences.CANNED.items():
        text = canned[0]
        drawn = [preferences.alternatives(text, random.Random(n), style) for n in range(50)]
        again = [preferences.alternatives(text, random.Random(n), style) for n in range(50)]
        assert drawn == again
        assert set(drawn) == set(canned) - {text}


def test_a_sibling_answers_the_same_and_was_passed_over(tmp_path: Path) -> None:
    def answer(seconds: float, likes: int = 0, author: int = 101, to: int = 50) -> Message:
        return message(seconds, likes, author_id=author, reply_to=to)

    chosen = answer(1000, likes=3)
    sibling = answer(1060, author=102)
    wrong = [
        answer(900, author=103),  # earlier: part of the context
        answer(1010, likes=1, author=104),
        answer(1020),  # by the same person
        answer(1030, author=105, to=51),
        message(1040, author_id=106),
    ]
    exposure = fitted(tmp_path, town())
    assert preferences.sibling(chosen, [*wrong, sibling], exposure) == sibling
    assert preferences.sibling(chosen, wrong, exposure) is None
    assert preferences.sibling(message(1000, 3), [*wrong, sibling], exposure) is None


def test_too_few_pairs_are_told_with_a_way_out() -> None:
    assert preferences.advice(preferences.FEWEST) is None
    warning = preferences.advice(12)
    assert warning
    assert "12" in warning
    assert "--method sft" in warning


def test_a_real_community_gives_sane_figures(tmp_path: Path) -> None:
    real = community.load("pyscript-discord")
    bots = {person.id for person in real.people if person.is_bot}
    chat = [
        Message(
            line.id,
            line.place_id,
            line.author_id,
            "",
            line.content,
            author_kind="bot" if line.author_id in bots else "member",
            kind=line.type,
            reactions=dict(line.reactions),
        )
        for line in real.lines
    ]
    exposure = fitted(tmp_path, chat)
    judged = [exposure.judge(m) for m in chat if m.author_kind == "member"]
    given, expected = sum(j.positive for j in judged), sum(j.expected for j in judged)
    assert 0.8 * given < expected < 1.1 * given
    assert all(0 < j.weight <= 1 and abs(j.score) < 4 for j in judged)
    liked = [j for j in judged if j.score > 0]
    assert 0.1 * len(judged) < len(liked) < 0.2 * len(judged)
    names = {place.id: place.name for place in real.places}
    factors = {names[key]: group.factor for key, group in exposure.channels.groups.items()}
    assert factors["queries-you-faced"] > 5 * factors["python-help"]
