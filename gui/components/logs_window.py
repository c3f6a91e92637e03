"""The log in a window of its own: search, filter, export, clear."""

from collections.abc import Iterable
from pathlib import Path
from tkinter import filedialog
from typing import Any

import customtkinter as ctk

from bot.logs import LogLine
from gui import theme
from gui.components import controls
from gui.components.log_text import LogText
from gui.log_store import LogStore, matches, written

SEARCH_MS = 200
_CHOICES = {"All levels": "DEBUG", "Info": "INFO", "Warnings": "WARNING", "Errors": "ERROR"}


class LogsWindow:
    """Made once and hidden when closed: CustomTkinter forgets little of what it once bound."""

    def __init__(self, root: Any, store: LogStore) -> None:
        self._store = store
        self._later: str | None = None
        self.window = ctk.CTkToplevel(root, fg_color=theme.WINDOW)
        self.window.title("Logs - Discord Personality Bot")
        self.window.geometry("900x560")
        self.window.minsize(640, 320)
        self.window.protocol("WM_DELETE_WINDOW", self.hide)
        self.window.bind("<Escape>", lambda _: self.hide())
        self.window.bind("<Control-f>", lambda _: self.search.focus_set())
        self._build()
        self._place()
        self.bar.bind("<Map>", lambda _: self.refresh())

    def _build(self) -> None:
        self.bar = controls.group(self.window)
        self.search = controls.entry(self.bar, "Search (Ctrl+F)")
        self.search.bind("<KeyRelease>", lambda _: self._refresh_soon())
        self.level = controls.choice(self.bar, list(_CHOICES), lambda _: self.refresh())
        self.follow = controls.switch(self.bar, "Follow", self._toggle_follow)
        self.follow.select()
        self.export = controls.button(self.bar, "Export…", self.ask_and_export)
        self.clear = controls.button(self.bar, "Clear", self.empty, width=70)
        self.log = LogText(self.window, shows_date=True)
        self.status = controls.label(self.window, size=12, color=theme.MUTED)

    def _place(self) -> None:
        self.window.grid_columnconfigure(0, weight=1)
        self.window.grid_rowconfigure(1, weight=1)
        self.bar.grid(row=0, column=0, sticky="ew", padx=theme.PAD, pady=theme.GAP)
        self.bar.grid_columnconfigure(2, weight=1)
        self.search.grid(row=0, column=0)
        self.level.grid(row=0, column=1, padx=theme.GAP)
        self.follow.grid(row=0, column=2, sticky="w")
        self.export.grid(row=0, column=3, padx=8)
        self.clear.grid(row=0, column=4)
        self.log.frame.grid(row=1, column=0, sticky="nsew", padx=theme.PAD)
        self.status.grid(row=2, column=0, sticky="w", padx=theme.PAD, pady=6)

    @property
    def least(self) -> str:
        """The level that is chosen."""
        return _CHOICES[self.level.get()]

    def append(self, lines: Iterable[LogLine]) -> None:
        """Add new lines, where they pass the filter."""
        if self.window.winfo_viewable():
            self.log.append(lines)
            self._count()

    def refresh(self) -> None:
        """Show the remembered lines that pass the filter."""
        self._later = None
        self.log.show_only(self._store.lines, self.search.get(), self.least)
        self._count()

    def raise_(self) -> None:
        """Show the window, or bring it to the front."""
        self.window.deiconify()
        self.window.lift()
        self.search.focus_set()

    def hide(self) -> None:
        """Put the window away."""
        self.window.withdraw()

    def empty(self) -> None:
        """Forget every line."""
        self._store.clear()
        self.refresh()

    def ask_and_export(self) -> None:
        """Ask for a file and write the lines on show to it."""
        name = filedialog.asksaveasfilename(
            parent=self.window, defaultextension=".log", initialfile="discord-personality-bot.log"
        )
        if name:
            self.export_to(Path(name))

    def export_to(self, path: Path) -> None:
        """Write the lines on show to a file, and say how it went."""
        chosen = [
            line for line in self._store.lines if matches(line, self.search.get(), self.least)
        ]
        try:
            path.write_text("".join(f"{written(line)}\n" for line in chosen), encoding="utf-8")
        except OSError as error:
            said = f"Cannot write {path}: {error.strerror}. Choose another folder."
            controls.set_text(self.status, said, theme.DANGER)
            return
        controls.set_text(self.status, f"{len(chosen):,} lines written to {path}", theme.MUTED)

    def _refresh_soon(self) -> None:
        if self._later:
            self.window.after_cancel(self._later)
        self._later = self.window.after(SEARCH_MS, self.refresh)

    def _toggle_follow(self) -> None:
        self.log.follows = bool(self.follow.get())
        if self.log.follows:
            self.log.text.yview_moveto(1.0)

    def _count(self) -> None:
        text = f"{self.log.count:,} of {len(self._store.lines):,} lines"
        controls.set_text(self.status, text, theme.MUTED)
