"""What setting up needs of the machine, and the command that gets it. Standard library only."""

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence

PROBE_SECONDS = 3.0

_NAMES = {"venv": "Python's venv module", "compiler": "a C++ compiler", "tk": "Tk"}
_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_BUILD_TOOLS = (
    "winget install Microsoft.VisualStudio.2022.BuildTools --override "
    '"--wait --passive --add Microsoft.VisualStudio.Workload.VCTools --includeRecommended"'
)
# by package manager: how to install, and what
_PACKAGES = {
    "apt-get": ("apt install", {"venv": "-venv", "compiler": "g++", "tk": "-tk"}),
    "dnf": ("dnf install", {"venv": "python3", "compiler": "gcc-c++", "tk": "python3-tkinter"}),
    "pacman": ("pacman -S", {"venv": "python", "compiler": "base-devel", "tk": "tk"}),
    "zypper": ("zypper install", {"venv": "-base", "compiler": "gcc-c++", "tk": "-tk"}),
}


def has_module(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def has_compiler() -> bool:
    """Whether llama.cpp can be built; CMake and Ninja come from pip."""
    if os.environ.get("CXX"):
        return True
    if sys.platform == "win32":
        return bool(shutil.which("cl") or _has_visual_studio())
    if sys.platform == "darwin":  # c++ is always there, as a stub that asks for the real one
        return subprocess.run(["xcode-select", "-p"], capture_output=True).returncode == 0
    return any(shutil.which(name) for name in ("c++", "g++", "clang++"))


def wants_cpu_torch() -> bool:
    """Whether PyPI's torch would bring gigabytes of CUDA to a machine without an NVIDIA card."""
    if sys.platform != "linux" or platform.machine() != "x86_64":
        return False
    return not (shutil.which("nvidia-smi") or os.path.exists("/proc/driver/nvidia"))


def is_reachable(url: str) -> bool:
    """Whether a server answers in three seconds, a slow look-up of its name included."""
    import ssl  # late, as it is slow and only a first start asks
    import urllib.error
    import urllib.request

    answers: list[bool] = []

    def ask() -> None:
        try:
            with urllib.request.urlopen(url, timeout=PROBE_SECONDS):
                answers.append(True)
        except urllib.error.URLError as error:
            # this Python may know no certificates; pip brings its own
            answers.append(isinstance(error.reason, ssl.SSLCertVerificationError))
        except (OSError, ValueError):
            answers.append(False)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return answers == [True]


def way_out(wanted: Sequence[str]) -> str:
    """One sentence: what is missing (of "venv", "compiler", "tk") and what to run."""
    names = [_NAMES[want] for want in wanted]
    listed = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
    return f"Missing: {listed}. {_command(wanted)}"


def _command(wanted: Sequence[str]) -> str:
    if sys.platform == "win32":
        return _on_windows(wanted)
    if sys.platform == "darwin":
        steps = {"compiler": "xcode-select --install", "tk": f"brew install python-tk@{_VERSION}"}
        return "Run: " + " && ".join(steps.get(want, "brew install python") for want in wanted)
    for manager, (install, packages) in _PACKAGES.items():
        if shutil.which(manager):
            sudo = "" if os.geteuid() == 0 else "sudo "
            chosen = [_debian_name(packages[want]) for want in wanted]
            return f"Run: {sudo}{install} {' '.join(chosen)}{_with_system_python(wanted)}"
    return "Install them with your system's package manager."


def _debian_name(package: str) -> str:
    """`-tk` becomes `python3-tk`, or `python3.13-tk` where the system's own Python is another."""
    if not package.startswith("-"):
        return package
    real = os.path.realpath(getattr(sys, "_base_executable", sys.executable))
    is_other = real.startswith("/usr/bin/") and real != os.path.realpath("/usr/bin/python3")
    return f"python{_VERSION if is_other else 3}{package}"


def _with_system_python(wanted: Sequence[str]) -> str:
    """No package adds Tk to a Python that was built without it."""
    is_own_build = sys.base_prefix != "/usr" and os.path.exists("/usr/bin/python3")
    if is_own_build and ("tk" in wanted or "venv" in wanted):
        return " (then start with /usr/bin/python3: this Python was built without it)"
    return ""


def _on_windows(wanted: Sequence[str]) -> str:
    steps = []
    if "compiler" in wanted:
        steps.append(f"Run: {_BUILD_TOOLS}")
    if "tk" in wanted or "venv" in wanted:
        steps.append('Run the Python installer again, choose Modify and tick "tcl/tk" and "pip"')
    return "; ".join(steps)


def _has_visual_studio() -> bool:
    folder = os.environ.get("PROGRAMFILES(X86)", r"C:\Program Files (x86)")
    vswhere = os.path.join(folder, "Microsoft Visual Studio", "Installer", "vswhere.exe")
    component = "Microsoft.VisualStudio.Component.VC.Tools.x86.x64"
    command = [vswhere, "-products", "*", "-requires", component, "-property", "installationPath"]
    try:
        return bool(subprocess.run(command, capture_output=True).stdout.strip())
    except OSError:
        return False
