"""One Tk for the whole session, and a desk with the window, a real bot process and a database."""

import dataclasses
import gc
import os
import sys
import time
import tkinter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bot_controller import BotController, heartbeats
from gui import preferences
from gui.preferences import Preferences
from gui.session import Prepare, Session, Way
from storage import database

BOT = """
import logging, os, sys, threading, time
from pathlib import Path
from bot import logs
from storage import database
logs.setup()
connection, started = database.connect(Path(sys.argv[1])), time.time()
leave = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), leave.set()), daemon=True).start()
logging.info("hello from the bot")
while not leave.wait(0.05):
    beat = database.Heartbeat(os.getpid(), started, time.time(), 1.0, "tiny-model")
    database.beat(connection, "bot", beat)
"""


@pytest.fixture(scope="session")
def tk_root() -> Iterator[Any]:
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        pytest.skip("no display: run under xvfb-run to test the window")
    import customtkinter as ctk

    from gui import theme

    gc.disable()  # as the app does
    theme.fix("light")
    root = ctk.CTk(className="DiscordPersonalityBot")
    yield root
    root.destroy()
    gc.enable()


class Desk:
    """The window at work; every error inside Tk fails the test."""

    def __init__(
        self, root: Any, folder: Path, prepare: Prepare, steps: tuple[str, ...] = ()
    ) -> None:
        from gui.app import App, Start
        from gui.presenter import Presenter

        self.errors: list[BaseException] = []
        way = Way(prepare, steps)
        self.app = App(root, Presenter(way), Start(way, folder))
        self.root, self.window = root, self.app.window
        self.presenter = self.app.presenter
        root.report_callback_exception = lambda kind, error, trace: self.errors.append(error)
        root.deiconify()
        root.update()

    def turn(self) -> None:
        """One beat of the app, and Tk's events."""
        self.window.append(self.presenter.tick(time.time()))
        self.window.show(self.presenter.snapshot(time.time()))
        self.root.update()

    def until(self, is_so: Callable[[], object], seconds: float = 20.0) -> None:
        give_up_at = time.monotonic() + seconds
        while not is_so():
            assert time.monotonic() < give_up_at, self.window.status.word.cget("text")
            self.turn()
            time.sleep(0.01)

    def until_word(self, word: str) -> None:
        self.until(lambda: self.window.status.word.cget("text") == word)

    def click(self, button: Any) -> None:
        """Press and release the mouse over a button, as a person does."""
        canvas = button._canvas
        x, y = canvas.winfo_width() // 2, canvas.winfo_height() // 2
        for event in ("<Enter>", "<ButtonPress-1>", "<ButtonRelease-1>"):
            canvas.event_generate(event, x=x, y=y)
        self.turn()

    def press(self, widget: Any, key: str) -> None:
        """Press a key while a widget has the focus."""
        target = getattr(widget, "_canvas", widget)
        target.focus_force()
        self.root.update()
        target.event_generate(key)
        self.turn()

    def leave(self) -> None:
        self.presenter.close()
        self.presenter.force_stop()
        while not self.presenter.is_quiet:
            self.presenter.tick(time.time())
        self.presenter.end()
        for child in self.root.winfo_children():
            child.destroy()
        self.root.update()
        gc.collect()
        if self.errors:
            raise self.errors[0]


@pytest.fixture
def session(tmp_path: Path) -> Session:
    path = tmp_path / "bot.sqlite3"
    controller = BotController(
        [sys.executable, "-c", BOT, str(path)],
        read_heartbeat=heartbeats(path),
        spawns_path=tmp_path / "spawns.json",
    )
    (tmp_path / "scripts").mkdir()
    return Session(
        env_path=tmp_path / ".env",
        database_path=path,
        data_dir=tmp_path,
        python=sys.executable,
        controller=controller,
        scripts=tmp_path / "scripts",
    )


@pytest.fixture
def two_servers(session: Session, tmp_path: Path) -> Session:
    """The same bot, which lives on a second server, too."""
    folder = tmp_path / "servers" / "2222222"
    folder.mkdir(parents=True)
    second = dataclasses.replace(
        session,
        env_path=folder / ".env",
        database_path=folder / "bot.sqlite3",
        data_dir=folder,
        server_id=2222222,
    )
    return dataclasses.replace(session, server_id=1111111, others=(second,))


@pytest.fixture
def make_desk(tk_root: Any, tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    desks: list[Desk] = []

    def make(prepare: Prepare, steps: tuple[str, ...] = ()) -> Desk:
        preferences.write(tmp_path, Preferences(appearance="light"))
        desks.append(Desk(tk_root, tmp_path, prepare, steps))
        return desks[-1]

    yield make
    for desk in desks:
        desk.leave()


@pytest.fixture
def desk(make_desk: Callable[..., Desk], session: Session) -> Desk:
    made = make_desk(lambda report: session)
    made.until_word("Stopped")
    return made


@pytest.fixture
def settings(session: Session) -> Callable[[], database.Settings]:
    """The settings as another process sees them."""
    return lambda: database.settings(database.connect(session.database_path))


def is_on(button: Any) -> bool:
    return bool(button.cget("state") == "normal")


def texts(widget: tkinter.Misc) -> str:
    """All that a plain Tk text shows."""
    return str(widget.tk.call(str(widget), "get", "1.0", "end-1c"))
