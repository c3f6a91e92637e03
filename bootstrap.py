"""Makes or refreshes `.venv` from the requirement files. Standard library only.

    python3 bootstrap.py            what the laptop needs: the bot and the window
    python3 bootstrap.py --train    and what training needs
    python3 bootstrap.py --dev      and what the tests need

This file keeps to the grammar of Python 3.6, so that an old one gets a sentence instead of a syntax
error.
"""

import argparse
import contextlib
import hashlib
import io
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

NEEDS_A_PERSON = 78  # exit code: restarting will not help, somebody must change something
INTERRUPTED = 130
VERSION = 1  # raise it when what is installed depends on a change in this file
OLDEST, NEWEST = (3, 10), (3, 13)

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
LOG = VENV / "setup.log"
LOCK = VENV / "setup.lock"
UNFINISHED = VENV / "unfinished"  # there while `python -m venv` works, and after it was killed

COMPILED = "llama-cpp-python"
WHEELS = "https://abetlen.github.io/llama-cpp-python/whl/cpu"
TORCH_CPU = "https://download.pytorch.org/whl/cpu"


def _wrong_python() -> str:
    """The sentence for a Python that cannot run this; it names one on PATH that can."""
    names = [f"python3.{minor}" for minor in (12, 11, 13, 10)]
    found = [name for name in names if shutil.which(name)]
    arguments = getattr(sys, "orig_argv", ["", *sys.argv])[1:]
    way_out = "get one from https://www.python.org/downloads/"
    if found:
        way_out = "run: " + " ".join(found[:1] + arguments)
    return f"Python 3.10 to 3.13 is needed and this is {sys.version.split()[0]}; {way_out}"


if not OLDEST <= sys.version_info[:2] <= NEWEST:
    if sys.stderr:  # pythonw has none
        sys.stderr.write(f"error: {_wrong_python()}\n")
    sys.exit(NEEDS_A_PERSON)

import prerequisites as system  # noqa: E402 (below the sentence: an old Python cannot import them)
import setup_phase  # noqa: E402


def ensure(*requirement_files: str) -> Path:
    """Install the pinned files (relative to this one) into `.venv`; the path of its Python.

    Costs a few milliseconds when nothing has changed. Exits with 78 and a sentence when a person
    must do something first, with 130 after Ctrl-C; the next call goes on where this one stopped.
    """
    files = [ROOT / name for name in requirement_files]
    if not _is_ready(files):
        _set_up(files)
    return PYTHON


def reexec(python: Path, argv: Sequence[str]) -> None:
    """Run the same program under `python`; comes back only where this already is the one."""
    if os.path.realpath(sys.prefix) == os.path.realpath(python.parent.parent):
        return
    if Path(sys.executable).stem == "pythonw":  # no console, so that none flashes up at login
        python = python.with_name("pythonw.exe")
    command = [str(python), *argv]
    for stream in (sys.stdout, sys.stderr):
        if stream:  # pythonw has none
            stream.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            continue  # it got the same Ctrl-C, and decides


def require(window: bool) -> None:
    """Exit with 78 and the sentence when something that only a person can install is missing."""
    sentence = missing(window)
    if sentence:
        _leave(NEEDS_A_PERSON, sentence)


def missing(window: bool, *requirement_files: str) -> str:
    """What the system lacks and the command that gets it, as one sentence; empty: nothing."""
    files = [ROOT / name for name in requirement_files or ("requirements.txt",)]
    is_ready = _is_ready(files)
    if is_ready and not window:
        return ""
    wanted = []
    if not is_ready:
        if not _installed("pip-*") and not system.has_module("ensurepip"):
            wanted.append("venv")
        if _must_compile(files) and not system.has_compiler() and not system.is_reachable(WHEELS):
            wanted.append("compiler")
    if window and not system.has_module("_tkinter"):
        wanted.append("tk")
    return system.way_out(wanted) if wanted else ""


# --- is everything there already ---


def _is_ready(files: Sequence[Path]) -> bool:
    return PYTHON.exists() and all(_stamp(file) == _read(_stamp_path(file)) for file in files)


def _stamp(file: Path) -> str:
    """Changes with the file, the Python behind `.venv` and this program's own version."""
    config = _read(VENV / "pyvenv.cfg")
    home = re.search(r"^home\s*=\s*(.+)$", config, re.MULTILINE)
    if not home or not os.path.isdir(home[1].strip()):
        return "none: the Python that .venv was made from is gone"
    parts = [str(VERSION), os.path.realpath(PYTHON), config, file.read_text("utf-8")]
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp_path(file: Path) -> Path:
    return VENV / f"{file.name}.stamp"


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except FileNotFoundError:
        return ""


# --- setting up ---


def _set_up(files: Sequence[Path]) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # file names and pip may say anything
    try:
        VENV.mkdir(exist_ok=True)
        with _only_one():
            if not _is_ready(files):
                _install(files)
    except setup_phase.PhaseError as problem:
        _leave(NEEDS_A_PERSON, str(problem))
    except OSError as error:
        _leave(NEEDS_A_PERSON, f"Cannot set up {VENV}: {error}. Make room and access, then retry.")
    except KeyboardInterrupt:
        _leave(INTERRUPTED, "Stopped. Run the same command again to go on.")


