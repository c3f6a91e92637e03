"""The settings: sections at the left, fields at the right, nothing kept before Save."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import customtkinter as ctk

from bot.config import UserError
from gui import theme
from gui.components import controls
from gui.components.confirm import Confirm
from gui.components.exclusion_list import ExclusionList
from gui.components.server_list import ServerList
from gui.components.settings_row import Row
from gui.emoji_probe import shown
from gui.preferences import Preferences
from gui.presenter import Presenter
from gui.settings_fields import SECTIONS
from gui.settings_form import Form, Refused, needs_restart

DISCORD, PRIVACY, ADVANCED = "Discord", "Data and privacy", "Advanced"
CHECK_MS = 400  # after the last key
REFRESH_MS = 1000


class SettingsWindow:
    """Made once and hidden when closed; `keep` gets the launcher's own settings after Save."""

    def __init__(
        self, root: Any, form: Form, presenter: Presenter, keep: Callable[[Preferences], None]
    ) -> None:
        self._form, self._presenter, self._keep = form, presenter, keep
        self._before: dict[str, str] = {}
        self._timer = self._refreshes = ""
        self.section = ""
        self.rows: dict[str, Row] = {}
        self.bodies: dict[str, Any] = {}
        self.buttons: dict[str, Any] = {}
        self.people: ExclusionList | None = None
        self.servers: ServerList | None = None
        self.confirm: Confirm | None = None
        self.window = ctk.CTkToplevel(root, fg_color=theme.WINDOW)
        self.window.geometry("780x600")
        self.window.minsize(640, 420)
        self.window.protocol("WM_DELETE_WINDOW", self.close)
        self._build()
        self._bind()

    def _build(self) -> None:
        self.window.grid_columnconfigure(1, weight=1)
        self.window.grid_rowconfigure(0, weight=1)
        side = controls.group(self.window)
        side.grid(row=0, column=0, sticky="ns", padx=theme.GAP, pady=theme.GAP)
        self.sections = {
            title: controls.button(side, title, partial(self.turn_to, title), width=150)
            for title in SECTIONS
        }
        for button in self.sections.values():
            button.configure(anchor="w")
            button.grid(sticky="ew", pady=2)
        bar = controls.group(self.window)
        bar.grid(row=1, column=0, columnspan=2, sticky="ew", padx=theme.GAP, pady=(0, theme.GAP))
        bar.grid_columnconfigure(0, weight=1)
        self.note = controls.label(bar, size=12, color=theme.MUTED)
        self.note.configure(wraplength=380, justify="left")
        self.note.grid(row=0, column=0, sticky="w")
        self.restart = controls.button(bar, "Restart the bot", self._restart)
        self.cancel = controls.button(bar, "Cancel", self.close)
        self.cancel.grid(row=0, column=2, padx=8)
        self.save_button = controls.button(bar, "Save", self.save, "main")
        self.save_button.grid(row=0, column=3)

    def _bind(self) -> None:
        for key in ("<Control-s>", "<Control-S>"):
            self.window.bind(key, lambda _: self.save())
        self.window.bind("<Escape>", lambda _: self.close())
        self.window.bind("<Control-Tab>", lambda _: self._step(1))
        for key in ("<Control-Shift-Tab>", "<Control-ISO_Left_Tab>"):
            if key != "<Control-ISO_Left_Tab>" or self.window._windowingsystem == "x11":
                self.window.bind(key, lambda _: self._step(-1))
        for button in self.sections.values():
            button._canvas.bind("<Down>", lambda _: self._step(1))
            button._canvas.bind("<Up>", lambda _: self._step(-1))

    def raise_(self, section: str = "") -> None:
        """Show what is kept now, unless something is being edited, and come to the front."""
        if not self.window.winfo_viewable() or not self._before:
            self._before = self._form.load()
            for row in self.rows.values():
                row.show(self._before[row.field.name])
                row.show_problem("")
            self._say("")
            self.restart.grid_remove()
        self.window.title(_title(self._presenter.servers(), self._presenter.place))
        self.turn_to(section or self.section or next(iter(SECTIONS)))
        self.window.deiconify()
        self.window.lift()
        self.window.focus_set()
        self._refresh()

    def point_at(self, name: str) -> None:
        """Come to the front with one setting, and say what is wrong with it."""
        self.raise_(_section_of(name))
        self._check(name)
        self.rows[name].focus()
        self._say("Correct this, save it, and start the bot again.")

    def turn_to(self, title: str) -> None:
        """Show a section; its widgets are made when it is first looked at."""
        if title not in self.bodies:
            self.bodies[title] = self._make(title)
        self.section = title
        for name, button in self.sections.items():
            button.configure(fg_color=theme.CHOSEN if name == title else theme.PLAIN)
        for name, body in self.bodies.items():
            if name == title:
                body.grid(row=0, column=1, sticky="nsew", padx=(0, theme.GAP), pady=theme.GAP)
            else:
                body.grid_remove()
        self._show_lists()

    @property
    def changes(self) -> dict[str, str]:
        """What differs from what is kept."""
        values = {name: row.value for name, row in self.rows.items()}
        return {name: text for name, text in values.items() if text != self._before.get(name)}

    def save(self) -> None:
        """Keep what was changed, or say under the fields why not."""
        changes = self.changes
        try:
            kept = self._form.save(changes)
        except Refused as refused:
            self._show_problems(refused.problems)
            return
        except UserError as error:
            self._say(str(error), theme.DANGER)
            return
        for row in self.rows.values():
            row.show_problem("")
        self._before.update(changes)
        self._keep(kept)
        if needs_restart(changes) and self._presenter.is_bot_up:
            self._say("Saved. The bot follows when it is started anew.")
            self.restart.grid(row=0, column=1)
        else:
            self._say("Saved." if changes else "Nothing was changed.")

    def look_at(self, form: Form) -> None:
        """Show another server's settings from now on."""
        self._form = form
        if self.people and self.people.confirm:
            self.people.confirm.close()

    def close(self) -> bool:
        """Hide, after a question where something would be lost; whether it is hidden."""
        if not self._before or not self.changes:
            self._hide()
            return True
        self.confirm = Confirm(
            self.window,
            "Leave without saving?",
            "What you changed is not kept yet.",
            "Leave",
            self._hide,
        )
        return False

    def _hide(self) -> None:
        self._before = {}
        self.window.withdraw()

    def _show_problems(self, problems: dict[str, str]) -> None:
        for name, row in self.rows.items():
            row.show_problem(problems.get(name, ""))
        first = next(iter(problems))
        self.turn_to(_section_of(first))
        self.rows[first].focus()
        self._say("Nothing was saved: something is wrong in a field.", theme.DANGER)

    def _make(self, title: str) -> Any:
        body = controls.scroll_frame(self.window)
        controls.label(body, title, 16, weight="bold").grid(sticky="w", padx=14, pady=(8, 12))
        for field in SECTIONS[title]:
            row = self.rows[field.name] = Row(body, field, self._typed)
            row.show(self._before[field.name])
            row.frame.grid(sticky="w", padx=14, pady=(0, 14))
        if title == DISCORD:
            self.servers = ServerList(body, self._presenter)
            self.servers.frame.grid(sticky="w", padx=14, pady=(0, 14))
        elif title == PRIVACY:
            self._add_care(body)
        elif title == ADVANCED:
            pack = partial(self._start, self._presenter.pack_diagnostics)
            self._add_button(body, "Pack diagnostics", pack)
        return body

    def _add_care(self, body: Any) -> None:
        self._add_button(body, "Back up now", partial(self._start, self._presenter.back_up))
        self.people = ExclusionList(body, self._presenter)
        self.people.frame.grid(sticky="w", padx=14, pady=(0, 14))

    def _add_button(self, body: Any, text: str, command: Callable[[], object]) -> None:
        self.buttons[text] = controls.button(body, text, command, width=140)
        self.buttons[text].grid(sticky="w", padx=14, pady=(0, 14))

    def _start(self, step: Callable[[], None]) -> None:
        if self._presenter.can_run_steps:
            step()
            self._say("The progress panel of the main window says when it is done.")
        else:
            self._say("Another step is running. Wait for it, or cancel it.", theme.DANGER)

    def _typed(self, name: str) -> None:
        """Check a value once nothing more was typed for a moment."""
        if self._timer:
            self.window.after_cancel(self._timer)
        self._timer = self.window.after(CHECK_MS, partial(self._check, name))

    def _check(self, name: str) -> None:
        self._timer = ""
        self.rows[name].show_problem(self._form.check(name, self.rows[name].value))

    def _restart(self) -> None:
        self.restart.grid_remove()
        self._say("")
        self._presenter.restart()

    def _refresh(self) -> None:
        """Show what others change while somebody looks at it."""
        if self._refreshes:
            self.window.after_cancel(self._refreshes)
            self._refreshes = ""
        if self.window.winfo_viewable():
            if self._before:
                self._follow()
            self._show_lists()
            self._refreshes = self.window.after(REFRESH_MS, self._refresh)

    def _follow(self) -> None:
        """Take over what was changed elsewhere, but for what is being edited here."""
        for name, text in self._form.load_live().items():
            row, before = self.rows.get(name), self._before[name]
            if row and row.value == before != text:
                row.show(text)
            self._before[name] = text

    def _show_lists(self) -> None:
        if self.people and self.section == PRIVACY:
            self.people.show()
        elif self.servers and self.section == DISCORD:
            self.servers.show()

    def _step(self, by: int) -> str:
        titles = list(SECTIONS)
        title = titles[(titles.index(self.section) + by) % len(titles)]
        self.turn_to(title)
        self.sections[title]._canvas.focus_set()
        return "break"

    def _say(self, text: str, color: theme.Pair = theme.MUTED) -> None:
        controls.set_text(self.note, text, color)


def _section_of(name: str) -> str:
    return next(t for t, fields in SECTIONS.items() if name in {field.name for field in fields})


def _title(servers: Sequence[tuple[int, str]], place: int) -> str:
    """The window's title, which says whose settings these are where there are several servers."""
    of = f" of {shown(servers[place][1])}" if len(servers) > 1 else ""
    return f"Settings{of} - Discord Personality Bot"
