"""Setting up, for real: virtual environments in a folder with a space and an umlaut, and pip.

The packages come from a folder: `tiny` is a wheel, `slow` builds for as long as it is told to.
"""

import ast
import contextlib
import functools
import http.server
import inspect
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import bootstrap
import prerequisites
import setup_phase
from bot.config import ROOT

PROGRAM = ("bootstrap.py", "prerequisites.py", "setup_phase.py")
NOWHERE = "http://127.0.0.1:9/"
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX signals")

# A build backend inside the source archive: no download, and as slow as the test wants.
BACKEND = """
import os, pathlib, sys, time
sys.path.insert(0, os.path.dirname(__file__))
import packing

def build_wheel(folder, config_settings=None, metadata_directory=None):
    print("building slowly", os.environ.get("SOURCE_DATE_EPOCH"), flush=True)
    with open(os.environ["BUILDS"], "a") as builds:
        builds.write("build\\n")
    while not os.path.exists(os.environ["BUILDS"] + ".go"):
        time.sleep(0.05)
    return packing.wheel(pathlib.Path(folder), "{name}", "1.0").name
"""


def wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module that knows its version."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in files.items():
            archive.writestr(file, text)
        archive.writestr(f"{info}/RECORD", "".join(f"{file},,\n" for file in files))
    return path


def source_archive(folder: Path, name: str) -> None:
    """A source archive that must be built, with the backend above."""
    packing = f"import zipfile\nfrom pathlib import Path\n\n{inspect.getsource(wheel)}"
    system = 'requires = []\nbuild-backend = "build"\nbackend-path = ["."]\n'
    files = {
        "pyproject.toml": f"[build-system]\n{system}",
        "build.py": BACKEND.replace("{name}", name),
        "packing.py": packing,
        "PKG-INFO": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
    }
    with tarfile.open(folder / f"{name}-1.0.tar.gz", "w:gz") as archive:
        for file, text in files.items():
            entry = tarfile.TarInfo(f"{name}-1.0/{file}")
            entry.size = len(text.encode())
            archive.addfile(entry, io.BytesIO(text.encode()))


def wait_until(is_so: Callable[[], bool]) -> None:
    give_up_at = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


