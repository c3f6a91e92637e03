"""Imports point down one ladder, SQL lives in one room, and no file forgets where it is going.

    roots -> gui, bot -> bot_controller, data -> model -> storage -> floor

The floor is `bot/config.py`, `bot/logs.py` and the tether of child processes. A rung may skip rungs
and never climbs.
"""

import ast
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.config import ROOT

LONGEST_FILE = 350
LONGEST_TEST = 550  # lower it when the longest is split
LONGEST_FUNCTION = 60

ROOTS, WINDOW_AND_BOT, CONTROL, MODEL, STORAGE, FLOOR = range(6)
RUNGS = {
    "launcher": ROOTS,
    "terminal": ROOTS,
    "computer": ROOTS,
    "doctor": ROOTS,
    "diagnostics": ROOTS,
    "scripts": ROOTS,
    "benchmarks": ROOTS,
    "sandbox": ROOTS,
    "gui": WINDOW_AND_BOT,
    "bot": WINDOW_AND_BOT,
    "bot_controller": CONTROL,
    "child_process": CONTROL,
    "memory_watch": CONTROL,
    "single_instance": CONTROL,
    "start_budget": CONTROL,
    "data": CONTROL,
    "model": MODEL,
    "storage": STORAGE,
    "bot.addresses": FLOOR,
    "bot.config": FLOOR,
    "bot.logs": FLOOR,
    "bot.more_servers": FLOOR,
    "bot.tether": FLOOR,
    "bot.job_object": FLOOR,
    "bot.stopping": FLOOR,
}
ALONE = {"bootstrap", "prerequisites", "setup_phase"}  # they run before anything is installed
OURS = ALONE | {name.partition(".")[0] for name in RUNGS}
NOT_OURS = {".venv", "data_storage", "models", "build", "dist"}


def _files() -> list[Path]:
    found = (path.relative_to(ROOT) for path in ROOT.rglob("*.py"))
    return sorted(path for path in found if not NOT_OURS & set(path.parts))


FILES = _files()
SOURCE = [path for path in FILES if path.parts[0] != "tests"]


def _tree(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text("utf-8"), str(path))


def _module(path: Path) -> str:
    """`bot/logs.py` is `bot.logs`."""
    return ".".join(path.with_suffix("").parts)


def _rung(module: str) -> int:
    two = ".".join(module.split(".")[:2])
    return RUNGS[two] if two in RUNGS else RUNGS[module.partition(".")[0]]


def _imports(tree: ast.AST) -> Iterator[str]:
    """Modules imported anywhere below; `from bot import logs` counts as `bot.logs`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _our_imports(path: Path) -> list[str]:
    return [name for name in _imports(_tree(path)) if name.partition(".")[0] in OURS]


def test_imports_never_climb() -> None:
    climbing = [
        f"{path} imports {name}, which is above it"
        for path in SOURCE
        for name in _our_imports(path)
        if name not in ALONE and (_module(path) in ALONE or _rung(name) < _rung(_module(path)))
    ]
    assert not climbing


def test_first_start_needs_the_standard_library_alone() -> None:
    for path in SOURCE:
        if path.name == "launcher.py" or _module(path) in ALONE:
            body = [node for node in _tree(path).body if not isinstance(node, ast.FunctionDef)]
            names = {name.partition(".")[0] for name in _imports(ast.Module(body, []))}
            assert names <= set(sys.stdlib_module_names) | ALONE, path


def test_window_and_bot_are_strangers() -> None:
    strangers = {"gui": "bot", "bot": "gui"}
    met = [
        f"{path} imports {name}"
        for path in SOURCE
        for name in _our_imports(path)
        if name.partition(".")[0] == strangers.get(path.parts[0]) and _rung(name) != FLOOR
    ]
    assert not met


def test_sandbox_knows_only_the_floor() -> None:
    """A stand-in for Discord that shared code with the bot would share its mistakes."""
    sandbox = [path for path in SOURCE if path.parts[0] == "sandbox" and path.name != "demo.py"]
    known = [
        f"{path} imports {name}"
        for path in sandbox
        for name in _our_imports(path)
        if not name.startswith("sandbox") and _rung(name) != FLOOR
    ]
    assert not known


def test_floor_stands_on_the_standard_library() -> None:
    for module in (name for name, rung in RUNGS.items() if rung == FLOOR):
        path = Path(*module.split(".")).with_suffix(".py")
        names = {name.partition(".")[0] for name in _imports(_tree(path))}
        assert names <= set(sys.stdlib_module_names) | {"dotenv", "bot"}


@pytest.mark.parametrize(
    ("module", "strangers"),
    [
        ("gui.app", ("discord", "jinja2", "llama_cpp", "torch", "lancedb")),
        ("doctor", ("llama_cpp", "tkinter", "discord", "lancedb")),  # what may not even load
        ("bot.main", ("torch", "jinja2", "llama_cpp", "customtkinter", "tkinter")),
        ("launcher", ("customtkinter", "discord", "dotenv", "psutil")),
    ],
)
def test_process_stays_free_of(module: str, strangers: tuple[str, ...]) -> None:
    if module == "gui.app":
        pytest.importorskip("tkinter", exc_type=ImportError)
    code = f"import sys, {module}; print(*sorted(sys.modules.keys() & {set(strangers)}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split()


_SQL = re.compile(
    r"^\s*(SELECT\b.+\bFROM|INSERT\s+(OR \w+\s+)?INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM"
    r"|(CREATE|DROP|ALTER)\s+(TABLE|INDEX|VIEW|TRIGGER|VIRTUAL))\b",
    re.DOTALL,
)


def test_sql_lives_in_storage() -> None:
    found = [
        f"{path}:{node.lineno} {node.value}"
        for path in SOURCE
        if path.parts[0] != "storage"
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and _SQL.match(node.value)
    ]
    assert not found


def test_no_file_becomes_the_giant_one() -> None:
    lines = {path: len((ROOT / path).read_text("utf-8").splitlines()) for path in FILES}
    long = {
        path.as_posix(): count
        for path, count in lines.items()
        if count > (LONGEST_FILE if path in SOURCE else LONGEST_TEST)
    }
    assert not long, "split by subject"


def test_functions_can_be_read_at_a_glance() -> None:
    long = [
        f"{path}:{node.lineno} {node.name}"
        for path in FILES
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long


# Built from parts, so that this file does not trip over itself.
_MACHINES = re.compile(
    rf"(?<![\w.~/-])/({'|'.join(['wo' + 'rk', 'fa' + 'rm', 'ho' + 'me/[a-z]'])})(?![\w-])"
)
_REGISTRIES = re.compile("|".join([r"py" + r"pi\.org", r"python" + r"hosted\.org"]))


def _tracked_texts() -> Iterator[tuple[str, str]]:
    """What git would ship, or where there is no git, every source file."""
    command = ["git", "ls-files", "-z"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        names = [os.fsdecode(name) for name in done.stdout.split(b"\0") if name]
    except (OSError, subprocess.CalledProcessError):
        names = [path.as_posix() for path in FILES]
    for name in names:
        if (ROOT / name).is_file():
            content = (ROOT / name).read_bytes()
            if b"\0" not in content[:8000]:
                yield name, content.decode("utf-8", "replace")


def test_no_file_names_somebodys_machine() -> None:
    found = [
        f"{name}: {match[0]}"
        for name, text in _tracked_texts()
        for pattern in (_MACHINES, _REGISTRIES)
        for match in pattern.finditer(text)
    ]
    assert not found
