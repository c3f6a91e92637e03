"""The people whose messages are never learned from, and how to add or take off one."""

import re
import time
from typing import Any

from gui import theme
from gui.components import controls
from gui.components.confirm import Confirm
from gui.components.table import Row, Table
from gui.presenter import Presenter

_COLUMNS, _WIDTHS = ("Excluded people", "Since", "Reason"), (190, 100, 180)
_QUESTION = (
    "Everything stored of {} is erased from this computer, backups included. This cannot be "
    "undone. Models that learned from them keep what they learned until they are trained anew."
)


class ExclusionList:
    """Ids only: whoever is on the list has no name here any more."""

    def __init__(self, parent: Any, presenter: Presenter) -> None:
        self._presenter, self._parent = presenter, parent
        self._shown: list[Row] | None = None
        self.confirm: Confirm | None = None
        self.frame = controls.group(parent)
        self.table = Table(self.frame, lambda: None, sum(_WIDTHS))
        self.entry = controls.entry(self.frame, "User id")
        self.add = controls.button(self.frame, "Exclude and erase", self.exclude, "danger")
        self.take_off = controls.button(self.frame, "Let in again", self.include)
        self.note = controls.label(self.frame, size=12, color=theme.MUTED)
        self.note.configure(wraplength=sum(_WIDTHS), justify="left")
        self.table.frame.grid(row=0, column=0, columnspan=3, sticky="w")
        self.entry.grid(row=1, column=0, sticky="w", pady=8)
        self.add.grid(row=1, column=1, padx=8)
        self.take_off.grid(row=1, column=2)
        self.note.grid(row=2, column=0, columnspan=3, sticky="w")

    def show(self) -> None:
        """Fill the list anew, where it changed."""
        rows: list[Row] = [
            (str(one.user_id), (str(one.user_id), _day(one.excluded_at), one.reason))
            for one in self._presenter.exclusions()
        ]
        if rows == self._shown:
            self.table.refresh()
            return
        self._shown = rows
        self.table.show(_COLUMNS, _WIDTHS, rows, (), takes_many=True)
        if not rows:
            controls.set_text(self.note, "Nobody is excluded.")

    def exclude(self) -> None:
        """Ask, and then have the person of the id erased."""
        text = self.entry.get().strip()
        if not re.fullmatch("[0-9]{5,20}", text):
            self._say("Give a user id: right-click the person in Discord > Copy User ID.", True)
            return
        if not self._presenter.can_run_steps:
            self._say("Another step is running. Wait for it, or cancel it.", True)
            return
        self.confirm = Confirm(
            self.frame.winfo_toplevel(),
            "Exclude and erase?",
            _QUESTION.format(text),
            "Erase",
            lambda: self._exclude(text),
        )

    def _exclude(self, text: str) -> None:
        self._presenter.exclude(int(text))
        self.entry.delete(0, "end")
        self._say("Erasing. The progress panel of the main window says when it is done.")

    def include(self) -> None:
        """Take the marked people off the list."""
        for key in self.table.chosen:
            self._presenter.include(int(key))
        if self.table.chosen:
            self._say("What they write from now on is learned from; the past comes with a fetch.")
        else:
            self._say("Mark somebody in the list first.", True)
        self.show()

    def _say(self, text: str, is_problem: bool = False) -> None:
        controls.set_text(self.note, text, theme.DANGER if is_problem else theme.MUTED)


def _day(seconds: float) -> str:
    return time.strftime("%Y-%m-%d", time.localtime(seconds))
