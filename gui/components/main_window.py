"""The main window: puts the cards together and fills them from one snapshot."""

import sys
import tkinter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bot.config import UserError
from bot.logs import LogLine
from data.privacy import STATEMENT
from gui import desktop, keyboard, theme
from gui.components import controls
from gui.components.confirm import Confirm
from gui.components.log_text import LogText
from gui.components.logs_window import LogsWindow
from gui.components.quick_actions import QuickActions
from gui.components.setup_card import SetupCard
from gui.components.statistics import Statistics
from gui.components.status_bar import StatusBar
from gui.components.tuning import Tuning
from gui.pipeline import Action
from gui.presenter import Presenter
from gui.snapshot import Snapshot

TITLE = "Discord Personality Bot"
LEFT_WIDTH = 350
_ASSETS = Path(__file__).resolve().parent.parent / "assets"


class MainWindow:
    """Widgets and nothing else: what they show and do is the presenter's."""

    def __init__(self, root: Any, presenter: Presenter, close: Callable[[], None]) -> None:
        self.root, self._presenter = root, presenter
        self.logs: LogsWindow | None = None
        self.confirm: Confirm | None = None
        self._shown: Snapshot | None = None
        self._dress(close)
        self._build()
        self._place()

    def _dress(self, close: Callable[[], None]) -> None:
        self.root.title(TITLE)
        self.root.configure(fg_color=theme.WINDOW)
        self.root.geometry("1080x760")
        self.root.minsize(900, 640)
        self.root.protocol("WM_DELETE_WINDOW", close)
        for key in ("<Control-q>", "<Control-Q>"):
            self.root.bind(key, lambda _: close())
        self._icon = tkinter.PhotoImage(master=self.root, file=_ASSETS / "icon.png")
        self.root.iconphoto(True, self._icon)
        if sys.platform == "win32":  # else CustomTkinter puts its own there
            self.root.iconbitmap(_ASSETS / "icon.ico")
        keyboard.watch(self.root)

    def _build(self) -> None:
        presenter = self._presenter
        self.status = StatusBar(self.root, presenter, self.view_logs, self.open_chat)
        self.tuning = Tuning(self.root, presenter.change)
        self.actions = QuickActions(
            self.root, self.run_step, presenter.cancel_step, self.open_folder
        )
        self.statistics = Statistics(self.root)
        self.setup = SetupCard(self.root)
        self.log_card = controls.card(self.root)
        self.log = LogText(self.log_card)

    def _place(self) -> None:
        self.root.grid_columnconfigure(0, minsize=LEFT_WIDTH)
        self.root.grid_columnconfigure(1, weight=1)
        self.root.grid_rowconfigure(3, weight=1)
        gap = theme.GAP
        self.status.frame.grid(row=0, column=0, columnspan=2, sticky="ew", padx=gap, pady=gap)
        self.tuning.frame.grid(row=1, column=0, sticky="nsew", padx=(gap, 0))
        self.statistics.frame.grid(row=1, column=1, sticky="nsew", padx=gap)
        self.actions.frame.grid(row=2, column=0, rowspan=2, sticky="nsew", padx=(gap, 0), pady=gap)
        self.log_card.grid(row=2, column=1, rowspan=2, sticky="nsew", padx=gap, pady=gap)
        self.log_card.grid_columnconfigure(0, weight=1)
        self.log_card.grid_rowconfigure(1, weight=1)
        heading = controls.heading(self.log_card, "Log")
        heading.grid(row=0, column=0, sticky="w", padx=theme.PAD, pady=(12, 6))
        self.log.frame.grid(row=1, column=0, sticky="nsew", padx=gap, pady=(0, gap))

    def show(self, snapshot: Snapshot) -> None:
        """Fill the window, where anything changed."""
        if snapshot == self._shown:
            return
        self._shown = snapshot
        self.status.show(snapshot)
        self.tuning.show(snapshot)
        self.statistics.show(snapshot)
        self.actions.show(snapshot)
        if snapshot.setup:
            self.setup.show(snapshot.setup)
            self.setup.frame.grid(row=1, column=1, sticky="nsew", padx=theme.GAP)
            self.statistics.frame.grid_remove()
        else:
            self.setup.frame.grid_remove()
            self.statistics.frame.grid()

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add new log lines."""
        self.log.append(lines)
        if self.logs:
            self.logs.append(lines)

    def view_logs(self) -> None:
        """Open the logs window."""
        if self.logs is None:
            self.logs = LogsWindow(self.root, self._presenter.log)
        self.logs.raise_()

    def run_step(self, action: Action) -> None:
        """Run a step, after the question that comes before the first fetch."""
        if not self._presenter.needs_permission(action):
            self._presenter.run_step(action)
            return
        text = (
            "Before the first message is copied, please confirm:\n\n"
            f"“{STATEMENT}”\n\nYour answer is stored with its date."
        )
        self.confirm = Confirm(
            self.root,
            "May these messages be used?",
            text,
            "I confirm",
            lambda: self._presenter.run_step(action, is_permitted=True),
        )

    def open_folder(self) -> None:
        """Show the data folder."""
        if session := self._presenter.session:
            self._try(lambda: desktop.open_folder(session.data_dir))

    def open_chat(self) -> None:
        """Show the page on which one can talk to the bot."""
        if self._shown and (url := self._shown.chat_url):
            self._try(lambda: desktop.open_page(url))

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except UserError as error:
            self._presenter.say("ERROR", str(error))
