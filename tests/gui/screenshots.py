"""Pictures of every window, light and dark, at 100 and 200 percent, from a real demo.

    xvfb-run -a -s "-screen 0 2300x1700x24" python -m tests.gui.screenshots [FOLDER]

Writes them into docs/screenshots/. The bot is the demo's own and answers a few held-out messages
first. Look at them before they are kept.
"""

import dataclasses
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import customtkinter as ctk
from PIL import ImageGrab

import terminal
from bot.config import ROOT
from gui.app import App, Start
from gui.presenter import Presenter
from gui.session import Way
from gui.settings_fields import SECTIONS
from sandbox.demo import Demo

TALK_SECONDS = 40.0
SETTLE_SECONDS = 1.5
COLOURS = 128


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(response_rate=1.0)
    way = Way(demo.prepare, demo.steps)
    with tempfile.TemporaryDirectory() as name:
        app = App(
            ctk.CTk(className="DiscordPersonalityBot"),
            Presenter(way),
            Start(way, Path(name), Path(name) / ".env"),
        )
        try:
            _wait(app, lambda: app.window.status.word.cget("text") == "Running", 300)
            _talk(app, demo)
            for appearance in ("light", "dark"):
                for scale in (100, 200):
                    liked = dataclasses.replace(app.preferences, appearance=appearance, scale=scale)
                    app.prefer(liked)
                    _pictures(app, folder, f"{appearance}-{scale}")
        finally:
            app.close()
            _wait(app, lambda: app.is_over, 10)
    return 0


def _talk(app: App, demo: Demo) -> None:
    """Let some held-out messages be answered, so that there is something to see."""
    future = terminal._call(demo.sandbox, "future")["messages"]
    for said in [entry for entry in future if len(entry["content"]) >= 12][:4]:
        terminal._call(demo.sandbox, "say", said)
        _wait(app, lambda: False, TALK_SECONDS / 4)


def _pictures(app: App, folder: Path, kind: str) -> None:
    for name, window in _views(app):
        _wait(app, lambda: False, SETTLE_SECONDS)
        _picture(window, folder / f"{name}-{kind}.png")


def _views(app: App) -> Iterator[tuple[str, Any]]:
    """Each view's name and window, once it is open; it is closed again afterwards."""
    for title in app.window.titles:
        app.window.turn_to(title)
        yield title.lower(), app.root
    app.window.turn_to(app.window.titles[0])
    for name, show in (
        ("logs", app.window.view_logs),
        ("shortcuts", app.window.view_shortcuts),
    ):
        show()
        window = getattr(app.window, name).window
        window.geometry("+40+40")
        yield name, window
        window.withdraw()
    for section in SECTIONS:
        app.open_settings(section)
        settings: Any = app.settings
        settings.window.geometry("+40+40")
        yield f"settings-{section.lower().replace(' ', '-')}", settings.window
        settings.close()
    app.guidance.show(lambda outcome: None)
    yield "first-run", app.root
    app.guidance.close()


def _picture(window: Any, path: Path) -> None:
    window.update()
    x, y = window.winfo_rootx(), window.winfo_rooty()
    box = (x, y, x + window.winfo_width(), y + window.winfo_height())
    image = ImageGrab.grab(bbox=box, xdisplay=os.environ.get("DISPLAY"))
    image.quantize(COLOURS).save(path, optimize=True)
    print(path.name, flush=True)


def _wait(app: App, is_so: Callable[[], bool], seconds: float) -> None:
    """Beat until something is so, or for so long."""
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end and not app.is_over:
        app.step(time.time())
        if not app.is_over:
            app.root.update()
        time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
