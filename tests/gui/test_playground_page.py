"""The playground's page: real widgets, a scripted process."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gui.playground.talk import Playground
from tests.gui.conftest import is_on, texts
from tests.gui.test_playground import GIGABYTE, SCRIPT


class Desk:
    """The page in a window; every error inside Tk fails the test."""

    def __init__(self, root: Any, playground: Playground) -> None:
        from gui.components.playground_page import PlaygroundPage

        self.errors: list[BaseException] = []
        root.report_callback_exception = lambda kind, error, trace: self.errors.append(error)
        root.deiconify()
        root.geometry("1080x700")
        root.grid_columnconfigure(0, weight=1)
        root.grid_rowconfigure(0, weight=1)
        self.root, self.playground = root, playground
        self.page = PlaygroundPage(root, self.playground)
        self.page.frame.grid(row=0, column=0, sticky="nsew")
        self.turn()

    def turn(self) -> None:
        self.playground.tick(time.time())
        self.page.show()
        self.root.update()

    def until(self, is_so: Callable[[], object]) -> None:
        give_up_at = time.monotonic() + 20
        while not is_so():
            assert time.monotonic() < give_up_at, self.page.note.cget("text")
            self.turn()
            time.sleep(0.005)
        self.turn()

    def write(self, text: str) -> None:
        """Write a message and press Return."""
        field = self.page.message._entry
        field.focus_force()
        self.root.update()
        field.insert(0, text)
        field.event_generate("<Return>")
        self.turn()

    def hear(self, text: str) -> None:
        self.write(text)
        self.until(lambda: not self.playground.is_busy)

    def compare(self, *names: str) -> None:
        self.playground.choose(*names)
        self.turn()

    @property
    def columns(self) -> list[str]:
        return [texts(transcript.text) for transcript in self.page.transcripts]

    def leave(self) -> None:
        self.playground.close()
        for child in self.root.winfo_children():
            child.destroy()
        for weight in (self.root.grid_columnconfigure, self.root.grid_rowconfigure):
            weight(0, weight=0)
        self.root.update()
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def make(tk_root: Any) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def open_one(free: int = 16 * GIGABYTE, script: str = SCRIPT, env: Path | None = None) -> Desk:
        command = None if env else [sys.executable, "-c", script]
        playground = Playground(env, command, lambda: free)
        desks.append(Desk(tk_root, playground))
        return desks[-1]

    yield open_one
    for desk in desks:
        desk.leave()


@pytest.fixture
def desk(make: Callable[..., Desk]) -> Desk:
    opened = make()
    opened.until(lambda: opened.playground.models)
    return opened


def test_a_message_and_its_reply_are_shown(desk: Desk) -> None:
    assert "Say something" in desk.columns[0]
    desk.page.name.insert(0, "amber")
    desk.hear("hello")
    lines = desk.columns[0].splitlines()
    assert lines[:4] == ["amber", "hello", "ours", "ours heard hello"]
    assert "9.5 tokens/s" in lines[4]
    assert desk.page.message.get() == ""


def test_what_was_drawn_is_not_drawn_twice(desk: Desk) -> None:
    for text in ("one", "two", "three"):
        desk.hear(text)
    shown = desk.columns[0]
    assert [shown.count(f"ours heard {text}") for text in ("one", "two", "three")] == [1, 1, 1]
    desk.page.clear.invoke()
    desk.turn()
    desk.hear("four")
    assert desk.columns[0].splitlines()[:2] == ["you", "four"]


def test_two_models_stand_side_by_side(desk: Desk) -> None:
    assert not desk.page.transcripts[1].frame.winfo_ismapped()
    desk.compare("ours", "base")
    desk.hear("hello")
    left, right = desk.columns
    assert "ours heard hello" in left and "base heard hello" in right
    assert desk.page.transcripts[1].frame.winfo_ismapped()
    desk.compare("ours")
    assert not desk.page.transcripts[1].frame.winfo_ismapped()


def test_blind_nothing_tells_which_is_which(desk: Desk) -> None:
    desk.compare("ours", "base")
    desk.page.blind.toggle()
    desk.turn()
    desk.hear("hello")
    for column in desk.columns:
        told = column.replace("ours heard", "").replace("base heard", "")  # what they say
        assert "ours" not in told and "base" not in told
        assert "tokens" not in column and "seed" not in column
    assert "0 picked so far" in desk.page.tally.cget("text")
    desk.page.judges[0].invoke()
    desk.until(lambda: desk.playground.picks)
    assert not is_on(desk.page.judges[0])
    assert "picked" in desk.columns[0]
    assert "ours" not in desk.page.tally.cget("text")
    desk.page.blind.toggle()
    desk.turn()
    assert "the last for" in desk.page.tally.cget("text")
    assert "tokens" in desk.columns[0]


def test_blind_the_pace_does_not_show(desk: Desk) -> None:
    desk.compare("ours", "base")
    desk.page.blind.toggle()
    desk.write("hold")
    desk.until(lambda: any(reply.text for reply in desk.playground.exchanges[0].replies))
    assert all("half" not in column and "writing" in column for column in desk.columns)


def test_a_reply_can_be_stopped_by_the_keyboard(desk: Desk) -> None:
    desk.write("hold")
    desk.until(lambda: "half" in desk.columns[0])
    assert is_on(desk.page.stop) and not is_on(desk.page.send_button)
    desk.page.message._entry.event_generate("<Escape>")
    desk.until(lambda: not desk.playground.is_busy)
    assert "stopped" in desk.columns[0]


def test_a_tight_memory_asks_first(make: Callable[..., Desk]) -> None:
    desk = make(free=2 * GIGABYTE)
    desk.until(lambda: desk.playground.models)
    desk.write("hello")
    assert not desk.playground.exchanges
    assert desk.page.confirm
    assert "100 % of the 2.0 GB" in desk.page.confirm.text.cget("text")
    desk.page.confirm.yes.invoke()
    desk.until(lambda: "ours heard hello" in desk.columns[0])


def test_a_seed_that_is_none_is_refused(desk: Desk) -> None:
    desk.page.seed.insert(0, "many")
    desk.write("hello")
    assert "whole number" in desk.page.note.cget("text")
    assert not desk.playground.exchanges
    desk.page.seed.delete(0, "end")
    desk.page.seed.insert(0, "7")
    desk.page.send()
    desk.until(lambda: desk.playground.exchanges and not desk.playground.is_busy)
    assert "seed 7" in desk.columns[0]


def test_the_prompt_opens_in_a_window(desk: Desk) -> None:
    assert not is_on(desk.page.show_prompt)
    desk.compare("ours", "base")
    desk.hear("hello")
    desk.page.show_prompt.invoke()
    window = desk.page.prompt
    assert window
    desk.until(lambda: "/ours" in texts(window.text))
    assert window.head.cget("text") == "ours"
    window.other.invoke()
    assert window.head.cget("text") == "base"


def test_models_are_chosen_from_menus(desk: Desk) -> None:
    names = [desk.page.model, desk.page.against]
    assert "ours" in names[0].button.cget("text")
    desk.page._choose_other(2)
    assert [model.name for model in desk.playground.chosen] == ["ours", "base"]
    desk.page._choose(1)
    assert [model.name for model in desk.playground.chosen] == ["base", "ours"]
    desk.turn()
    assert "base" in names[0].button.cget("text")
    desk.page._choose_other(0)
    assert [model.name for model in desk.playground.chosen] == ["base"]


def test_a_problem_is_told(make: Callable[..., Desk]) -> None:
    desk = make(script="raise SystemExit(9)")
    desk.until(lambda: "exit code 9" in desk.page.note.cget("text"))
    assert not is_on(desk.page.send_button)


def test_a_reader_who_scrolled_back_is_left_alone(desk: Desk) -> None:
    for _ in range(4):
        desk.hear("word " * 300)
    text = desk.page.transcripts[0].text
    desk.until(lambda: text.yview()[1] >= 0.999)
    desk.page.transcripts[0]._dragged("moveto", "0.0")
    desk.playground.exchanges[-1].replies[0].seconds = 3.0
    desk.playground.version += 1
    desk.turn()
    assert text.yview()[0] == 0.0


def test_the_real_process_answers(
    make: Callable[..., Desk], tmp_path: Path, small_model: Path
) -> None:
    env = tmp_path / ".env"
    env.write_text(f"DATA_DIR={tmp_path}\nMODELS_DIR={tmp_path}\nMODEL_PATH={small_model}\n")
    desk = make(env=env)
    desk.until(lambda: desk.playground.is_ready)
    desk.write("say hi")
    desk.until(lambda: "tokens/s" in desk.columns[0])
    assert small_model.stem in desk.columns[0]
