"""CustomTkinter's buttons and sliders within reach of Tab, Space, Return and the arrows.

They are drawn on a canvas of their own, which by itself never gets the focus.
"""

import tkinter
from collections.abc import Callable
from functools import partial
from typing import Any

from gui import theme

# exactly the events that others bound for all: of several, Tk takes only the most specific
_SIGNS = {"<<NextWindow>>": True, "<<PrevWindow>>": True, "<Button-1>": False}
_last_input = {"is_key": False}


def watch(root: tkinter.Misc) -> None:
    """Note whether the focus is moved by Tab: only then it is worth showing."""
    for event, is_key in _SIGNS.items():
        root.bind_all(event, partial(_note, is_key), add="+")


def reach_button(button: Any) -> None:
    """Make a button take the focus, and be pressed by Space and Return."""

    def press(_: object) -> str:
        button.invoke()
        return "break"

    canvas = button._canvas
    canvas.configure(takefocus=1)
    for key in ("<space>", "<Return>", "<KP_Enter>"):
        canvas.bind(key, press)
    resting = button.cget("border_color")
    _ring(canvas, lambda is_on: button.configure(border_color=theme.FOCUS if is_on else resting))


def reach_switch(switch: Any) -> None:
    """Make a switch take the focus, and be turned by Space and Return."""

    def turn(_: object) -> str:
        switch.toggle()
        return "break"

    canvas = switch._canvas
    canvas.configure(takefocus=1)
    for key in ("<space>", "<Return>", "<KP_Enter>"):
        canvas.bind(key, turn)
    resting = switch.cget("button_color")
    _ring(canvas, lambda is_on: switch.configure(button_color=theme.ACCENT if is_on else resting))


def reach_slider(slider: Any, step: float, changed: Callable[[float], None]) -> None:
    """Make a slider take the focus and follow the arrows, and deaf to the mouse wheel."""

    def move_to(value: float) -> str:
        if slider.cget("state") == "normal":
            slider.set(value)
            changed(slider.get())
        return "break"

    def move_by(steps: int) -> Callable[[object], str]:
        return lambda _: move_to(slider.get() + steps * step)

    canvas = slider._canvas
    canvas.configure(takefocus=1)
    for key, steps in {
        "Left": -1,
        "Down": -1,
        "Right": 1,
        "Up": 1,
        "Prior": 10,
        "Next": -10,
    }.items():
        canvas.bind(f"<{key}>", move_by(steps))
    canvas.bind("<Home>", lambda _: move_to(slider.cget("from_")))
    canvas.bind("<End>", lambda _: move_to(slider.cget("to")))
    for wheel in ("<MouseWheel>", "<Button-4>", "<Button-5>"):
        canvas.unbind(wheel)  # who scrolls past it does not mean to change it
    resting = slider.cget("button_color")
    _ring(canvas, lambda is_on: slider.configure(button_color=theme.FOCUS if is_on else resting))


def pass_focus(text: tkinter.Text) -> None:
    """Let Tab leave a text that is only read."""

    def go(widget: tkinter.Misc | None) -> str:
        if widget:
            widget.focus_set()
        return "break"

    text.bind("<Tab>", lambda _: go(text.tk_focusNext()))
    for key in ("<Shift-Tab>", "<ISO_Left_Tab>"):
        try:
            text.bind(key, lambda _: go(text.tk_focusPrev()))
        except tkinter.TclError:
            continue  # a key that only X11 knows


def _note(is_key: bool, _: object) -> None:
    _last_input["is_key"] = is_key


def _ring(canvas: tkinter.Canvas, show: Callable[[bool], None]) -> None:
    canvas.bind("<FocusIn>", lambda _: show(_last_input["is_key"]), add="+")
    canvas.bind("<FocusOut>", lambda _: show(False), add="+")
