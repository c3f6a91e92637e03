"""When a bot takes too much memory, judged with the time handed in."""

from pathlib import Path

import psutil
import pytest

from bot import config
from memory_watch import (
    APART_SECONDS,
    LONGEST_SECONDS,
    MACHINE_SHARE,
    QUIET_SECONDS,
    STAYS_SECONDS,
    MemoryWatch,
    Verdict,
    limit_mb,
    watch,
)
from storage import database, messages
from storage.messages import snowflake_at

NOW = 1_700_000_000.0
FINE, HIGH, RESTART = Verdict


class Room:
    """A place that is quiet when told so."""

    is_quiet = True

    def __call__(self, now: float) -> bool:
        return self.is_quiet


@pytest.fixture
def room() -> Room:
    return Room()


@pytest.fixture
def watched(room: Room) -> MemoryWatch:
    made = MemoryWatch(lambda: 1000.0, room)
    made.begin()
    return made


def test_up_to_the_limit_is_fine(watched: MemoryWatch) -> None:
    assert watched.look(1000.0, NOW) is FINE
    assert watched.look(1001.0, NOW) is HIGH


def test_a_restart_comes_only_when_it_stays_high(watched: MemoryWatch) -> None:
    assert watched.look(1500.0, NOW) is HIGH
    assert watched.look(1500.0, NOW + STAYS_SECONDS - 1) is HIGH
    assert watched.look(1500.0, NOW + STAYS_SECONDS) is RESTART


def test_a_peak_is_forgotten_when_it_is_over(watched: MemoryWatch) -> None:
    assert watched.look(1500.0, NOW) is HIGH
    assert watched.look(950.0, NOW + 60) is HIGH  # just below is not over
    assert watched.look(899.0, NOW + 61) is FINE
    assert watched.look(1500.0, NOW + STAYS_SECONDS) is HIGH


def test_the_restart_waits_for_a_quiet_moment(watched: MemoryWatch, room: Room) -> None:
    room.is_quiet = False
    watched.look(1500.0, NOW)
    assert watched.look(1500.0, NOW + STAYS_SECONDS) is HIGH
    room.is_quiet = True
    assert watched.look(1500.0, NOW + STAYS_SECONDS + 2) is RESTART


def test_a_room_that_is_never_quiet_is_not_waited_for_forever(
    watched: MemoryWatch, room: Room
) -> None:
    room.is_quiet = False
    watched.look(1500.0, NOW)
    assert watched.look(1500.0, NOW + LONGEST_SECONDS) is RESTART


def test_a_leak_does_not_spend_the_days_starts(watched: MemoryWatch) -> None:
    moments = range(0, 86_400, 10)
    restarts = 0
    for seconds in moments:
        if watched.look(1500.0, NOW + seconds) is RESTART:
            restarts += 1
            watched.begin()
    assert restarts <= 86_400 / APART_SECONDS


def test_a_clock_set_back_starts_the_waiting_anew(watched: MemoryWatch) -> None:
    watched.look(1500.0, NOW)
    assert watched.look(1500.0, NOW - 7200) is HIGH
    assert watched.look(1500.0, NOW - 7200 + STAYS_SECONDS) is RESTART


def test_the_limit_follows_the_model_and_ends_at_the_machine() -> None:
    machine = MACHINE_SHARE * psutil.virtual_memory().total / 2**20
    assert limit_mb(100) == 2248
    assert limit_mb(10**9) == limit_mb(None) == machine


def test_the_model_that_was_deployed_counts_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATA_DIR=.\nMODELS_DIR=.\n")
    settings = config.load(tmp_path / ".env", needs_discord=False)
    watched = watch([settings])
    watched.begin()
    assert watched.limit_mb == limit_mb(98)  # the small default model, here or not
    model = tmp_path / "tuned.gguf"
    model.write_bytes(b"GGUF" + bytes(2**20))
    connection = database.connect(settings.database_path)
    database.add_model(connection, database.Model("tuned", model, "base", "", {}, NOW))
    database.deploy(connection, "tuned")
    watched.begin()
    assert watched.limit_mb == pytest.approx(2050, abs=0.1)
    model.unlink()
    watched.begin()
    assert watched.limit_mb == limit_mb(None)


def test_a_model_of_two_servers_counts_once(tmp_path: Path) -> None:
    for name, model in (("a", "one"), ("b", "one"), ("c", "other")):
        (tmp_path / model).write_bytes(b"GGUF" + bytes(2**20))
        (tmp_path / f"{name}.env").write_text(f"DATA_DIR={name}\nMODEL_PATH={model}\n")
    a, b, c = (config.load(tmp_path / f"{n}.env", needs_discord=False) for n in "abc")
    for servers, limit in (([a], 2050), ([a, b], 2562), ([a, b, c], 3076)):
        watched = watch(servers)
        watched.begin()
        assert watched.limit_mb == pytest.approx(limit, abs=0.1)


def test_quiet_is_a_minute_without_a_reply(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATA_DIR=.\n")
    settings = config.load(tmp_path / ".env", needs_discord=False)
    watched = watch([settings])
    connection = database.connect(settings.database_path)
    said = messages.Reply(snowflake_at(NOW), 1, 2, "tiny", 1.0)
    messages.record_reply(connection, said)
    watched.limit_mb = 1.0
    watched.look(5.0, NOW - STAYS_SECONDS)
    assert watched.look(5.0, NOW + QUIET_SECONDS - 1) is HIGH
    assert watched.look(5.0, NOW + QUIET_SECONDS + 1) is RESTART
