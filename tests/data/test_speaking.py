"""When to speak: what is seen of a person, what is learned from it, and the file it lies in."""

import dataclasses
import json
import random
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.config import ROOT, UserError
from data import policies, privacy, speaking_fit, speaking_policy
from data.speaking import FACTS, WINDOW, Scene
from data.speaking_policy import Policy, logistic
from storage import database, messages, people
from storage.messages import Message
from tests.data.history import message, store

AMBER, BOB, CLEO, DAN = (900_000_000_000_000_001 + n for n in range(4))
PEOPLE = (AMBER, BOB, CLEO, DAN)
SECRET = "the heron stands in the cold river"


def talks(count: int, seed: int = 0, **more: Any) -> list[Message]:
    """Two people talk in turns for a while, then two others after an hour."""
    dice, seconds = random.Random(seed), 0.0
    said: list[Message] = []
    while len(said) < count:
        pair = dice.sample(PEOPLE, 2)
        for turn in range(dice.randrange(4, 16)):
            seconds += dice.randrange(5, 90)
            text = dice.choice(["ok", "really?", SECRET, "https://a.example/b"])
            said.append(message(seconds, pair[turn % 2], text, **more))
        seconds += 3600 * dice.randrange(1, 5)
    return said[:count]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    connection = database.connect(tmp_path / "bot.sqlite3")
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    connection = database.connect(tmp_path_factory.mktemp("talks") / "bot.sqlite3")
    store(connection, [*talks(600), *talks(200, seed=1, channel_id=2)])
    return speaking_fit.learn(connection)


def test_who_was_spoken_to_is_seen_as_such() -> None:
    asked = message(0, AMBER, "what now?")
    answer = message(20, BOB, "no idea", reply_to=asked.id)
    back = message(50, AMBER, f"<@{CLEO}> and you?", mentions=(CLEO,))
    bob, cleo, dan = (Scene([asked, answer, back]).facts(p) for p in (BOB, CLEO, DAN))
    assert (bob["spoke_before"], cleo["spoke_before"], dan["spoke_before"]) == (1, 0, 0)
    assert (bob["is_addressed"], cleo["is_addressed"], cleo["is_called"]) == (0, 1, 1)
    assert bob["another_is_addressed"] == 1 and cleo["another_is_addressed"] == 0
    assert bob["turns"] == 2 and dan["turns"] == 0 and dan["two_talk"] == 0
    assert bob["log_since"] < dan["log_since"]


def test_only_the_last_messages_count() -> None:
    said = talks(3 * WINDOW)
    assert Scene(said).facts(AMBER) == Scene(said[-WINDOW:]).facts(AMBER)


@pytest.mark.parametrize(
    "odd",
    [
        Message(0, 0, 0, "", ""),
        message(0, 5, "\0" * 4000, mentions=(5, 5), reply_to=2**63 - 1),
        message(-10_000_000, 5, "?"),  # older than what came before it
    ],
)
def test_no_message_is_too_odd(odd: Message) -> None:
    facts = Scene([message(9, 1, "hi"), odd]).facts(7)
    assert tuple(facts) == FACTS and all(abs(value) < 1000 for value in facts.values())


def test_decided_live_as_it_was_fitted(connection: sqlite3.Connection, policy: Policy) -> None:
    bots = [message(20_000 + n, 77, "beep", author_kind="bot") for n in range(30)]
    own = [message(20_100 + n * 7000, 66, "so I said", author_kind="self") for n in range(9)]
    said = sorted([*talks(400, seed=3), *bots, *own], key=lambda m: m.id)
    channel = [m for m in said if m.author_kind != "bot"]
    seen = speaking_fit.observe([channel])
    fitted = speaking_fit.fit(seen, 0.1)
    learned = dataclasses.replace(fitted.policy(policy.habits, {}), curve=policy.curve)
    chances = fitted.chances(seen)
    judged = 0
    for number in range(150, len(said), 37):  # as the history stood then
        live = said[: number + 1]
        last = live[-1]
        if last.author_kind != "member":
            continue
        store(connection, live)
        recent = messages.recent(connection, 1, 2 * WINDOW)
        shown = [m for m in recent if m.author_kind in ("member", "self")]
        for row in (seen.ids == last.id).nonzero()[0].tolist():
            person = _person(seen.facts[row].tolist(), shown)
            assert chances[row] == pytest.approx(logistic(learned.score(shown, person)), abs=1e-12)
            judged += 1
    assert judged > 10


def _person(facts: list[float], shown: list[Message]) -> int:
    """Whom a fitted row is about: the one of whom the same is seen live."""
    same = [p for p in PEOPLE if list(Scene(shown).facts(p).values()) == facts]
    assert same
    return same[0]


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5, 0.9])
def test_slider_means_the_share_of_messages(policy: Policy, rate: float) -> None:
    both = [talks(600), talks(200, seed=1, channel_id=2)]
    shift = policy.shift(rate)
    runs = [speaking_fit.replay(policy, both, shift, random.Random(100 + n)) for n in range(8)]
    assert sum(runs) / len(runs) == pytest.approx(rate, rel=0.35)


def test_zero_is_silence_and_one_is_always(policy: Policy) -> None:
    said = talks(50)
    assert policy.chance(said, 5, 0.0) == 0 and policy.chance(said, 5, 1.0) == 1
    steps = [policy.shift(rate) for rate in (1e-9, 0.001, 0.05, 0.3, 0.999, 1 - 1e-9)]
    assert steps == sorted(steps)


def test_the_same_history_teaches_the_same(connection: sqlite3.Connection) -> None:
    store(connection, talks(400))
    assert speaking_fit.learn(connection) == speaking_fit.learn(connection)