class Home:
    """A folder with a copy of the program, run as a person runs it."""

    def __init__(self, path: Path) -> None:
        self.path, self.wheels = path, path.parent / "wheels"
        self.wheels.mkdir()
        path.mkdir()
        for name in PROGRAM:
            shutil.copy(ROOT / name, path / name)
        self.builds = path.parent / "builds"
        self.env = {**os.environ, "BUILDS": str(self.builds), "PYTHONDONTWRITEBYTECODE": "1"}
        self.env["PIP_NO_CACHE_DIR"] = "1"
        wheel(self.wheels, "tiny", "1.0")

    @property
    def python(self) -> Path:
        return self.path / bootstrap.PYTHON.relative_to(ROOT)

    def require(self, *lines: str) -> None:
        options = ["--no-index", f"--find-links {self.wheels.as_uri()}"]
        (self.path / "requirements.txt").write_text("\n".join([*options, *lines]) + "\n", "utf-8")

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "bootstrap.py"],
            cwd=self.path,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )

    def run(self, code: int = 0) -> str:
        """All that it said."""
        process = self.start()
        said, _ = process.communicate(timeout=60)
        assert process.returncode == code, said
        return said

    def version(self, module: str) -> str:
        command = [str(self.python), "-c", f"import {module}; print({module}.VERSION)"]
        return subprocess.run(command, capture_output=True, text=True).stdout.strip()

    def wait_for_build(self) -> None:
        wait_until(self.builds.exists)

    def let_build_finish(self) -> None:
        Path(f"{self.builds}.go").touch()


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A `.venv` as a finished first start leaves it, with nothing installed; to be copied."""
    path = tmp_path_factory.mktemp("made") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(path)], check=True)
    return path


@pytest.fixture
def bare(tmp_path: Path) -> Home:
    return Home(tmp_path / "Ordner mit Ümläut")


@pytest.fixture
def home(bare: Home, made: Path) -> Home:
    shutil.copytree(made, bare.path / ".venv", symlinks=True)
    bare.require("tiny==1.0")
    return bare


@posix
def test_first_start_survives_ctrl_c_while_making_the_venv(bare: Home) -> None:
    bare.require("tiny==1.0")
    process = bare.start()
    wait_until(lambda: (bare.path / ".venv/bin/python").is_symlink())
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 130
    said = bare.run()
    assert "Making .venv again" in said
    assert bare.version("tiny") == "1.0"
    assert "Successfully installed tiny-1.0" in (bare.path / ".venv/setup.log").read_text("utf-8")


def test_second_start_is_quick_and_runs_no_pip(home: Home) -> None:
    home.run()
    log = home.path / ".venv/setup.log"
    before = log.stat().st_mtime_ns
    began = time.monotonic()
    said = home.run()
    assert said.startswith("Ready:")
    assert log.stat().st_mtime_ns == before
    assert time.monotonic() - began < 1.0  # 0.1 s on an idle machine


def test_changed_file_is_installed(home: Home) -> None:
    home.run()
    wheel(home.wheels, "tiny", "2.0")
    home.require("tiny==2.0")
    home.run()
    assert home.version("tiny") == "2.0"


def test_venv_of_a_vanished_python_is_made_again(home: Home) -> None:
    home.python.unlink()
    said = home.run()
    assert "again" in said
    assert home.version("tiny") == "1.0"


def test_half_installed_package_is_installed_again(home: Home) -> None:
    """pip would believe a package that was killed before its last file."""
    home.run()
    (record,) = (home.path / ".venv").rglob("tiny-1.0.dist-info/RECORD")
    record.unlink()
    (record.parent.parent / "tiny.py").unlink()
    (home.path / ".venv/requirements.txt.stamp").unlink()
    home.run()
    assert home.version("tiny") == "1.0"


@posix
def test_ctrl_c_ends_everything_and_the_next_run_goes_on(home: Home) -> None:
    source_archive(home.wheels, "slow")
    home.require("tiny==1.0", "slow==1.0")
    process = home.start()
    home.wait_for_build()
    process.send_signal(signal.SIGINT)
    said, _ = process.communicate(timeout=15)
    assert process.returncode == 130
    assert "run the same command again to go on" in said.lower()
    assert "Traceback" not in said
    home.let_build_finish()
    assert "Another start" not in home.run()
    assert home.version("slow") == "1.0"


@posix
def test_start_after_kill_waits_for_what_is_still_installing(home: Home) -> None:
    source_archive(home.wheels, "slow")
    home.require("slow==1.0")
    process = home.start()
    home.wait_for_build()
    process.kill()
    process.wait()
    second = home.start()
    assert second.stdout
    assert "Another start is setting up" in second.stdout.readline()
    home.let_build_finish()
    said, _ = second.communicate(timeout=30)
    assert second.returncode == 0, said
    assert home.version("slow") == "1.0"


def test_of_two_starts_the_second_waits(home: Home) -> None:
    source_archive(home.wheels, "slow")
    home.require("slow==1.0")
    first = home.start()
    home.wait_for_build()
    second = home.start()
    assert second.stdout
    assert "Another start is setting up" in second.stdout.readline()
    home.let_build_finish()
    for process in (first, second):
        said, _ = process.communicate(timeout=30)
        assert process.returncode == 0, said
    assert home.builds.read_text() == "build\n"


def test_failed_download_is_one_sentence_with_the_log(home: Home) -> None:
    home.require("nosuch==1.0")
    said = home.run(code=78)
    assert "Traceback" not in said
    assert "nosuch" in said.splitlines()[-1]
    assert str(home.path / ".venv" / "setup.log") in said.splitlines()[-1]


def test_no_network_is_said(home: Home) -> None:
    home.env["PIP_RETRIES"] = "1"
    (home.path / "requirements.txt").write_text(f"--index-url {NOWHERE}\nnosuch==1.0\n")
    assert "is there a network" in home.run(code=78)


@posix
def test_llama_is_announced_and_built_without_the_epoch(home: Home) -> None:
    source_archive(home.wheels, "llama_cpp_python")
    home.require("llama-cpp-python==1.0", "tiny==1.0")
    home.let_build_finish()
    home.env.update(CXX="c++", SOURCE_DATE_EPOCH="1")
    said = home.run()
    assert "2 to 10 minutes" in said
    assert "building slowly None" in (home.path / ".venv/setup.log").read_text("utf-8")
    assert home.version("llama_cpp_python") == "1.0"


def test_reexec_keeps_arguments_and_exit_code(home: Home) -> None:
    home.run()
    program = textwrap.dedent(
        """
        import sys, bootstrap
        bootstrap.reexec(bootstrap.ensure("requirements.txt"), sys.argv)
        import tiny
        print(sys.argv[1:], tiny.VERSION)
        sys.exit(75)
        """
    )
    (home.path / "program.py").write_text(program)
    command = [sys.executable, "program.py", "a b", "ü"]
    done = subprocess.run(command, cwd=home.path, env=home.env, capture_output=True)
    assert done.returncode == 75
    assert done.stdout.decode("utf-8").split() == ["['a", "b',", "'ü']", "1.0"]


# --- what the machine lacks ---


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A Linux machine with one package manager, no compiler, no Tk and no `.venv`."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    monkeypatch.setattr(bootstrap, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(bootstrap, "PYTHON", tmp_path / ".venv" / "python")
    monkeypatch.setattr(bootstrap, "WHEELS", NOWHERE)
    monkeypatch.setattr(sys, "base_prefix", "/usr")
    monkeypatch.setitem(sys.modules, "_tkinter", None)
    monkeypatch.delenv("CXX", raising=False)

    def with_manager(name: str) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin" / name).touch(mode=0o755)
        monkeypatch.setenv("PATH", str(tmp_path / "bin"))

    return with_manager


@posix
@pytest.mark.parametrize(
    ("manager", "command"),
    [
        ("apt-get", "sudo apt install g++ python3-tk"),
        ("dnf", "sudo dnf install gcc-c++ python3-tkinter"),
        ("pacman", "sudo pacman -S base-devel tk"),
    ],
)
def test_all_that_is_missing_is_named_at_once(
    machine: Callable[[str], None], manager: str, command: str
) -> None:
    machine(manager)
    sentence = bootstrap.missing(window=True)
    assert sentence == f"Missing: a C++ compiler and Tk. Run: {command}"


@posix
def test_tk_is_only_missed_by_a_window(machine: Callable[[str], None]) -> None:
    machine("apt-get")
    assert "Tk" not in bootstrap.missing(window=False)


@posix
def test_missing_venv_module_is_named(
    machine: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    machine("apt-get")
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    assert "python3-venv g++" in bootstrap.missing(window=False)


@posix
def test_require_leaves_with_78_and_the_sentence(
    machine: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    machine("apt-get")
    with pytest.raises(SystemExit) as left:
        bootstrap.require(window=True)
    assert left.value.code == 78
    assert capsys.readouterr().err.startswith("error: Missing: a C++ compiler and Tk.")


@pytest.mark.parametrize(
    ("platform", "part"), [("darwin", "xcode-select --install"), ("win32", "winget install")]
)
def test_other_systems_name_their_own_way(
    platform: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert part in prerequisites.way_out(["compiler", "tk"])


@pytest.fixture
def wheel_index(tmp_path: Path) -> Iterator[str]:
    """A package index on this machine that has llama-cpp-python already built."""
    folder = tmp_path / "index" / "llama-cpp-python"
    folder.mkdir(parents=True)
    name = wheel(folder, "llama_cpp_python", "1.0").name
    (folder / "index.html").write_text(f'<!DOCTYPE html><a href="{name}">{name}</a>')
    handler = functools.partial(_Quiet, directory=str(folder.parent))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@posix
def test_without_a_compiler_the_built_wheel_is_taken(home: Home, wheel_index: str) -> None:
    text = (home.path / "bootstrap.py").read_text("utf-8")
    (home.path / "bootstrap.py").write_text(text.replace(bootstrap.WHEELS, wheel_index), "utf-8")
    (home.path / "requirements.txt").write_text(
        f"--index-url {wheel_index}\nllama-cpp-python==1.0\n"
    )
    home.env["PATH"] = str(home.path)
    home.env.pop("CXX", None)
    assert "already built" in home.run()
    assert home.version("llama_cpp_python") == "1.0"


def test_unreachable_server_costs_no_longer_than_the_probe() -> None:
    began = time.monotonic()
    assert not prerequisites.is_reachable("http://192.0.2.1/")  # an address that nobody has
    assert time.monotonic() - began < prerequisites.PROBE_SECONDS + 1


# --- an old Python, and the line on the terminal ---


@pytest.mark.parametrize("name", ["bootstrap.py", "launcher.py", "tests/__main__.py"])
def test_python_3_6_can_read_the_file_far_enough(name: str) -> None:
    ast.parse((ROOT / name).read_text("utf-8"), feature_version=(3, 6))


@pytest.mark.parametrize("version", [(3, 6), (3, 9), (3, 14)])
def test_wrong_python_gets_a_sentence(version: tuple[int, int]) -> None:
    code = (
        f"import sys; sys.version_info = {version} + (0, 'final', 0);"
        f"sys.version = '{version[0]}.{version[1]}.0 (old)'; import bootstrap"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 78
    assert len(done.stderr.splitlines()) == 1
    assert f"Python 3.10 to 3.13 is needed and this is {version[0]}.{version[1]}" in done.stderr


def test_terminal_shows_one_moving_line(tmp_path: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("no pseudo-terminals")
    import pty

    phase = ["-uc", "print('a step'); import time; time.sleep(0.6)"]
    code = (
        "import setup_phase, sys; from pathlib import Path;"
        f"setup_phase.run('Working', [sys.executable, *{phase}], Path(sys.argv[1]))"
    )
    reader, terminal = pty.openpty()
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "log")], cwd=ROOT, stdout=terminal, check=True
    )
    os.close(terminal)
    said = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end is closed
        while chunk := os.read(reader, 4096):
            said += chunk
    os.close(reader)
    assert said.count(b"\r") >= 3
    assert b"a step" in said
    assert b"Working: done after 0:00" in said


def test_without_a_terminal_a_line_comes_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(setup_phase, "LINE_SECONDS", 0.1)
    command = [sys.executable, "-uc", "print('a step'); import time; time.sleep(0.7)"]
    setup_phase.run("Working", command, tmp_path / "log")
    said = capsys.readouterr().out
    assert "a step" in said
    assert "\r" not in said
