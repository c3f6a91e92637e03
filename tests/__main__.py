"""Sets everything up and runs all tests: `python3 -m tests [pytest arguments]`.

As many processes share them as there are cores; `-n 0` runs them in one, as a debugger needs it and
`-s` does. Windows need a screen: on Linux without one, a virtual one (Xvfb) is started for them.
"""

import contextlib
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator

import bootstrap

FILES = ("requirements.txt", "requirements-train.txt", "requirements-dev.txt")
INSTALL_XVFB = ("apt-get", "install", "-y", "xvfb")
SCREEN = "1600x1200x24"
XVFB_SECONDS = 20.0
SHARED = {
    # four at most: more bring little, as the longest file takes a quarter of the time
    "PYTEST_XDIST_AUTO_NUM_WORKERS": str(min(4, os.cpu_count() or 1)),
    "OMP_NUM_THREADS": "1",  # torch and scikit-learn in each process would take every core
}


def main() -> int:
    bootstrap.reexec(bootstrap.ensure(*FILES), ["-m", "tests", *sys.argv[1:]])
    tk_is_missing = bootstrap.missing(window=True)
    chosen = sys.argv[1:]
    if tk_is_missing:
        print(f"The tests of the window are skipped. {tk_is_missing}", flush=True)
        chosen.append("--ignore=tests/gui")
    with _display() as display:
        environment = {**SHARED, **os.environ, **({"DISPLAY": display} if display else {})}
        command = [sys.executable, "-m", "pytest", "-rs", "-n", "auto", *chosen]
        return _wait(subprocess.Popen(command, cwd=bootstrap.ROOT, env=environment))


def _wait(process: "subprocess.Popen[bytes]") -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # pytest got the same Ctrl-C, and sums up before it leaves


@contextlib.contextmanager
def _display() -> Iterator[str]:
    """The name of a virtual screen while it is up; empty where none is needed or can be had."""
    if os.environ.get("DISPLAY") or not _get_xvfb():
        yield ""
        return
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", SCREEN]
    xvfb = subprocess.Popen(
        [*command, "-nolisten", "tcp", "-noreset"],
        pass_fds=[writing],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is for pytest; the screen stays until it has ended
    )
    os.close(writing)
    try:
        yield _display_name(reading)
    finally:
        xvfb.terminate()
        xvfb.wait()
        os.close(reading)


def _display_name(reading: int) -> str:
    """Xvfb writes the number of the free display it took, once it is ready."""
    number = b""
    while not number.endswith(b"\n"):
        can_read, _, _ = select.select([reading], [], [], XVFB_SECONDS)
        got = os.read(reading, 16) if can_read else b""
        if not got:
            print("Xvfb does not start: the tests of the window are skipped.", flush=True)
            return ""
        number += got
    return f":{number.decode().strip()}"


def _get_xvfb() -> bool:
    """Whether Xvfb is of use and there; root on a Debian-like system has it installed."""
    if sys.platform != "linux":
        return False
    if shutil.which("Xvfb"):
        return True
    if shutil.which("apt-get") and os.geteuid() == 0:
        print("Installing Xvfb, the virtual screen for the tests of the window.", flush=True)
        for command in (("apt-get", "update"), INSTALL_XVFB):
            subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    if shutil.which("Xvfb"):
        return True
    print(
        "The tests of the window are skipped: there is neither a display nor Xvfb. "
        f"Run: sudo {' '.join(INSTALL_XVFB)}",
        flush=True,
    )
    return False


if __name__ == "__main__":
    sys.exit(main())