def _install(files: Sequence[Path]) -> None:
    sentence = missing(False, *map(str, files))
    if sentence:
        raise setup_phase.PhaseError(sentence)
    LOG.write_bytes(b"")
    print(f"Setting up, once (details in {LOG.relative_to(ROOT)})", flush=True)
    _make_venv()
    _forget_half_installed()
    if _must_compile(files):
        _install_compiled(files)
    torch = _pin(files, "torch")
    if torch and system.wants_cpu_torch() and system.is_reachable(TORCH_CPU):
        with contextlib.suppress(setup_phase.PhaseError):  # the next phase gets the large one
            _pip("Installing torch for the processor", torch, "--index-url", TORCH_CPU)
    listed = [part for file in files for part in ("-r", str(file))]
    _pip("Installing " + ", ".join(file.name for file in files), *listed)
    for file in files:
        _stamp_path(file).write_text(_stamp(file), "utf-8")


def _make_venv() -> None:
    """A `.venv` that works: the one that is there, or a new one."""
    if not UNFINISHED.exists() and _works():
        return
    leftovers = [path for path in VENV.iterdir() if path not in (LOG, LOCK, UNFINISHED)]
    UNFINISHED.touch()
    for path in leftovers:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    again = " again: what is there does not work" if leftovers else ""
    command = [sys.executable, "-m", "venv", str(VENV)]
    setup_phase.run(f"Making .venv{again}", command, LOG)
    UNFINISHED.unlink()


def _works() -> bool:
    check = (
        "import os, sys, pip._internal.cli.main;"
        f"sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST}"
        " or os.path.realpath(sys.prefix) != sys.argv[1])"
    )
    command = [str(PYTHON), "-c", check, os.path.realpath(VENV)]
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except OSError:
        return False


def _forget_half_installed() -> None:
    """pip writes RECORD last and believes a package without one: have it installed again."""
    for path in _installed("*"):
        if not (path / "RECORD").exists():
            shutil.rmtree(path)


def _install_compiled(files: Sequence[Path]) -> None:
    pinned = [_pin(files, COMPILED), *(part for file in files for part in ("-c", str(file)))]
    if system.has_compiler():
        print(f"  {COMPILED} is built for this processor: 2 to 10 minutes, only once.", flush=True)
        _build_lean()
        try:
            return _pip(f"Building {COMPILED}", "-v", *pinned)
        except setup_phase.PhaseError:
            if not system.is_reachable(WHEELS):
                raise
    wheel = ("--only-binary", COMPILED, "--extra-index-url", WHEELS)
    return _pip(f"Installing {COMPILED}, already built", *wheel, *pinned)


def _build_lean() -> None:
    """Leave out what the bot never loads (templates, images, a web server): half the time.

    llama-cpp-python has no switch for the first, only a variable that CMake may find set already.
    """
    recipe = VENV / "lean.cmake"
    recipe.write_text("set(LLAMA_BUILD_COMMON OFF)\n", encoding="utf-8")
    lean = f"-DLLAVA_BUILD=OFF '-DCMAKE_PROJECT_INCLUDE={recipe.as_posix()}'"
    os.environ["CMAKE_ARGS"] = f"{lean} {os.environ.get('CMAKE_ARGS', '')}".strip()


def _pip(what: str, *arguments: str) -> None:
    """`pip install` inside `.venv`, under the configuration that pip has on this machine."""
    options = ("--disable-pip-version-check", "--no-input")
    command = [str(PYTHON), "-m", "pip", "install", *options, *arguments]
    setup_phase.run(what, command, LOG)


@contextlib.contextmanager
def _only_one() -> Iterator[None]:
    """Wait for another start in the same folder; the system frees the lock of a dead one."""
    with LOCK.open("a+b") as file:
        is_waiting = False
        while not _try_lock(file.fileno()):
            if not is_waiting:
                print("Another start is setting up; waiting for it (Ctrl-C leaves).", flush=True)
            is_waiting = True
            time.sleep(0.2)
        os.set_inheritable(file.fileno(), True)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _leave(code: int, sentence: str) -> NoReturn:
    prefix = "" if code == INTERRUPTED else "error: "
    if sys.stderr:
        print(f"{prefix}{sentence}", file=sys.stderr, flush=True)
    sys.exit(code)


def _pin(files: Sequence[Path], name: str) -> str:
    """`name==version` as one of the files has it, or nothing."""
    pattern = rf"^{re.escape(name)}==[\w.]+"
    found = [re.search(pattern, file.read_text("utf-8"), re.MULTILINE) for file in files]
    return next((match[0] for match in found if match), "")


def _must_compile(files: Sequence[Path]) -> bool:
    pin = _pin(files, COMPILED)
    return bool(pin) and not _installed(pin.replace("-", "_").replace("==", "-"))


def _installed(pattern: str) -> "list[Path]":
    """The `.dist-info` folders of packages in `.venv`, by a pattern of `name-version`."""
    roots = ("lib/python*/site-packages", "Lib/site-packages")
    return [path for root in roots for path in VENV.glob(f"{root}/{pattern}.dist-info")]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--train", action="store_true", help="also what training needs")
    parser.add_argument("--dev", action="store_true", help="also what the tests need")
    chosen = parser.parse_args()
    files = ["requirements.txt"]
    files += ["requirements-train.txt"] * chosen.train + ["requirements-dev.txt"] * chosen.dev
    print(f"Ready: {ensure(*files)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
