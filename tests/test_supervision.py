"""Nobody is left behind: whichever process is killed, what it started ends as well.

`LAUNCHER_KILLS=200` kills as many launchers as a release has to survive.
"""

import itertools
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

import bot_controller
from bot import main, tether
from bot.config import NEEDS_A_PERSON, ROOT
from bot.logs import LogLine, Progress
from bot_controller import State
from child_process import BUFFER_LINES, Child, Output, run_step
from tests.scripted_bot import BOT, Bench, alive

KILLS = int(os.environ.get("LAUNCHER_KILLS", "20"))
PROMISE_SECONDS = 2.0

DEAF = "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
TWO_GENERATIONS = f"""
from bot import tether
subprocess.Popen(tether.command([sys.executable, "-c", {DEAF!r} + "time.sleep(600)", sys.argv[1]]))
beat()
time.sleep(600)
"""
LAUNCHER = f"""
import sys, time
from pathlib import Path
from bot_controller import BotController, heartbeats
from child_process import Step
folder = Path(sys.argv[1])
bot = [sys.executable, "-c", {BOT + TWO_GENERATIONS!r}, str(folder)]
read = heartbeats(folder / "bot.sqlite3")
controller = BotController(bot, read_heartbeat=read, spawns_path=folder / "spawns.json")
controller.start()
controller.tick(time.time())
step = Step([sys.executable, "-c", {DEAF!r} + "print('at work'); time.sleep(600)", str(folder)])
print("started", flush=True)
while True:
    controller.tick(time.time())
    time.sleep(0.02)
"""


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


def family(folder: Path) -> list[psutil.Process]:
    """Every living process that was started with this folder's name, whoever its parent is now."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        is_zombie = process.info["status"] == psutil.STATUS_ZOMBIE
        if str(folder) in (process.info["cmdline"] or ()) and not is_zombie:
            found.append(process)
    return found


def gone_within(seconds: float, is_gone: Callable[[], bool]) -> bool:
    give_up_at = time.monotonic() + seconds
    while not is_gone():
        if time.monotonic() > give_up_at:
            return False
        time.sleep(0.02)
    return True


def lines(output: Output) -> Iterator[str]:
    """What is said, as it comes."""
    for _ in itertools.count():
        yield from (event.text for event in output.take() if isinstance(event, LogLine))
        time.sleep(0.005)


@pytest.mark.skipif(sys.platform == "win32", reason="the job object is another test's")
def test_killed_launchers_leave_no_process(tmp_path: Path) -> None:
    dice = random.Random(7)
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        with subprocess.Popen(
            [sys.executable, "-c", LAUNCHER, str(folder)], cwd=ROOT, stdout=subprocess.PIPE
        ) as launcher:
            assert launcher.stdout
            assert launcher.stdout.readline() == b"started\n"
            time.sleep(dice.uniform(0, 0.6))  # at every point of the bot's start
            launcher.kill()
            launcher.wait()
            left = gone_within(PROMISE_SECONDS, lambda: not family(folder))  # noqa: B023
            assert left, [process.cmdline()[-1:] for process in family(folder)]


def test_a_killed_bot_leaves_no_worker(bench: Bench) -> None:
    controller = bench.run(TWO_GENERATIONS)
    assert controller.child
    assert gone_within(20, lambda: len(family(bench.folder)) == 2)
    psutil.Process(controller.child.pid).kill()
    assert gone_within(PROMISE_SECONDS, lambda: not family(bench.folder))


def test_the_bot_leaves_when_its_supervisor_dies(bench: Bench) -> None:
    """Also by the pipe that closes, without a tether: an operating system may have none."""
    supervisor = (
        "import subprocess, sys, time\n"
        f"command = [sys.executable, '-c', {BOT + 'serve()'!r}, sys.argv[1]]\n"
        "child = subprocess.Popen(command, stdin=subprocess.PIPE)\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = Child([sys.executable, "-c", supervisor, str(bench.folder)], Output())
    pid = int(next(lines(parent.output)))
    assert gone_within(20, (bench.folder / "spawned").exists)
    psutil.Process(parent.pid).kill()
    assert gone_within(10, lambda: not alive(pid))
    parent.clear_up()


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_where_the_system_has_no_tether_a_second_process_watches(tmp_path: Path) -> None:
    watched = (
        "import os, time; from bot import tether\n"
        "tether.watch(os.getppid()); print(os.getpid(), flush=True); time.sleep(600)"
    )
    parent = (
        "import subprocess, sys, time\n"
        f"subprocess.Popen([sys.executable, '-c', {watched!r}, sys.argv[1]]); time.sleep(600)"
    )
    command = [sys.executable, "-c", parent, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        assert process.stdout
        pid = int(process.stdout.readline())
        assert len(family(tmp_path)) == 3
        time.sleep(2 * tether.WATCH_SECONDS)
        assert alive(pid)
        process.kill()
        process.wait()
        assert gone_within(PROMISE_SECONDS, lambda: not family(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_the_watching_process_leaves_with_the_program(tmp_path: Path) -> None:
    program = "import os; from bot import tether; tether.watch(os.getppid())"
    command = [sys.executable, "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert done.stdout == b""
    assert gone_within(PROMISE_SECONDS, lambda: not family(tmp_path))


@pytest.mark.skipif(sys.platform == "win32", reason="the child's end is of Unix")
def test_whoever_is_tethered_too_late_does_not_start(tmp_path: Path) -> None:
    """As when the parent was killed between the child's birth and its knot."""
    touch = [sys.executable, "-c", "import sys; open(sys.argv[1], 'w')", str(tmp_path / "ran")]
    knot = tether.command(touch)
    knot[knot.index(str(os.getpid()))] = "1"
    assert subprocess.run(knot).returncode == 1
    assert not (tmp_path / "ran").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="the child's end is of Unix")
