"""Colours, fonts and distances. Every colour is a pair: for the light and for the dark window."""

import sys
import tkinter
from collections.abc import Callable
from tkinter import font as tkfont
from typing import Any

import customtkinter as ctk
import darkdetect
from customtkinter.windows.widgets.core_widget_classes import CTkBaseClass

Pair = tuple[str, str]

WINDOW: Pair = ("#F2F3F6", "#13151A")
CARD: Pair = ("#FFFFFF", "#1C1F26")
BORDER: Pair = ("#E0E3E9", "#2A2F39")
INSET: Pair = ("#F7F8FA", "#15181E")
TRACK: Pair = ("#DFE2E9", "#343A46")
TEXT: Pair = ("#1A1D24", "#E7E9EE")
MUTED: Pair = ("#5A6270", "#9AA3B2")
DISABLED: Pair = ("#A0A6B2", "#5B6372")
ACCENT: Pair = ("#4752C4", "#5560DB")
ACCENT_HOVER: Pair = ("#3A44AB", "#4650C4")
ON_ACCENT: Pair = ("#FFFFFF", "#FFFFFF")
PLAIN: Pair = ("#ECEEF2", "#272C36")
PLAIN_HOVER: Pair = ("#DEE1E8", "#323845")
CHOSEN: Pair = ("#C9CEF5", "#3D4677")
KNOB: Pair = ("#5F6779", "#E7E9EE")
SECOND: Pair = ("#B0620A", "#E5B567")
DANGER: Pair = ("#B3261E", "#F28B82")
FOCUS: Pair = ("#1A1D24", "#C9CEFF")
MATCH: Pair = ("#FFE08A", "#6B5A12")

TONES: dict[str, Pair] = {
    "good": ("#1B7F46", "#4CC38A"),
    "busy": ("#9A5B00", "#F5B544"),
    "bad": DANGER,
    "idle": MUTED,
}
LEVELS: dict[str, Pair] = {
    "DEBUG": MUTED,
    "INFO": TEXT,
    "WARNING": ("#8A5200", "#F5B544"),
    "ERROR": DANGER,
    "CRITICAL": DANGER,
}

_DAY_MS, _SECOND_MS = 86_400_000, 1000

GAP = 12
PAD = 16
RADIUS = 10
_MONOSPACE = ("Cascadia Mono", "Consolas", "SF Mono", "Menlo", "Ubuntu Mono", "DejaVu Sans Mono")


def fix(appearance: str) -> None:
    """Choose "light" or "dark", or for "auto" once what the system prefers.

    Never CustomTkinter's "system" mode: it asks the system thirty times a second. Nor need it wake
    up as often to see that nobody wants that, or ten times a second whether the screen is another.
    """
    ctk.AppearanceModeTracker.update_loop_interval = _DAY_MS
    ctk.ScalingTracker.update_loop_interval = _DAY_MS if sys.platform == "linux" else _SECOND_MS
    if appearance == "auto":
        appearance = "dark" if darkdetect.isDark() else "light"
    ctk.set_appearance_mode(appearance)


def fix_scale(root: Any, percent: int = 0) -> None:
    """Make everything so large; 0: as the screen asks for.

    CustomTkinter follows the screen by itself everywhere but on Linux.
    """
    CTkBaseClass.grid_remove = _grid_remove
    scale = (percent or screen_percent(root)) / 100
    if not percent and sys.platform != "linux":
        scale = 1.0  # on top of what CustomTkinter does
    ctk.set_widget_scaling(scale)
    ctk.set_window_scaling(scale)


def _grid_remove(widget: Any) -> None:
    """Take a widget off its grid for good: CustomTkinter would put it back with the next scale."""
    widget._last_geometry_manager_call = None
    tkinter.Grid.grid_remove(widget)


def follow(widget: tkinter.Misc, dress: Callable[[], None]) -> None:
    """Dress a widget that is plain Tk, now and whenever colours or sizes change."""
    dress()
    _followers.append((widget, dress))


def dress_again() -> None:
    """Have all who `follow` take the colours and sizes that are in force."""
    _followers[:] = [one for one in _followers if one[0].winfo_exists()]
    for _, dress in _followers:
        dress()


_followers: list[tuple[tkinter.Misc, Callable[[], None]]] = []


def screen_percent(root: Any) -> int:
    """What the screen's dots per inch ask for, from 100 to 300, in steps of 25."""
    percent: int = 25 * round(4 * root.winfo_fpixels("1i") / 96)
    return min(300, max(100, percent))


def font(size: int = 13, weight: str = "normal") -> Any:
    """The window's typeface."""
    return ctk.CTkFont(size=size, weight=weight)


def monospace(widget: tkinter.Misc, size: int = 12) -> tuple[str, int]:
    """A typeface for logs, in pixels of this screen, for widgets that are plain Tk."""
    families = set(tkfont.families(widget))
    default = str(tkfont.nametofont("TkFixedFont", widget).actual("family"))
    family = next((name for name in _MONOSPACE if name in families), default)
    return family, -round(size * ctk.ScalingTracker.get_widget_scaling(widget))


def now(pair: Pair) -> str:
    """The half of a pair that is in force, for widgets that are plain Tk."""
    return pair[ctk.get_appearance_mode() == "Dark"]
