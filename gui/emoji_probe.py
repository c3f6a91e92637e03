"""Whether this computer's Tk survives an emoji, and texts for one that does not.

Tk 8.6 with an old libXft aborts the whole process at the first glyph of a colour font. So an emoji
is drawn once in a process that may die of it, and the verdict is kept until Tk or the fonts change.

    python -m gui.emoji_probe         the probe itself; needs a display; exit code 0: it survived
"""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import tkinter
import unicodedata
from pathlib import Path

from bot.config import ROOT

FILE = "emoji.json"
PROBE = (sys.executable, "-m", "gui.emoji_probe")
PROBE_SECONDS = 30.0
SAMPLE = "\U0001f600 \u2764\ufe0f \U0001f469\u200d\U0001f4bb \U0001f1e9\U0001f1ea"

_FONT_CACHES = ("/var/cache/fontconfig", "~/.cache/fontconfig", "~/.fonts", "~/.local/share/fonts")
_EMOJI = re.compile(
    "["
    "\U0001f000-\U0001faff"  # pictures, flags, skin tones
    "\u231a-\u23ff\u2600-\u27bf\u2b05-\u2b55\u3030\u303d\u3297\u3299"  # older signs
    "\u200d\u20e3\ufe0f\U000e0020-\U000e007f"  # what joins and varies them
    "]"
)
_JOINERS = re.compile("[\u200d\u20e3\ufe0f\U000e0020-\U000e007f\U0001f3fb-\U0001f3ff]")

_verdict = {"is_safe": sys.platform != "linux"}  # until it is known, nothing is risked


def shown(text: str) -> str:
    """A text as the window may show it: with its emoji, or with their names."""
    return text if _verdict["is_safe"] else plain(text)


def plain(text: str) -> str:
    """`ok :grinning face:` for a text with emoji; joiners and skin tones are dropped."""
    return _EMOJI.sub(_named, text)


def start(folder: Path, command: tuple[str, ...] = PROBE) -> None:
    """Find the verdict out, in a thread; `folder` is where the one before was kept."""
    if sys.platform == "linux":
        threading.Thread(target=find_out, args=(folder, command), daemon=True).start()


def find_out(folder: Path, command: tuple[str, ...] = PROBE) -> bool:
    """The verdict kept in `folder`, or else a new one; from now on `shown` goes by it."""
    kept = _read(folder / FILE)
    verdict = kept.get("is_safe") if kept.get("fonts") == _fonts() else _survives(command)
    if isinstance(verdict, bool):
        # asked again, as drawing may have filled the fonts' caches
        _keep(folder / FILE, {"fonts": _fonts(), "is_safe": verdict})
    _verdict["is_safe"] = verdict is True
    return verdict is True


def _survives(command: tuple[str, ...]) -> bool | None:
    """None where the probe itself could not be made, which says nothing about emoji."""
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PROBE_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return None if done.returncode > 0 else done.returncode == 0


def _named(match: re.Match[str]) -> str:
    if _JOINERS.match(match[0]):
        return ""
    return f":{unicodedata.name(match[0], 'emoji').lower()}:"


def _fonts() -> str:
    """Changes when fonts or Tk do, as far as that can be told without asking them."""
    stamps = [str(tkinter.TkVersion)]
    for name in _FONT_CACHES:
        with contextlib.suppress(OSError):
            stamps.append(str(int(Path(name).expanduser().stat().st_mtime)))
    return " ".join(stamps)


def _read(path: Path) -> dict[str, object]:
    try:
        fields = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return fields if isinstance(fields, dict) else {}


def _keep(path: Path, fields: dict[str, object]) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with contextlib.suppress(OSError):  # then the next start looks again
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        partial.write_text(json.dumps(fields) + "\n", "utf-8")
        os.replace(partial, path)


def main() -> int:
    """Draw emoji, and perhaps die."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a death that is expected leaves no dump
    root = tkinter.Tk()
    root.overrideredirect(True)
    root.geometry("+20000+20000")  # Tk draws it there, too, and nobody sees it
    for size in (10, 22):
        tkinter.Label(root, text=SAMPLE, font=("TkDefaultFont", size)).pack()
    root.update()
    return 0


if __name__ == "__main__":
    sys.exit(main())