def test_a_tethered_program_keeps_its_arguments_its_pipes_and_its_exit_code() -> None:
    program = "import sys; print(sys.argv[1:], sys.stdin.read(), sys.flags.isolated); sys.exit(75)"
    command = tether.command([sys.executable, "-c", program, "a b", "ü", "--flag"])
    done = subprocess.run(command, input="in", capture_output=True, text=True)
    assert done.stdout == "['a b', 'ü', '--flag'] in 0\n"
    assert done.returncode == 75


def test_a_blocked_loop_says_where_it_is_stuck_before_it_is_killed(bench: Bench) -> None:
    blocked = (
        "import asyncio; from types import SimpleNamespace; from bot import main\n"
        "main.HUNG_SECONDS = 0.2\n"
        "engine = SimpleNamespace(name='tiny')\n"
        "servers = {1: SimpleNamespace(connection=connection, engine=engine)}\n"
        "def answer_slowly(secret='a private message'):\n    time.sleep(600)\n"
        "async def life():\n"
        "    beating = asyncio.create_task(main._beat_forever(servers))\n"
        "    await asyncio.sleep(0.05)\n"
        "    answer_slowly()\n"
        "asyncio.run(life())"
    )
    controller = bench.run(blocked)
    said: list[str] = []

    def is_named() -> bool:
        said.extend(e.text for e in controller.output.take() if isinstance(e, LogLine))
        return any("in answer_slowly" in text for text in said)

    bench.until(controller, is_named)
    assert "private" not in " ".join(said)
    bench.pass_seconds(controller, 21)
    bench.until(controller, lambda: controller.state is State.BACKOFF)
    assert "no sign of life" in controller.reason


def test_a_bot_that_is_deaf_to_everything_is_ended(bench: Bench) -> None:
    deaf = (
        "import signal\n"
        "for name in ('SIGTERM', 'SIGINT', 'SIGHUP'):\n"
        "    if hasattr(signal, name): signal.signal(getattr(signal, name), signal.SIG_IGN)\n"
        "while True: beat(); time.sleep(0.05)"
    )
    controller = bench.run(deaf)
    assert controller.child
    controller.stop()
    bench.pass_seconds(controller, 4)
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert not alive(controller.child.pid)


def test_a_bot_that_prints_as_fast_as_it_can_goes_on_beating(bench: Bench) -> None:
    """Its pipe is always drained, so that no line of its log can hold it up."""
    flood = (
        "block = b'2026-11-23T14:32:15.123Z INFO bot.main a line of the log\\n' * 1000\n"
        "beat(); until, count = time.monotonic() + 1.0, 0\n"
        "while time.monotonic() < until: os.write(1, block); count += 1000\n"
        "beat(); print(); print('printed', count, flush=True); serve()"
    )
    controller = bench.run(flood)
    taken, last = 0, ""

    def is_over() -> bool:
        nonlocal taken, last
        for event in controller.output.take():
            assert isinstance(event, LogLine)
            taken, last = taken + 1, event.text
        return last.startswith("printed")

    bench.until(controller, is_over)
    printed = int(last.split()[1])
    assert taken + controller.output.dropped == printed + 2
    assert printed >= 100_000


def test_a_bot_that_prints_no_text_at_all_is_supervised_like_any(bench: Bench) -> None:
    binary = (
        "os.write(1, bytes(range(256)) * 4000 + b'\\n' + b'x' * 10_000_000 + b'\\n')\n"
        "os.write(2, b'\\xff\\xfe\\x00'); serve()"
    )
    controller = bench.run(binary)
    controller.stop()
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert all(isinstance(event, LogLine) for event in controller.output.take(BUFFER_LINES))


def test_a_program_that_cannot_run_says_so_and_is_not_tried_again(tmp_path: Path) -> None:
    said: list[LogLine | Progress] = []
    code = run_step([str(tmp_path / "missing")], said.append)
    assert code == tether.CANNOT_RUN == NEEDS_A_PERSON
    assert isinstance(said[0], LogLine)
    assert "missing cannot be run" in said[0].text


def test_the_bot_has_left_and_has_told_where_it_hangs_before_patience_ends() -> None:
    assert main.FINISH_SECONDS < bot_controller.STOP_SECONDS
    assert main.BEAT_SECONDS + main.HUNG_SECONDS < bot_controller.HANG_SECONDS


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_the_reason_of_a_kill_is_named(bench: Bench) -> None:
    controller = bench.run("serve()")
    assert controller.child
    psutil.Process(controller.child.pid).kill()
    bench.until(controller, lambda: controller.state is State.BACKOFF)
    assert "signal 9" in controller.reason
