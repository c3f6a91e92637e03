"""The main window: puts the pages together and fills them from one snapshot."""

import dataclasses
import sys
import tkinter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from bot.config import UserError
from bot.logs import LogLine
from data.privacy import STATEMENT
from gui import desktop, keyboard, theme
from gui.components import controls
from gui.components.confirm import Confirm
from gui.components.dropdown import Dropdown
from gui.components.logs_window import LogsWindow
from gui.components.overview import Overview
from gui.components.shortcuts_window import ShortcutsWindow
from gui.components.status_bar import StatusBar
from gui.emoji_probe import shown
from gui.pipeline import Action
from gui.presenter import Presenter
from gui.snapshot import Snapshot

TITLE = "Discord Personality Bot"
OVERVIEW = "Overview"
_ASSETS = Path(__file__).resolve().parent.parent / "assets"


class Page(Protocol):
    """A tab beside the first one; `show` is called with every beat while it is in front."""

    frame: Any

    def show(self) -> None: ...

    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Wishes:
    """What is beyond the window: to end it all, hide, mend what is wrong, settings.

    `look_at` turns to another server, by its place.
    """

    close: Callable[[], None]
    put_away: Callable[[], None]
    mend: Callable[[str], None]
    settings: Callable[[], None]
    look_at: Callable[[int], None]


class MainWindow:
    """Widgets and nothing else: what they show and do is the presenter's.

    `pages` are the other tabs by their titles, each made when it is first looked at.
    """

    def __init__(
        self,
        root: Any,
        presenter: Presenter,
        wishes: Wishes,
        pages: Mapping[str, Callable[[Any], Page]] | None = None,
    ) -> None:
        self.root, self._presenter = root, presenter
        self.logs: LogsWindow | None = None
        self.confirm: Confirm | None = None
        self.servers: Dropdown | None = None
        self.shortcuts: ShortcutsWindow | None = None
        self._shown: Snapshot | None = None
        self._makers, self._wishes = pages or {}, wishes
        self._dress()
        self._build()
        self._place()

    def _dress(self) -> None:
        self.root.title(TITLE)
        self.root.configure(fg_color=theme.WINDOW)
        self.root.geometry("1080x760")
        self.root.minsize(900, 640)
        self.root.protocol("WM_DELETE_WINDOW", self._wishes.put_away)
        for keys, action in {
            ("<Control-q>", "<Control-Q>"): self._wishes.close,
            ("<Control-l>", "<Control-L>"): self.view_logs,
            ("<Control-comma>",): self._wishes.settings,
            ("<F1>",): self.view_shortcuts,
        }.items():
            for key in keys:
                self.root.bind(key, lambda _, action=action: action())
        self._icon = tkinter.PhotoImage(master=self.root, file=_ASSETS / "icon.png")
        self.root.iconphoto(True, self._icon)
        if sys.platform == "win32":  # else CustomTkinter puts its own there
            self.root.iconbitmap(_ASSETS / "icon.ico")
        keyboard.watch(self.root)

    def _build(self) -> None:
        self.status = StatusBar(
            self.root, self._presenter, self.view_logs, self.open_chat, self._wishes.mend
        )
        self.overview = Overview(
            self.root, self._presenter, self.run_step, self.open_folder, self._wishes.settings
        )
        self.pages: dict[str, Page] = {}
        self._front = OVERVIEW
        self.titles = [OVERVIEW, *self._makers]
        self.tabs = controls.choice(self.root, self.titles, self.turn_to)
        for number, title in enumerate(self.titles, start=1):
            self.root.bind(f"<Control-Key-{number}>", lambda _, title=title: self.turn_to(title))

    def _place(self) -> None:
        self.root.grid_columnconfigure(0, weight=1)
        self.root.grid_rowconfigure(2, weight=1)
        gap = theme.GAP
        self.status.frame.grid(row=0, column=0, sticky="ew", padx=gap, pady=gap)
        self.turn_to(OVERVIEW)

    def turn_to(self, title: str) -> None:
        """Bring a page to the front; the others are there once there is a bot."""
        if title != OVERVIEW and not self._has_bot:
            self.tabs.set(OVERVIEW)
            return
        if title != OVERVIEW and title not in self.pages:
            self.pages[title] = self._makers[title](self.root)
        self.tabs.set(title)
        self._front = title
        frames = {name: page.frame for name, page in self.pages.items()}
        for name, frame in {OVERVIEW: self.overview.frame, **frames}.items():
            if name == title:
                gap = theme.GAP
                frame.grid(row=2, column=0, sticky="nsew", padx=gap, pady=(0, gap))
            else:
                frame.grid_remove()
        if title == OVERVIEW and self._shown:
            self.overview.show(self._shown)

    @property
    def _has_bot(self) -> bool:
        return self._shown is not None and self._shown.settings is not None

    def show(self, snapshot: Snapshot) -> None:
        """Fill the window, where anything changed."""
        if self._front != OVERVIEW:
            self.pages[self._front].show()
        if snapshot == self._shown:
            return
        had_bot, self._shown = self._has_bot, snapshot
        self.status.show(snapshot)
        if len(snapshot.servers) > 1:
            self._show_servers([shown(name) for name in snapshot.servers], snapshot.server)
        if self._front == OVERVIEW:
            self.overview.show(snapshot)
        if self._makers and self._has_bot and not had_bot:
            self.tabs.grid(row=1, column=0, sticky="w", padx=theme.GAP, pady=(0, theme.GAP))

    def _show_servers(self, names: Sequence[str], place: int) -> None:
        if self.servers is None:
            box, gap = controls.group(self.root), theme.GAP
            controls.label(box, "Server", color=theme.MUTED).grid(row=0, column=0, padx=(0, 10))
            self.servers = Dropdown(box, self._wishes.look_at)
            self.servers.button.grid(row=0, column=1)
            box.grid(row=1, column=0, sticky="e", padx=gap, pady=(0, gap))
        self.servers.show(names[place], names)

    def settle(self) -> None:
        """Take over what was marked on the pages, and show what is new; drop an open question."""
        if self.confirm:
            self.confirm.close()
        for page in self.pages.values():
            page.show()

    def forget(self, title: str) -> None:
        """Have a page be made anew when it is next looked at, at once if it is in front."""
        if page := self.pages.pop(title, None):
            page.close()
        if self._front == title:
            self.turn_to(title)

    def append(self, lines: Sequence[LogLine]) -> None:
        """Add new log lines."""
        self.overview.append(lines)
        if self.logs:
            self.logs.append(lines)

    def view_logs(self) -> None:
        """Open the logs window."""
        if self.logs is None:
            self.logs = LogsWindow(self.root, self._presenter.log)
        self.logs.raise_()

    def view_shortcuts(self) -> None:
        """Show what the keyboard can do."""
        if self.shortcuts is None:
            self.shortcuts = ShortcutsWindow(self.root)
        self.shortcuts.raise_()

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
