"""A tether: a child that cannot outlive the process that started it, however that one ends.

    python -I -S bot/tether.py PARENT_PID PROGRAM [ARGUMENT ...]

Run like this the child ties itself to its parent and then becomes the program. That is sooner than
the program could do it, whose imports may take seconds; it holds for programs that are not ours;
and no Python runs between fork and exec, where a process with threads could lock itself up.

Linux ends the child with the *thread* that started it, so start children in a thread that stays.
On other Unixes a second process watches; on Windows it is a job object.
"""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Sequence

PR_SET_PDEATHSIG = 1
CANNOT_RUN = 78  # as `config.NEEDS_A_PERSON`, which cannot be imported here
WATCH_SECONDS = 0.5


def command(program: Sequence[str]) -> list[str]:
    """What to run in place of `program`; hand the child's id to `bind` afterwards."""
    if sys.platform == "win32":
        return list(program)
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *program]


def bind(pid: int) -> None:
    """Tie a child that was just started, where its parent has to do it."""
    if sys.platform == "win32":
        from bot import job_object

        job_object.add(pid)


def main() -> int:
    parent, program = int(sys.argv[1]), sys.argv[2:]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
    else:
        watch(parent)
    if os.getppid() != parent:
        return 1  # it was gone before the knot was tied
    try:
        os.execvp(program[0], program)
    except OSError as error:
        print(f"error: {program[0]} cannot be run: {error.strerror}.", file=sys.stderr)
    return CANNOT_RUN


def watch(parent: int) -> None:
    """Leave a process behind that ends this one when `parent` has ended."""
    watched = os.getpid()
    if sys.platform == "win32" or os.fork():
        return
    os.closerange(0, 3)  # or whoever reads the program's output would wait for us, too
    while os.getppid() == watched:
        time.sleep(WATCH_SECONDS)
        try:
            os.kill(parent, 0)
        except OSError:
            os.kill(watched, signal.SIGKILL)
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
