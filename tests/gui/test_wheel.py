"""One turn of the wheel goes one way, whichever Tk says it."""

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("tkinter", exc_type=ImportError)
import tkinter

import customtkinter as ctk

from gui import wheel

OLD, NEW = 8.6, 9.0
WHEEL = ("<Button-4>", "<Button-5>", "<MouseWheel>")


@pytest.fixture
def frame(tk_root: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A tall scrollable frame that is scrolled to its middle, on a root without bindings."""
    monkeypatch.setattr(ctk.CTkScrollableFrame, "_mouse_wheel_all", None)
    before = {event: tk_root.bind_all(event) for event in WHEEL}
    for event in WHEEL:
        tk_root.unbind_all(event)
    top = tkinter.Toplevel(tk_root)
    ctk.CTkScrollableFrame._mouse_wheel_all = lambda *_: None
    made = ctk.CTkScrollableFrame(top, width=200, height=200)
    made.pack()
    for number in range(60):
        ctk.CTkLabel(made, text=f"line {number}").pack()
    top.update()
    made._parent_canvas.yview_moveto(0.4)
    top.update()
    yield made
    top.destroy()
    for event, script in before.items():
        tk_root.unbind_all(event)
        if script:
            tk_root.tk.call("bind", "all", event, script)


def where(frame: Any) -> float:
    frame.update()
    return float(frame._parent_canvas.yview()[0])


def label(frame: Any) -> Any:
    return frame.winfo_children()[30]._label


@pytest.mark.parametrize(
    ("version", "down", "up"),
    [
        (OLD, ("<Button-5>", {}), ("<Button-4>", {})),
        (OLD, ("<MouseWheel>", {"delta": -120}), ("<MouseWheel>", {"delta": 120})),
        (NEW, ("<MouseWheel>", {"delta": -120}), ("<MouseWheel>", {"delta": 120})),
    ],
)
def test_the_wheel_goes_down_and_back_up(
    tk_root: Any, frame: Any, version: float, down: Any, up: Any
) -> None:
    wheel.fix(tk_root, version)
    start = where(frame)
    for _ in range(3):
        label(frame).event_generate(down[0], **down[1])
    lower = where(frame)
    assert lower > start
    for _ in range(3):
        label(frame).event_generate(up[0], **up[1])
    assert where(frame) == pytest.approx(start, abs=0.02)


def test_side_buttons_of_tk_9_scroll_nothing(tk_root: Any, frame: Any) -> None:
    wheel.fix(tk_root, NEW)
    start = where(frame)
    label(frame).event_generate("<Button-5>")
    assert where(frame) == start


def test_a_bare_place_of_the_frame_scrolls_too(tk_root: Any, frame: Any) -> None:
    wheel.fix(tk_root, NEW)
    start = where(frame)
    frame._parent_canvas.event_generate("<MouseWheel>", delta=-240)
    assert where(frame) > start


def test_a_text_inside_keeps_the_wheel_to_itself(tk_root: Any, frame: Any) -> None:
    text = tkinter.Text(frame, height=4)
    text.pack()
    wheel.fix(tk_root, NEW)
    start = where(frame)
    text.event_generate("<MouseWheel>", delta=-120)
    assert where(frame) == pytest.approx(start, abs=0.03)


def test_outside_nothing_moves(tk_root: Any, frame: Any) -> None:
    wheel.fix(tk_root, NEW)
    start = where(frame)
    frame.winfo_toplevel().event_generate("<MouseWheel>", delta=-120)
    assert where(frame) == start


def test_parts_of_a_notch_add_up(tk_root: Any, frame: Any) -> None:
    """A free-spinning wheel says 15 at a time, less than a unit of the canvas."""
    wheel.fix(tk_root, NEW)
    start = where(frame)
    for _ in range(16):
        label(frame).event_generate("<MouseWheel>", delta=-15)
    slow = where(frame)
    frame._parent_canvas.yview_moveto(start)
    vars(frame._parent_canvas).pop("wheel_rests")
    for _ in range(2):
        label(frame).event_generate("<MouseWheel>", delta=-120)
    assert slow == where(frame) > start


def event(delta: int, state: int = 0) -> Any:
    return SimpleNamespace(delta=delta, state=state)


def test_each_system_says_a_notch_its_own_way() -> None:
    assert wheel.notches(event(-120)) == [(False, 40.0)]
    assert wheel.lines(event(-1)) == [(False, 8.0)]
    assert wheel.notches(event(120, wheel.SHIFT)) == [(True, -40.0)]


@pytest.mark.parametrize(("across", "down"), [(0, 7), (3, -9), (-4, 2), (-1, -1), (0, -32768)])
def test_a_touchpad_packs_two_numbers_into_one(across: int, down: int) -> None:
    packed = (across << 16) | (down & 0xFFFF)  # as Tk's own tk::PreciseScrollDeltas unpacks it
    assert wheel.touchpad(event(packed)) == [(True, -across), (False, -down)]
