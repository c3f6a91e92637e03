"""The first run as a person sees it: real widgets, real keys, the sandbox as Discord."""

import io
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bot import config
from gui import theme
from gui.first_run.first_run import FirstRun
from gui.first_run.state import CONNECT, DEMO, Outcome
from model import downloads
from sandbox.server import Sandbox
from tests.gui.guide import BIG, first_run
from tests.loopback import running, small_world


class Desk:
    """The page in a window; an error inside Tk fails the test."""

    def __init__(self, root: Any, run: FirstRun) -> None:
        from gui.components.first_run_window import FirstRunWindow

        self.root, self.run = root, run
        self.outcomes: list[Outcome] = []
        self.errors: list[BaseException] = []
        root.report_callback_exception = lambda kind, error, trace: self.errors.append(error)
        self.window = FirstRunWindow(root, run, self.outcomes.append)
        self.window.frame.grid(row=0, column=0, sticky="nsew")
        root.deiconify()
        self.turn()

    def turn(self) -> None:
        self.window.tick()
        self.root.update()

    def until(self, is_so: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, self.run.view
            self.turn()
            time.sleep(0.01)

    def until_step(self, step: str) -> None:
        self.until(lambda: self.run.view.step == step and not self.run.view.is_busy)
        self.turn()

    def press(self, widget: Any, key: str) -> None:
        target = getattr(widget, "_canvas", getattr(widget, "_entry", widget))
        target.focus_force()
        self.root.update()
        target.event_generate(key)
        self.turn()

    def leave(self) -> None:
        self.run.close()
        for child in self.root.winfo_children():
            child.destroy()
        self.root.unbind("<Return>")
        self.root.unbind("<Escape>")
        self.root.update()
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(small_world(), has_rate_limits=False)) as found:
        yield found


@pytest.fixture
def desk(
    tk_root: Any, sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    model = tmp_path / "model.gguf"
    model.write_bytes(b"GGUF")
    monkeypatch.setattr(downloads, "fetch", lambda *_: model)
    made = Desk(tk_root, first_run(tmp_path, sandbox.api, BIG))
    yield made
    made.leave()


def test_the_keyboard_alone_leads_to_a_working_env(desk: Desk, sandbox: Sandbox) -> None:
    window = desk.window
    desk.press(window.table.tree, "<Return>")
    desk.until_step("token")
    window.field.insert(0, sandbox.world.token)
    desk.press(window.field, "<Return>")
    desk.until_step("channels")
    desk.press(window.table.tree, "<space>")  # leaves the first one out
    desk.press(window.table.tree, "<Return>")
    desk.until_step("permission")
    desk.press(window.table.tree, "<Up>")
    assert window.table.chosen == ("now",)
    desk.press(window.table.tree, "<Return>")
    desk.until_step("model")
    desk.press(window.next, "<space>")
    desk.until(lambda: desk.outcomes)
    assert desk.outcomes[0].kind == CONNECT
    assert len(config.load(desk.outcomes[0].env_path).channel_ids) == 2


def test_escape_goes_back(desk: Desk) -> None:
    desk.press(desk.window.table.tree, "<Return>")
    desk.until_step("token")
    desk.press(desk.window.field, "<Escape>")
    assert desk.run.view.step == "welcome"


def test_a_row_is_picked_by_a_click(desk: Desk) -> None:
    tree = desk.window.table.tree
    box: Any = tree.bbox("demo")
    for event in ("<ButtonPress-1>", "<ButtonRelease-1>"):
        tree.event_generate(event, x=box[0] + 40, y=box[1] + box[3] // 2)
    desk.turn()
    assert desk.window.table.chosen == ("demo",)
    desk.window.go_on()
    desk.until(lambda: desk.outcomes)
    assert desk.outcomes[0].kind == DEMO


def test_a_wrong_answer_is_told_in_red_and_stays_to_be_corrected(desk: Desk) -> None:
    desk.window.go_on()
    desk.until_step("token")
    desk.window.field.insert(0, "hunter2")
    desk.window.go_on()
    desk.turn()
    assert "three parts" in desk.window.error.cget("text")
    assert desk.window.error.cget("text_color") == theme.DANGER
    assert desk.window.field.get() == "hunter2" and desk.window.field.cget("show") == "•"


def test_a_token_is_pasted_by_a_button(desk: Desk) -> None:
    desk.window.go_on()
    desk.until_step("token")
    desk.root.clipboard_clear()
    desk.root.clipboard_append(" a.b.c \n")
    desk.window.paste.invoke()
    assert desk.window.field.get() == "a.b.c"


def test_many_channels_can_be_marked_and_unmarked_at_once(desk: Desk, sandbox: Sandbox) -> None:
    desk.window.go_on()
    desk.until_step("token")
    desk.window.field.insert(0, sandbox.world.token)
    desk.window.go_on()
    desk.until_step("channels")
    table = desk.window.table
    assert len(table.chosen) == 3
    desk.press(table.tree, "<Control-a>")
    assert not table.chosen
    desk.press(table.tree, "<Control-a>")
    assert len(table.chosen) == 3


def test_a_picture_that_is_none_becomes_a_letter() -> None:
    from gui.components.first_run_window import _round

    png = io.BytesIO()
    Image.new("RGB", (64, 64), "#112233").save(png, "PNG")
    drawn = _round(png.getvalue(), "persona")
    assert drawn.getpixel((88, 88)) == (0x11, 0x22, 0x33, 255)
    assert drawn.getchannel("A").getpixel((0, 0)) == 0
    for garbage in (b"", b"garbage", png.getvalue()[:40]):
        assert _round(garbage, "persona").size == drawn.size
    assert _round(b"", "✨").size == drawn.size


def test_the_colours_follow_the_theme_while_a_table_is_on_show(desk: Desk) -> None:
    from tkinter import ttk

    theme.fix("dark")
    desk.turn()
    style = ttk.Style(desk.root)
    assert style.lookup("Marked.Treeview", "background") == theme.CARD[1]
    theme.fix("light")
    desk.turn()
    assert style.lookup("Marked.Treeview", "background") == theme.CARD[0]
