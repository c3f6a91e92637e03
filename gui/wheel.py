"""The mouse wheel over CustomTkinter's scrollable frames, on Tk 8.6 and on Tk 9.

Tk 8.6 sends buttons 4 and 5 on X11, ±120 a notch on Windows and ±1 a line on macOS. Tk 9 sends
±120 everywhere, no buttons, and `<TouchpadScroll>` for touchpads; CustomTkinter 6 does not know
it yet. Tk's own widgets (Text, Treeview) bring bindings that fit the Tk they come with.
"""

import contextlib
import tkinter
from collections.abc import Callable
from functools import partial
from typing import Any

import customtkinter as ctk

NOTCH = 120
PIXELS_A_NOTCH = 40.0
PIXELS_A_LINE = 8.0
SHIFT = 0x1

Moves = list[tuple[bool, float]]  # whether sideways, and how many pixels


def fix(root: tkinter.Misc, version: float = tkinter.TkVersion) -> None:
    """Make the wheel work. Call it once, before the first scrollable frame is made."""
    ctk.CTkScrollableFrame._mouse_wheel_all = lambda frame, event: None  # ours does it
    is_mac = version < 9 and root.tk.call("tk", "windowingsystem") == "aqua"
    bindings: dict[str, Callable[[Any], Moves]] = {
        "<Button-4>": lambda event: _turn(event, 1, PIXELS_A_NOTCH),
        "<Button-5>": lambda event: _turn(event, -1, PIXELS_A_NOTCH),
        "<MouseWheel>": lines if is_mac else notches,
        "<TouchpadScroll>": touchpad,
    }
    for event, moves in bindings.items():
        if event.startswith("<Button") and version >= 9:
            continue  # these are the side buttons of a mouse now
        with contextlib.suppress(tkinter.TclError):  # Tk 8.6 knows no touchpads
            root.bind_all(event, partial(_scroll, moves), add="+")


def notches(event: Any) -> Moves:
    """How far to go for a wheel that says ±120."""
    return _turn(event, event.delta / NOTCH, PIXELS_A_NOTCH)


def lines(event: Any) -> Moves:
    """How far to go for a wheel that says ±1, and more the faster it turns."""
    return _turn(event, event.delta, PIXELS_A_LINE)


def touchpad(event: Any) -> Moves:
    """How far to go for two signed 16-bit numbers of pixels, packed into one."""
    across, down = event.delta >> 16, event.delta & 0xFFFF
    down = down if down < 0x8000 else down - 0x10000
    return [(True, -float(across)), (False, -float(down))]


def _turn(event: Any, count: float, pixels: float) -> Moves:
    return [(bool(event.state & SHIFT), -count * pixels)]


def _scroll(moves: Callable[[Any], Moves], event: Any) -> None:
    canvas = _canvas_around(event.widget)
    if canvas is None:
        return
    for is_sideways, pixels in moves(event):
        view = canvas.xview() if is_sideways else canvas.yview()
        if view != (0.0, 1.0):  # else all of it is in sight
            _move(canvas, is_sideways, pixels)


def _move(canvas: Any, is_sideways: bool, pixels: float) -> None:
    """Go by whole units of the canvas, and keep what is less than one for the next time."""
    unit = float(canvas.cget("xscrollincrement" if is_sideways else "yscrollincrement") or 1)
    rests = vars(canvas).setdefault("wheel_rests", {True: 0.0, False: 0.0})
    units = int((rests[is_sideways] + pixels) / unit)
    rests[is_sideways] += pixels - units * unit
    scroll = canvas.xview_scroll if is_sideways else canvas.yview_scroll
    scroll(units, "units")


def _canvas_around(widget: Any) -> Any:
    """The canvas of the scrollable frame that a widget stands in, None where there is none."""
    if isinstance(widget, tkinter.Canvas):  # its own, where the frame does not fill it
        frames = (child for child in widget.winfo_children() if _is_scrollable(child))
        if next(frames, None):
            return widget
    # a text goes its own way; a str is a widget that Tk made for itself
    while widget is not None and not isinstance(widget, (str, tkinter.Text)):
        if _is_scrollable(widget):
            return widget._parent_canvas
        widget = getattr(widget, "master", None)
    return None


def _is_scrollable(widget: Any) -> bool:
    return isinstance(widget, ctk.CTkScrollableFrame)
