"""A child's output, however it comes, and the steps of the pipeline."""

import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from bot.logs import LINE_LIMIT, LogLine, Progress
from child_process import BUFFER_LINES, Child, Output, Step, run_step


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def collect(program: str) -> tuple[int, list[LogLine | Progress]]:
    events: list[LogLine | Progress] = []
    return run_step(python(program), events.append), events


def test_a_flood_is_always_drained_and_what_is_forgotten_is_counted() -> None:
    child = Child(python("for i in range(100_000): print('line', i)"), Output())
    while child.exit_code() is None:
        time.sleep(0.01)
    child.clear_up()
    lines = child.output.take(100_000)
    assert len(lines) == BUFFER_LINES
    assert child.output.dropped == 100_000 - BUFFER_LINES
    assert isinstance(lines[-1], LogLine)
    assert lines[-1].text == "line 99999"


def test_garbage_is_survived_and_bounded() -> None:
    program = (
        "import sys; out = sys.stdout.buffer\n"
        "out.write(b'x' * 10_000_000 + b'\\n'); out.write(b'nul \\0 bad \\xff\\xfe\\n')\n"
        "out.write(b'@progress {\\n'); out.write(b'\\x1b[31mred\\n'); out.write(b'no end')"
    )
    code, events = collect(program)
    texts = [event.text for event in events if isinstance(event, LogLine)]
    assert code == 0
    assert len(texts) == 5
    assert all(len(text) <= LINE_LIMIT + 1 for text in texts)
    assert "\0" not in texts[1]
    assert texts[3] == "\\x1b[31mred"
    assert texts[4] == "no end"


def test_the_level_comes_from_the_log_line_and_not_from_its_text() -> None:
    line = "2026-11-23T14:32:15.123Z WARNING bot.main said ERROR"
    _, events = collect(f"print({line!r}); print('error: no model')")
    assert events[0] == LogLine("2026-11-23T14:32:15.123Z", "WARNING", "bot.main", "said ERROR")
    assert isinstance(events[1], LogLine)
    assert events[1].level == "ERROR"
    assert events[1].time.endswith("Z")


def test_the_reason_of_a_failure_is_remembered_without_its_secrets() -> None:
    token = "MTIzNDU2Nzg5MDEyMzQ1Njc4.aaaaaa." + "b" * 38
    child = Child(python(f"print('error: {token} is no token. Paste another.\\x1b')"), Output())
    while child.exit_code() is None:
        time.sleep(0.01)
    child.clear_up()
    assert child.last_error == "[token] is no token. Paste another.\\x1b"


def test_only_the_newest_progress_is_kept() -> None:
    output = Output()
    for done in range(3):
        output.put(Progress("train", done, 3))
    assert output.take() == [Progress("train", 2, 3)]
    assert output.take() == []


def test_a_step_reports_its_progress_and_its_exit_code() -> None:
    program = (
        "from bot import logs\n"
        "for _ in logs.track('fetch', range(3), 3): pass\n"
        "raise SystemExit(78)"
    )
    code, events = collect(program)
    assert code == 78
    assert events[-1] == Progress("fetch", 3, 3, 0.0)


def test_a_step_can_put_its_work_away_when_it_is_cancelled(tmp_path: Path) -> None:
    program = (
        "import time, pathlib\n"
        "try:\n    print('at work'); time.sleep(600)\n"
        f"except KeyboardInterrupt:\n    pathlib.Path({str(tmp_path / 'saved')!r}).touch()\n"
        "    raise SystemExit(130)"
    )
    at_work = threading.Event()
    code = run_step(python(program), lambda _: at_work.set(), at_work.is_set)
    assert code == 130
    assert (tmp_path / "saved").exists()


def test_a_step_that_ignores_the_cancel_is_ended_by_force() -> None:
    program = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    step = Step(python(program + "print('deaf'); time.sleep(600)"))
    while not step.output.take():
        time.sleep(0.01)
    step.cancel()
    step.cancel()
    assert step.tick(0.0) is None
    assert step.tick(9.0) is None
    step.tick(10.0)
    while step.tick(10.0) is None:
        time.sleep(0.01)
    assert step.tick(10.0) == -9


def test_an_error_in_the_listener_leaves_no_process_behind() -> None:
    seen: list[LogLine | Progress] = []

    def listener(event: LogLine | Progress) -> None:
        seen.append(event)
        raise RuntimeError("listener")

    before = threading.active_count()
    with pytest.raises(RuntimeError):
        run_step(python("print('x'); import time; time.sleep(600)"), listener)
    assert len(seen) == 1
    assert threading.active_count() == before


def test_a_process_that_leaves_ends_the_step_of_an_abandoned_thread() -> None:
    program = (
        "import sys, threading, time\n"
        "from child_process import run_step\n"
        "command = [sys.executable, '-c', 'import os, time; print(os.getpid()); time.sleep(600)']\n"
        "said = threading.Event()\n"
        "def hear(line): print(line.text, flush=True); said.set()\n"
        "threading.Thread(target=run_step, args=(command, hear), daemon=True).start()\n"
        "said.wait()"
    )
    code, events = collect(program)
    assert code == 0
    assert isinstance(events[0], LogLine)
    pid, give_up_at = int(events[0].text), time.monotonic() + 10
    while psutil.pid_exists(pid) and time.monotonic() < give_up_at:
        time.sleep(0.01)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
