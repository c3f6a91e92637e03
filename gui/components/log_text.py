"""Log lines in colour: the newest 5,000, each line whole, following the end while one is there."""

import tkinter
from collections import deque
from collections.abc import Iterable
from functools import partial
from typing import Any

import customtkinter as ctk

from bot.logs import LogLine
from gui import keyboard, theme
from gui.components import controls
from gui.log_store import KEEP, LEVELS, matches, moment

_END = 0.999


class LogText:
    """A read-only text. `shows_date` says whether a line's date is written beside its time."""

    def __init__(self, parent: Any, shows_date: bool = False) -> None:
        self.frame = ctk.CTkFrame(parent, fg_color=theme.INSET, corner_radius=8)
        self.follows = True
        self.query, self.least = "", LEVELS[0]
        self._shows_date = shows_date
        self._heights: deque[int] = deque()
        self._was_at_end = True
        self._build()
        self._place()

    def _build(self) -> None:
        self.text = tkinter.Text(
            self.frame,
            wrap="none",
            state="disabled",
            borderwidth=0,
            highlightthickness=2,
            height=4,
            width=20,
        )
        self._down = controls.scroll_bar(self.frame, self.text.yview)
        self._across = controls.scroll_bar(self.frame, self.text.xview, "horizontal")
        self.text.configure(
            yscrollcommand=self._scrolled,
            xscrollcommand=partial(controls.show_where_needed, self._across),
        )
        theme.follow(self.frame, self._dress)
        self.text.tag_raise("sel")
        self.text.bind("<Configure>", lambda _: self._stay_at_end())
        keyboard.pass_focus(self.text)

    def _dress(self) -> None:
        self.text.configure(
            font=theme.monospace(self.frame),
            bg=theme.now(theme.INSET),
            fg=theme.now(theme.TEXT),
            selectbackground=theme.now(theme.ACCENT),
            selectforeground=theme.now(theme.ON_ACCENT),
            highlightbackground=theme.now(theme.INSET),
            highlightcolor=theme.now(theme.TRACK),
        )
        for level, color in theme.LEVELS.items():
            self.text.tag_configure(level, foreground=theme.now(color))
        self.text.tag_configure("dim", foreground=theme.now(theme.MUTED))
        self.text.tag_configure("match", background=theme.now(theme.MATCH))

    def _place(self) -> None:
        self.frame.grid_columnconfigure(0, weight=1)
        self.frame.grid_rowconfigure(0, weight=1)
        self.frame.grid_columnconfigure(1, minsize=12)
        self.frame.grid_rowconfigure(1, minsize=12)
        self.text.grid(row=0, column=0, sticky="nsew", padx=(8, 0), pady=(6, 0))
        self._down.grid(row=0, column=1, sticky="ns", pady=4)
        self._across.grid(row=1, column=0, sticky="ew", padx=4)

    @property
    def is_at_end(self) -> bool:
        """Whether the newest line is in sight, or would be if the view had a size yet."""
        return not self.text.winfo_viewable() or bool(self.text.yview()[1] >= _END)

    @property
    def count(self) -> int:
        """How many entries are on show."""
        return len(self._heights)

    def append(self, lines: Iterable[LogLine]) -> None:
        """Add the lines that pass the filter, and forget the oldest."""
        chosen = [line for line in lines if matches(line, self.query, self.least)][-KEEP:]
        if not chosen:
            return
        goes_along = self.follows and self.is_at_end
        pieces: list[Any] = []
        for line in chosen:
            pieces += self._pieces(line)
            self._heights.append(1 + line.text.count("\n"))
        self.text.configure(state="normal")
        if self.count == len(chosen):
            pieces = pieces[2:]  # the first line needs no line break before it
        self.text.insert("end", *pieces)
        self._trim()
        self.text.configure(state="disabled")
        if goes_along:
            self.text.yview_moveto(1.0)

    def show_only(self, lines: Iterable[LogLine], query: str, least: str) -> None:
        """Start anew with those of `lines` that contain `query` and are at least of a level."""
        self.query, self.least = query, least
        self.clear()
        self.append(lines)
        if self.follows:
            self.text.yview_moveto(1.0)

    def clear(self) -> None:
        """Show nothing."""
        self._heights.clear()
        self.text.configure(state="normal")
        self.text.delete("1.0", "end")
        self.text.configure(state="disabled")

    def _scrolled(self, first: float, last: float) -> None:
        self._was_at_end = float(last) >= _END
        controls.show_where_needed(self._down, first, last)

    def _stay_at_end(self) -> None:
        if self.follows and self._was_at_end:
            self.text.yview_moveto(1.0)

    def _trim(self) -> None:
        surplus = 0
        while len(self._heights) > KEEP:
            surplus += self._heights.popleft()
        if surplus:
            self.text.delete("1.0", f"{surplus + 1}.0")

    def _pieces(self, line: LogLine) -> list[Any]:
        """Text and tags in turn, as `Text.insert` takes them."""
        stamp = moment(line)
        stamp = stamp if self._shows_date else stamp[11:]
        pieces = ["\n", "", f"{stamp} ", "dim", f"{line.level:<7} ", line.level]
        if line.source:
            pieces += self._marked(f"{line.source} ", "dim")
        return [*pieces, *self._marked(line.text, line.level)]

    def _marked(self, text: str, tag: str) -> list[Any]:
        """The same with every occurrence of the query in another colour."""
        needle, low, pieces, at = self.query.lower(), text.lower(), [], 0
        while needle and len(low) == len(text) and (found := low.find(needle, at)) >= 0:
            end = found + len(needle)
            pieces += [text[at:found], tag, text[found:end], (tag, "match")]
            at = end
        return [*pieces, text[at:], tag]
