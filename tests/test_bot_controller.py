"""The supervisor against real processes, with the time handed in."""

import itertools
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from bot.logs import LogLine
from bot_controller import BotController, State, heartbeats
from child_process import Child, Output
from start_budget import STARTS_A_DAY

BOT = """
import os, subprocess, sys, threading, time
from pathlib import Path
from storage import database

folder = Path(sys.argv[1])
with (folder / "spawned").open("a") as file:
    file.write("x")
spawns = len((folder / "spawned").read_text())
connection = database.connect(folder / "bot.sqlite3")
started = time.time()

def beat():
    life = database.Heartbeat(os.getpid(), started, time.time(), 1.0, "tiny")
    database.beat(connection, "bot", life)

def serve():
    leave = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), leave.set()), daemon=True).start()
    beat()
    while not leave.wait(0.05):
        beat()
"""


class Bench:
    """A controller over a scripted bot, with a clock that moves only when told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.now = folder, 1_700_000_000.0
        self.spawns_path = folder / "spawns.json"
        self.controllers: list[BotController] = []

    def controller(self, program: str) -> BotController:
        command = [sys.executable, "-c", BOT + program, str(self.folder)]
        read = heartbeats(self.folder / "bot.sqlite3")
        made = BotController(command, read_heartbeat=read, spawns_path=self.spawns_path)
        self.controllers.append(made)
        return made

    def run(self, program: str, state: State = State.RUNNING) -> BotController:
        controller = self.controller(program)
        controller.start()
        self.until(controller, lambda: controller.state is state)
        return controller

    def until(self, controller: BotController, is_so: Callable[[], bool]) -> None:
        """Tick with a clock that all but stands still."""
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, (controller.state, controller.reason)
            self.now += 0.001
            controller.tick(self.now)
            time.sleep(0.01)

    def pass_seconds(self, controller: BotController, seconds: int) -> None:
        for _ in range(seconds):
            self.now += 1
            controller.tick(self.now)

    @property
    def spawned(self) -> int:
        return len((self.folder / "spawned").read_text())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    for controller in bench.controllers:
        controller.force_stop()
        if controller.child:
            controller.child.clear_up()


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_starting_becomes_running_with_the_first_heartbeat(bench: Bench) -> None:
    controller = bench.run("serve()")
    assert controller.running_since == bench.now
    assert controller.heartbeat is not None
    assert controller.heartbeat.model == "tiny"
    assert controller.child is not None
    assert controller.child.memory_mb() > 1


def test_a_heartbeat_of_another_process_does_not_count(bench: Bench) -> None:
    program = (
        "database.beat(connection, 'bot', database.Heartbeat(os.getppid(), 0.0, 0.0, 1.0, ''))\n"
        "print('beaten'); sys.stdin.read()"
    )
    controller = bench.controller(program)
    controller.start()
    bench.until(controller, lambda: bool(controller.output.take()))
    controller.tick(bench.now)
    assert controller.state is State.STARTING


def test_stop_lets_the_work_at_hand_be_finished(bench: Bench) -> None:
    controller = bench.run("serve(); (folder / 'finished').touch(); sys.exit(0)")
    controller.stop()
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert (bench.folder / "finished").exists()
    assert controller.running_since is None


def test_a_stop_that_is_not_followed_ends_in_a_kill_after_three_seconds(bench: Bench) -> None:
    controller = bench.run("beat(); sys.stdin.read(); time.sleep(600)")
    assert controller.child
    controller.stop()
    bench.pass_seconds(controller, 3)
    assert controller.state is State.STOPPING
    bench.pass_seconds(controller, 1)
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert not alive(controller.child.pid)


def test_stop_pressed_ten_times_stops_once(bench: Bench) -> None:
    controller = bench.run("serve()")
    for _ in range(10):
        controller.stop()
        controller.tick(bench.now)
    bench.until(controller, lambda: controller.state is State.STOPPED)
    bench.pass_seconds(controller, 3)
    assert (controller.state, bench.spawned) == (State.STOPPED, 1)


def test_start_pressed_ten_times_starts_once(bench: Bench) -> None:
    controller = bench.controller("serve()")
    for _ in range(10):
        controller.start()
        controller.tick(bench.now)
    bench.until(controller, lambda: controller.state is State.RUNNING)
    controller.start()
    bench.pass_seconds(controller, 3)
    assert bench.spawned == 1


def test_start_while_stopping_runs_again_afterwards(bench: Bench) -> None:
    controller = bench.run("serve()")
    controller.stop()
    controller.tick(bench.now)
    assert controller.state is State.STOPPING
    controller.start()
    bench.until(controller, lambda: controller.state is State.RUNNING)
    assert bench.spawned == 2


@pytest.mark.parametrize("seed", range(3))
def test_any_order_of_buttons_leaves_no_process_behind(bench: Bench, seed: int) -> None:
    controller = bench.controller("serve()")
    buttons = [controller.start, controller.stop, controller.restart, controller.force_stop]
    dice = random.Random(seed)
    pids = set()
    for _ in range(30):
        dice.choice(buttons)()
        bench.pass_seconds(controller, dice.randrange(3))
        if controller.child:
            pids.add(controller.child.pid)
    controller.stop()
    bench.pass_seconds(controller, 5)
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert not [pid for pid in pids if alive(pid)]


def test_restart_replaces_the_process(bench: Bench) -> None:
    controller = bench.run("serve()")
    assert controller.child
    before = controller.child.pid
    controller.restart()
    bench.until(controller, lambda: controller.state is State.STARTING)
    bench.until(controller, lambda: controller.state is State.RUNNING)
    assert controller.child.pid != before
    assert not alive(before)


def test_force_stop_ends_the_whole_tree(bench: Bench) -> None:
    program = (
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('worker', worker.pid); beat(); time.sleep(600)"
    )
    controller = bench.run(program)
    worker = worker_pid(controller)
    controller.force_stop()
    bench.until(controller, lambda: controller.state is State.STOPPED)
    assert not alive(worker)


def test_a_worker_left_behind_by_a_crash_is_ended(bench: Bench) -> None:
    program = (
        "worker = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('worker', worker.pid); beat(); sys.stdin.read(1); os._exit(1)"
    )
    controller = bench.run(program)
    worker = worker_pid(controller)
    assert controller.child
    controller.child.ask_to_finish()
    bench.until(controller, lambda: controller.state is State.BACKOFF)
    bench.until(controller, lambda: not alive(worker))


def worker_pid(controller: BotController) -> int:
    lines = [event for event in controller.output.take() if isinstance(event, LogLine)]
    return next(int(line.text.split()[1]) for line in lines if line.text.startswith("worker"))


def test_a_crash_is_followed_by_another_start(bench: Bench) -> None:
    controller = bench.run("beat(); os._exit(3) if spawns == 1 else serve()", State.BACKOFF)
    assert "exit code 3" in controller.reason
    assert "1 s" in controller.reason
    bench.now += 1.1
    bench.until(controller, lambda: controller.state is State.RUNNING)
    assert controller.reason == ""


def test_a_crash_loop_waits_twice_as_long_each_time_up_to_five_minutes(bench: Bench) -> None:
    controller = bench.controller("os._exit(1)")
    controller._command = [sys.executable, "-c", "import os; os._exit(1)"]
    controller.start()
    delays = []
    for _ in range(10):
        controller.tick(bench.now)
        bench.until(controller, lambda: controller.state is State.BACKOFF)
        delays.append(round(controller._retry_at - bench.now))
        bench.now = controller._retry_at
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]


def test_a_minute_of_health_forgives_earlier_crashes(bench: Bench) -> None:
    controller = bench.run("os._exit(1) if spawns == 1 else serve()", State.BACKOFF)
    bench.now += 2
    bench.until(controller, lambda: controller.state is State.RUNNING)
    assert controller._failures == 1
    bench.now += 60
    bench.until(controller, lambda: controller._failures == 0)


def test_exit_78_is_never_restarted_and_gives_its_reason(bench: Bench) -> None:
    program = "print('error: No model at /x. Set MODEL_PATH.', file=sys.stderr); sys.exit(78)"
    controller = bench.run(program, State.FAILED)
    assert controller.reason == "No model at /x. Set MODEL_PATH."
    bench.pass_seconds(controller, 1000)
    assert (controller.state, bench.spawned) == (State.FAILED, 1)


def test_start_tries_again_after_a_failure(bench: Bench) -> None:
    controller = bench.run("sys.exit(78) if spawns == 1 else serve()", State.FAILED)
    controller.start()
    bench.until(controller, lambda: controller.state is State.RUNNING)


def test_exit_75_is_restarted_at_once(bench: Bench) -> None:
    bench.run("sys.exit(75) if spawns == 1 else serve()")
    assert bench.spawned == 2


def test_exit_75_over_and_over_has_to_wait(bench: Bench) -> None:
    controller = bench.run("sys.exit(75)", State.BACKOFF)
    assert "exit code 75" in controller.reason
    assert bench.spawned == 2


def test_a_hang_is_killed_and_restarted(bench: Bench) -> None:
    program = "beat()\nif spawns == 1: time.sleep(600)\nserve()"
    controller = bench.run(program)
    assert controller.child
    hung = controller.child.pid
    bench.pass_seconds(controller, 20)
    assert controller.state is State.RUNNING
    bench.pass_seconds(controller, 1)
    bench.until(controller, lambda: controller.state is State.BACKOFF)
    assert "no sign of life for 20 s" in controller.reason
    assert not alive(hung)
    bench.now += 2
    bench.until(controller, lambda: controller.state is State.RUNNING)


def test_a_computer_that_slept_does_not_blame_the_bot(bench: Bench) -> None:
    controller = bench.run("beat(); sys.stdin.read()")
    for jump in (8 * 3600, -7200):
        bench.now += jump
        controller.tick(bench.now)
        bench.pass_seconds(controller, 10)
        assert controller.state is State.RUNNING
        assert bench.spawned == 1


def test_a_program_that_does_not_exist_fails_with_a_sentence(bench: Bench) -> None:
    controller = bench.controller("")
    controller._command = [str(bench.folder / "no-python")]
    controller.start()
    bench.until(controller, lambda: controller.state is State.FAILED)
    assert "no-python" in controller.reason


def test_the_daily_limit_of_starts_survives_a_new_controller(bench: Bench) -> None:
    times = [bench.now - 3600 + i for i in range(STARTS_A_DAY - 1)]
    bench.spawns_path.write_text(json.dumps(times))
    first = bench.run("os._exit(1)", State.BACKOFF)
    first.stop()
    bench.until(first, lambda: first.state is State.STOPPED)
    second = bench.controller("serve()")
    second.start()
    second.tick(bench.now)
    assert second.state is State.BACKOFF
    assert "50 times within 24 hours" in second.reason
    second.start()
    second.tick(bench.now)
    assert bench.spawned == 1
    bench.now += 86_400
    bench.until(second, lambda: second.state is State.RUNNING)


def test_starts_are_refused_when_they_cannot_be_counted(bench: Bench) -> None:
    bench.spawns_path.mkdir()
    controller = bench.controller("serve()")
    controller.start()
    controller.tick(bench.now)
    assert controller.state is State.FAILED
    assert not (bench.folder / "spawned").exists()


def test_the_bot_leaves_when_its_supervisor_dies(bench: Bench) -> None:
    """Nobody is left to close the pipe, so the operating system does."""
    supervisor = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from child_process import Child, Output\n"
        f"child = Child([sys.executable, '-c', {BOT + 'serve()'!r}, sys.argv[1]], Output())\n"
        "print(child.pid, flush=True); time.sleep(600)"
    )
    parent = Child([sys.executable, "-c", supervisor, str(bench.folder)], Output())
    lines = (event for _ in itertools.count() for event in parent.output.take())
    pid = next(int(event.text) for event in lines if isinstance(event, LogLine))
    while not (bench.folder / "spawned").exists():
        time.sleep(0.01)
    psutil.Process(parent.pid).kill()
    give_up_at = time.monotonic() + 10
    while alive(pid) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    parent.clear_up()
    assert not alive(pid)
