"""The supervisor against real processes, with the time handed in."""

import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from bot.logs import LogLine
from bot_controller import BotController, State
from start_budget import STARTS_A_DAY
from tests.scripted_bot import Bench, alive


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path)
    yield bench
    bench.close()


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


def test_a_start_counts_the_logins_that_the_last_one_was(bench: Bench) -> None:
    controller = bench.run("database.remember(connection, 'shards', '450'); serve()")
    controller.restart()
    bench.until(controller, lambda: bench.spawned == 2 and controller.state is State.RUNNING)
    assert [count for _, count in json.loads(bench.spawns_path.read_text())] == [1, 450]
    controller.restart()
    bench.until(controller, lambda: controller.state is State.BACKOFF)  # a third is too many
    assert "2 times within 24 hours" in controller.reason


def test_starts_are_refused_when_they_cannot_be_counted(bench: Bench) -> None:
    bench.spawns_path.mkdir()
    controller = bench.controller("serve()")
    controller.start()
    controller.tick(bench.now)
    assert controller.state is State.FAILED
    assert not (bench.folder / "spawned").exists()


def test_a_crash_loop_stays_in_its_budget_across_thirty_launchers(bench: Bench) -> None:
    crashing = [sys.executable, "-S", "-c", "import os; os._exit(1)"]
    children = set()
    for _ in range(30):
        launcher = bench.controller("")
        launcher._command = crashing
        launcher.start()
        for _ in range(5):
            bench.pass_seconds(launcher, 1)
            bench.until(launcher, lambda: launcher.state is State.BACKOFF)  # noqa: B023
            children |= {launcher.child.pid} if launcher.child else set()
    assert len(json.loads(bench.spawns_path.read_text())) == STARTS_A_DAY
    assert len(children) <= STARTS_A_DAY


def test_a_memory_that_is_too_full_is_warned_of_and_ends_in_a_restart(bench: Bench) -> None:
    memory = bench.folder / "memory_mb"
    program = "memory = folder / 'memory_mb'; spawns == 2 and memory.unlink(); serve()"
    controller = bench.run(program, limit_mb=100)
    memory.write_text("150")
    bench.until(controller, lambda: "takes 150 MB" in controller.reason)
    warned = [event for event in controller.output.take() if isinstance(event, LogLine)]
    assert [line.level for line in warned if "150 MB" in line.text] == ["WARNING"]
    bench.now += 200
    bench.until(controller, lambda: bench.spawned == 2 and controller.state is State.RUNNING)
    assert controller.reason == ""


def test_a_memory_that_comes_down_again_is_forgotten(bench: Bench) -> None:
    controller = bench.run("serve()", limit_mb=100)
    (bench.folder / "memory_mb").write_text("150")
    bench.until(controller, lambda: bool(controller.reason))
    (bench.folder / "memory_mb").write_text("50")
    bench.until(controller, lambda: not controller.reason)
    assert bench.spawned == 1


def test_force_stop_while_it_waits_to_restart_stops(bench: Bench) -> None:
    controller = bench.run("os._exit(1)", State.BACKOFF)
    controller.force_stop()
    controller.tick(bench.now)
    bench.pass_seconds(controller, 600)
    assert (controller.state, bench.spawned) == (State.STOPPED, 1)


def test_restart_during_the_start_starts_anew(bench: Bench) -> None:
    program = "if spawns == 1: print('slow'); sys.stdin.read(); sys.exit(0)\nserve()"
    controller = bench.controller(program)
    controller.start()
    bench.until(controller, lambda: bool(controller.output.take()))
    assert controller.state is State.STARTING
    controller.restart()
    bench.until(controller, lambda: controller.state is State.RUNNING)
    assert bench.spawned == 2


def test_a_bot_that_was_killed_is_seen_to_be_gone(bench: Bench) -> None:
    """Until we ask for its exit code it is a zombie, which looks like a process."""
    controller = bench.run("serve()")
    assert controller.child
    psutil.Process(controller.child.pid).kill()
    bench.until(controller, lambda: controller.state is State.BACKOFF)
    assert controller.child.family() == []
    bench.now += 2
    bench.until(controller, lambda: controller.state is State.RUNNING)


def test_a_clock_set_back_delays_neither_the_kill_nor_the_restart(bench: Bench) -> None:
    controller = bench.run("beat(); sys.stdin.read(); time.sleep(600)")
    controller.stop()
    controller.tick(bench.now)
    assert controller.state is State.STOPPING
    bench.now -= 7200
    controller.tick(bench.now)
    bench.pass_seconds(controller, 3)
    bench.until(controller, lambda: controller.state is State.STOPPED)

    crashed = bench.run("os._exit(1)", State.BACKOFF)
    bench.now -= 7200
    crashed.tick(bench.now)
    bench.now += 300
    bench.until(crashed, lambda: bench.spawned == 3)


def test_a_computer_that_slept_while_it_waited_restarts_the_bot_on_waking(bench: Bench) -> None:
    controller = bench.run("os._exit(1) if spawns == 1 else serve()", State.BACKOFF)
    bench.now += 8 * 3600
    bench.until(controller, lambda: controller.state is State.RUNNING)
