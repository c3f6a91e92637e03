"""The tray icon, in a process of its own: `python -m gui.tray_process`.

pystray wants a main thread to itself; beside Tk it crashes macOS. One JSON object a line comes in

    {"state": "running", "tooltip": "...", "labels": {"toggle": "Hide", ...}, "can": ["stop"]}

and goes out: `{"event": "hello", "menu": true}` once the icon is there, `{"event": "shown"}` for
each line that came in, `{"event": "toggle"}`, "start", "stop" or "quit" when that was chosen, and
`{"event": "absent", "reason": "..."}` where there is no tray. It ends when its stdin does, that
is when the launcher ends, however that came about.
"""

import contextlib
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

ACTIONS = ("toggle", "start", "stop", "quit")
COLORS = {"running": "#2FB36B", "busy": "#F5A524", "stopped": "#8B93A1", "error": "#E5484D"}
TOOLTIP_LENGTH = 120  # Windows holds 127
HOST_SECONDS = 60.0  # at login the launcher may be there before the desktop's panel is
LEAVE_SECONDS = 1.0

_LOGO = Path(__file__).parent / "assets" / "icon.png"


def draw(state: str, size: int = 64) -> Image.Image:
    """The logo with a mark whose colour and shape say the state."""
    with Image.open(_LOGO) as logo:
        image: Image.Image = logo.convert("RGBA")
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(image)
    side = size * 0.5
    box = (size - side, size - side, size - 1.0, size - 1.0)
    pen.ellipse(box, fill="#FFFFFF")
    rim = size * 0.06
    left, top, right, bottom = box[0] + rim, box[1] + rim, box[2] - rim, box[3] - rim
    color = COLORS.get(state, COLORS["stopped"])
    if state == "running":
        pen.ellipse((left, top, right, bottom), fill=color)
    elif state == "busy":
        pen.pieslice((left, top, right, bottom), -90, 180, fill=color)
    elif state == "error":
        pen.polygon([((left + right) / 2, top), (right, bottom - rim), (left, bottom - rim)], color)
    else:
        pen.rectangle((left + rim, top + rim, right - rim, bottom - rim), fill=color)
    return image


class Tray:
    """The icon, its menu, and what the launcher last said about them."""

    def __init__(self, pystray: Any) -> None:
        self._labels = {action: action for action in ACTIONS}
        self._can: frozenset[str] = frozenset()
        self._state = "stopped"
        items = [self._item(pystray, action) for action in ACTIONS]
        menu = pystray.Menu(*items[:-1], pystray.Menu.SEPARATOR, items[-1])
        self.icon = pystray.Icon("discord-personality-bot", draw(self._state), "", menu)

    def begin(self, icon: Any) -> None:
        """What pystray calls, in a thread, once its loop runs."""

        def appear() -> None:
            icon.visible = True
            say("hello", menu=bool(icon.HAS_MENU))

        on_main_thread(appear)

    def obey(self, line: str) -> None:
        """Take one line from the launcher; what is not understood changes nothing."""
        try:
            wanted = json.loads(line)
        except ValueError:
            return
        if not isinstance(wanted, dict):
            return
        labels, can = wanted.get("labels"), wanted.get("can")
        if isinstance(labels, dict):
            self._labels.update({a: str(labels[a]) for a in ACTIONS if a in labels})
        if isinstance(can, list):
            self._can = frozenset(action for action in ACTIONS if action in can)
        state, tooltip = str(wanted.get("state", self._state)), str(wanted.get("tooltip", ""))
        on_main_thread(partial(self._show, state, tooltip))

    def _show(self, state: str, tooltip: str) -> None:
        if state != self._state:
            self._state = state
            self.icon.icon = draw(state)
        self.icon.title = tooltip[:TOOLTIP_LENGTH]
        self.icon.update_menu()

    def _item(self, pystray: Any, action: str) -> Any:
        return pystray.MenuItem(
            lambda _: self._labels[action],
            lambda: say(action),
            enabled=lambda _: action in self._can,
            default=action == ACTIONS[0],  # what a click on the icon itself does
        )