def test_people_who_did_not_agree_teach_nothing(connection: sqlite3.Connection) -> None:
    without_dan = [m for m in talks(800) if m.author_id != DAN]
    store(connection, without_dan)
    expected = speaking_fit.learn(connection)
    store(connection, talks(800))
    assert speaking_fit.learn(connection) != expected
    privacy.set_consent_mode(connection, privacy.OPT_IN)
    with pytest.raises(UserError, match="at least 200"):
        speaking_fit.learn(connection)
    for person in (AMBER, BOB, CLEO):
        people.decide(connection, person, True)
    assert speaking_fit.learn(connection) == expected


@pytest.mark.parametrize("people", [1, 2])
def test_a_talk_of_two_is_no_community(connection: sqlite3.Connection, people: int) -> None:
    store(connection, [message(n * 30, n % people + 1, "hi") for n in range(600)])
    with pytest.raises(UserError, match="1_fetch_all_history"):
        speaking_fit.learn(connection)


def test_only_who_spoke_next_in_time_counts_as_speaking() -> None:
    said = [
        message(0, AMBER, "a"),
        message(10, BOB, "b"),
        message(20, BOB, "c"),
        message(30, AMBER, "d"),
        message(30 + 3600, BOB, "too late"),
    ]
    seen = speaking_fit.observe([said])
    assert seen.spoke.tolist() == [True, True, False, False]


def test_what_the_bot_answered_is_no_example(policy: Policy) -> None:
    said = [message(0, AMBER, "a"), message(10, BOB, "b"), message(20, 66, "c", author_kind="self")]
    assert not len(speaking_fit.observe([said]).ids)


def test_file_is_private_and_holds_no_text_and_nobody(tmp_path: Path, policy: Policy) -> None:
    path = tmp_path / "new" / "participation.json"
    speaking_policy.save(policy, path)
    assert speaking_policy.load(path) == policy
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    content = path.read_text()
    assert not [id for id in PEOPLE if str(id) in content]
    assert not {"heron", "really", "example", "user"} & set(json.dumps(content).split('"'))
    assert set(json.loads(content)["channels"]) == {"1", "2"}


def _changed(**changes: Any) -> Any:
    return lambda raw: {**raw, **changes}


def _habit(**changes: Any) -> Any:
    return lambda raw: {**raw, "habits": {**raw["habits"], **changes}}


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: None,
        lambda raw: [],
        lambda raw: {},
        _changed(version=2),
        _changed(bias=float("nan")),
        _changed(bias=10**400),
        _changed(bias=True),
        _changed(bias="1"),
        _changed(weights={}),
        _changed(weights=dict.fromkeys(FACTS, float("inf"))),
        _changed(channels=[]),
        _changed(channels={"general": 1.0}),
        _changed(channels={"9" * 5000: 1.0}),
        _changed(curve=[]),
        _changed(curve=[[0, 0.1], [1, 0.05]]),
        _changed(curve=[[0, 0.0], [1, 0.5]]),
        _changed(habits=None),
        _changed(figures=[1]),
        _habit(delays=[1.0]),
        _habit(delays=[float("nan")] * 21),
        _habit(delays=[1e300] * 21),
        _habit(replies=[[0.5]]),
        _habit(bursts=[0.0]),
        _habit(bursts=[2.0]),
        _habit(reactions={}),
        _habit(emoji={"x" * 65: 1}),
        _habit(emoji={"👍": -1}),
        _habit(emoji={str(n): 1 for n in range(1000)}),
    ],
)
def test_file_that_cannot_be_relied_on_is_ignored(
    tmp_path: Path, policy: Policy, spoil: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "participation.json"
    speaking_policy.save(policy, path)
    path.write_text(json.dumps(spoil(json.loads(path.read_text()))))
    assert speaking_policy.load(path) is None
    assert "--participation-only" in caplog.text


@pytest.mark.parametrize(
    "content",
    [b"", b"\0\xff", b"{", b"[" * 200_000, b'{"a":' * 100_000, b" " * (1 << 21), b"1" * 10_000],
)
def test_garbage_is_ignored(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "participation.json"
    path.write_bytes(content)
    assert speaking_policy.load(path) is None
    assert "even rate" in caplog.text


def test_missing_file_needs_no_words(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert speaking_policy.load(tmp_path / "none.json") is None
    assert not caplog.text


def test_policy_can_be_chosen(connection: sqlite3.Connection) -> None:
    assert policies.chosen(connection) == "learned"
    policies.choose(connection, "rate")
    assert policies.chosen(connection) == "rate"
    with pytest.raises(UserError, match="learned, rate"):
        policies.choose(connection, "dice")


def step_3(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = folder / ".env"
    env.write_text(f"DATA_DIR={folder / 'data'}\nMODELS_DIR={folder / 'models'}\n")
    script = ROOT / "scripts" / "3_train_model.py"
    command = [sys.executable, str(script), "--env", str(env), *arguments]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_script_learns_it_alone_and_says_how_good_it_is(tmp_path: Path) -> None:
    nothing = step_3(tmp_path, "--participation-only")
    assert nothing.returncode == 78 and "1_fetch_all_history" in nothing.stderr
    data = tmp_path / "data"
    connection = database.connect(data / "database" / "bot.sqlite3")
    store(connection, talks(50))
    too_little = step_3(tmp_path, "--participation-only")
    assert too_little.returncode == 78 and "at least 200" in too_little.stderr
    assert not (data / "participation.json").exists()
    store(connection, talks(500))
    done = step_3(tmp_path, "--participation-only")
    assert done.returncode == 0, done.stderr
    assert "Brier score 0." in done.stdout and "PR-AUC 0." in done.stdout
    assert speaking_policy.load(data / "participation.json")
    assert not (tmp_path / "models").exists()
