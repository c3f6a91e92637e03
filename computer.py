"""What there is to look at on a computer, whatever the settings say.

What may crash or hang is tried in a process of its own.
"""

import contextlib
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence

import bootstrap
from bot.config import ROOT
from model import base_models

OK, WARN, BAD = "ok", "warn", "bad"
ASK_SECONDS = 30.0
OLDEST_SQLITE = (3, 37)  # the first with STRICT tables
LEAST_MEMORY = 1.5e9  # bytes

Found = tuple[str, str]  # state and sentence

_TK = """
import tkinter
root = tkinter.Tk()
root.withdraw()
print(root.tk.call("info", "patchlevel"))
with __import__("contextlib").suppress(tkinter.TclError):
    print(root.tk.call("tk::pkgconfig", "get", "fontsystem"))
"""
_ENGINE = """
import llama_cpp
print(llama_cpp.__version__)
print(llama_cpp.llama_print_system_info().decode().strip())
"""
_USES_GRAPHICS = "import llama_cpp; print(llama_cpp.llama_supports_gpu_offload())"
_CARDS = ("nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader")


def _python() -> Found:
    version = ".".join(map(str, sys.version_info[:3]))
    if not bootstrap.OLDEST <= sys.version_info[:2] <= bootstrap.NEWEST:
        return BAD, f"Python {version} does not fit. Install Python 3.12 and start again."
    return OK, f"Python {version}."


def _sqlite() -> Found:
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        return BAD, (
            f"SQLite {sqlite3.sqlite_version} is too old for the database. Install Python 3.12 "
            "from python.org, delete the folder .venv and start again."
        )
    return OK, f"SQLite {sqlite3.sqlite_version}."


def _window() -> Found:
    is_fine, said = _ask([sys.executable, "-c", _TK])
    if not is_fine:
        return WARN, f"No window can be opened ({said}). Use: python3 launcher.py --headless"
    version, _, fonts = said.partition("\n")
    if fonts and "xft" not in fonts:
        return WARN, f"Tk {version} draws fonts without Xft, which looks rough. Use another Python."
    return OK, f"Tk {version}."


def _engine() -> Found:
    is_fine, said = _ask([sys.executable, "-c", _ENGINE])
    if not is_fine:
        return BAD, (
            "llama.cpp does not load on this processor. Delete the folder .venv and start again: "
            f"it is then compiled here. ({said})"
        )
    version, _, features = said.partition("\n")
    return OK, f"llama-cpp-python {version}; {features}"


def _memory() -> Found:
    machine = base_models.this_machine(ROOT)
    text = f"{machine.free_memory / 1e9:.1f} of {machine.memory / 1e9:.1f} GB are free."
    if machine.free_memory < LEAST_MEMORY:
        return WARN, f"{text} Close other programs, or choose a smaller model."
    return OK, text


def _graphics() -> Found:
    has_card, cards = _ask(_CARDS) if shutil.which(_CARDS[0]) else (False, "")
    card = cards.splitlines()[0] if has_card and cards else ""
    _, answer = _ask([sys.executable, "-c", _USES_GRAPHICS])
    if answer == "True":
        return OK, f"llama.cpp can use {card or 'a graphics card'}. Set GPU_LAYERS=-1 for that."
    if card:
        return OK, f"{card}. This llama.cpp was built without it and replies from the processor."
    return OK, "No card that llama.cpp can use was found; none is needed."


ON_THE_COMPUTER: dict[str, Callable[[], Found]] = {
    "Python": _python,
    "SQLite": _sqlite,
    "Window": _window,
    "Engine": _engine,
    "Memory": _memory,
    "Graphics": _graphics,
}


def _ask(command: Sequence[str]) -> tuple[bool, str]:
    """Whether a program did well and what it printed, or else the reason; it may crash or hang."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=ASK_SECONDS,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        return False, "it hung"
    except OSError as error:
        return False, error.strerror or str(error)
    if done.returncode == 0:
        return True, done.stdout.strip()
    return False, (done.stderr.strip().splitlines() or [_end(done.returncode)])[-1]


def _end(code: int) -> str:
    """How a process ended that said nothing."""
    with contextlib.suppress(ValueError):
        return f"it crashed: {signal.Signals(-code).name}"
    return f"exit code {code & 0xFFFFFFFF:#x}"