class Helper:
    """The process: looks for a tray, and from the first moment for the end of its stdin."""

    def __init__(self) -> None:
        self._tray: Tray | None = None
        self._is_over = False

    def run(self) -> int:
        """Show the icon until stdin ends; 0 also where there is no tray, which is said."""
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            pystray = load()
            if wait_for_host(pystray):
                self._tray = Tray(pystray)
                self._tray.icon.run(setup=self._tray.begin)
            else:
                say("absent", reason="The desktop shows no tray icons.")
        except Exception as error:  # of any toolkit below: whatever it is, it means no tray
            if not self._is_over:  # pystray may stumble over its own end
                say("absent", reason=f"{type(error).__name__}: {error}")
        return 0

    def _listen(self) -> None:
        for line in sys.stdin:
            if self._tray:
                self._tray.obey(line)
            say("shown")
        self._is_over = True
        end = threading.Timer(LEAVE_SECONDS, os._exit, [0])  # should the toolkit not let go
        end.daemon = True
        end.start()
        if self._tray:
            on_main_thread(self._tray.icon.stop)
        else:
            os._exit(0)


def say(event: str, **facts: object) -> None:
    """Tell the launcher; without it there is nobody to tell."""
    with contextlib.suppress(OSError):
        print(json.dumps({"event": event, **facts}), flush=True)


def on_main_thread(work: Callable[[], object]) -> None:
    """Where pystray does not see to it itself: AppKit ends a process that draws elsewhere."""
    if sys.platform == "darwin":
        importlib.import_module("PyObjCTools.AppHelper").callAfter(work)
    else:
        work()


def load() -> Any:
    """pystray, with the first of its backends that works here. Raises `ImportError`."""
    if sys.platform == "darwin":
        application = importlib.import_module("AppKit").NSApplication.sharedApplication()
        application.setActivationPolicy_(1)  # an accessory: no icon in the Dock
    if sys.platform in ("win32", "darwin") or "PYSTRAY_BACKEND" in os.environ:
        return importlib.import_module("pystray")
    sys.path += _system_packages()
    errors = []
    for backend in ("appindicator", "gtk", "xorg"):
        os.environ["PYSTRAY_BACKEND"] = backend
        try:
            return importlib.import_module("pystray")
        except Exception as error:  # ImportError, gi's ValueError, Xlib's own
            errors.append(f"{backend}: {error}")
    raise ImportError("; ".join(errors))


def wait_for_host(pystray: Any) -> bool:
    """Whether something shows tray icons; a panel that is still starting is waited for."""
    module = pystray.Icon.__module__
    if not module.endswith(("_appindicator", "_gtk", "_xorg")):
        return True
    give_up_at = time.monotonic() + HOST_SECONDS
    while not (_has_manager() or (module.endswith("_appindicator") and _has_watcher())):
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(1.0)
    return True


def _system_packages() -> list[str]:
    """Where a Linux distribution keeps `gi`, which a virtual environment does not see."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    rooms = ("lib/python3/dist-packages", f"lib64/{version}/site-packages")
    found = [Path(sys.base_prefix, room) for room in (*rooms, f"lib/{version}/site-packages")]
    return [str(folder) for folder in found if (folder / "gi").is_dir()]


def _has_manager() -> bool:
    """Whether an X11 panel takes tray icons (GNOME's does not)."""
    try:
        display = importlib.import_module("Xlib.display").Display()
        name = f"_NET_SYSTEM_TRAY_S{display.get_default_screen()}"
        owner = display.get_selection_owner(display.intern_atom(name))
        display.close()
    except Exception:  # Xlib's own kinds: there is no X11
        return False
    return bool(owner)


def _has_watcher() -> bool:
    """Whether a desktop takes the newer kind, over D-Bus."""
    try:
        repository = importlib.import_module("gi.repository")
        gio, glib = repository.Gio, repository.GLib
        bus = gio.bus_get_sync(gio.BusType.SESSION)
        place = ["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"]
        name = glib.Variant("(s)", ("org.kde.StatusNotifierWatcher",))
        answer = bus.call_sync(*place, "NameHasOwner", name, None, 0, 1000, None)
    except Exception:  # GLib's own kinds: there is no session bus
        return False
    return bool(answer[0])


if __name__ == "__main__":
    sys.exit(Helper().run())
