"""The servers that the bot lives on, and how to add another one."""

import re
from typing import Any

from gui import theme
from gui.components import controls
from gui.emoji_probe import shown
from gui.presenter import Presenter


class ServerList:
    """Which servers there are, a field for an id, and what came of adding it."""

    def __init__(self, parent: Any, presenter: Presenter) -> None:
        self._presenter = presenter
        self._is_adding = False
        self.frame = controls.group(parent)
        self.names = controls.label(self.frame, size=12, color=theme.MUTED)
        self.entry = controls.entry(self.frame, "Server id")
        self.add = controls.button(self.frame, "Add another server", self.ask)
        self.note = controls.label(self.frame, size=12, color=theme.MUTED)
        for line in (self.names, self.note):
            line.configure(wraplength=460, justify="left")
        self.frame.grid_columnconfigure(2, weight=1)
        self.names.grid(row=0, column=0, columnspan=3, sticky="w")
        self.entry.grid(row=1, column=0, pady=8)
        self.add.grid(row=1, column=1, padx=8)
        self.note.grid(row=2, column=0, columnspan=3, sticky="w")

    def show(self) -> None:
        """Name the servers, and say how an addition ended."""
        servers = self._presenter.servers()
        names = ", ".join(f"{shown(name)} ({server_id})" for server_id, name in servers)
        where = f"lives on {names}:" if len(servers) > 1 else "can live on further servers, too,"
        own = "each with settings, data and a model of its own."
        controls.set_text(self.names, f"The bot {where} {own}")
        if self._is_adding and not self._presenter.pipeline.is_running:
            self._is_adding = False
            view = self._presenter.pipeline.view
            restart = "Restart the bot to have it there. " if view.is_done else ""
            self._say(f"{restart}{shown(view.last_line) or view.title}", not view.is_done)

    def ask(self) -> None:
        """Have the server of the id added."""
        text = self.entry.get().strip()
        if not re.fullmatch("[0-9]{5,20}", text):
            self._say("Give a server id: right-click it in Discord > Copy Server ID.", True)
        elif not self._presenter.can_run_steps:
            self._say("Another step is running. Wait for it, or cancel it.", True)
        else:
            self._presenter.add_server(int(text))
            self._is_adding = True
            self.entry.delete(0, "end")
            self._say("Asking Discord for it \u2026")

    def _say(self, text: str, is_problem: bool = False) -> None:
        controls.set_text(self.note, text, theme.DANGER if is_problem else theme.MUTED)
