"""The window's process: one thread for Tk, one beat that moves everything."""

import dataclasses
import gc
import logging
import signal
import sys
import time
import tkinter
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import customtkinter as ctk

from bot.config import UserError
from gui import emoji_probe, preferences, theme, wheel
from gui.components import system_tray
from gui.components.main_window import MainWindow, Page, Wishes
from gui.guidance import Guidance
from gui.preferences import Preferences
from gui.presenter import Presenter
from gui.session import Way
from gui.settings_fields import FIELDS
from gui.snapshot import Snapshot
from gui.surroundings import SHOW, Surroundings
from single_instance import Instance

if TYPE_CHECKING:
    from gui.components.settings_window import SettingsWindow
    from gui.first_run.state import Outcome
    from gui.live import Live
    from gui.playground.talk import Playground
    from gui.settings_form import Form

log = logging.getLogger(__name__)

LIVE, PLAYGROUND = "Live", "Playground"
BEAT_MS = 100
CALM_MS = 200  # while nothing happens
FIRST_BEAT_MS = 20  # until there is something to show
CLOSE_SECONDS = 3.5
COLLECT_SECONDS = 5.0
SMALLEST, LARGEST = 75, 250  # percent
_ZOOM = {("plus", "equal", "KP_Add"): 25, ("minus", "KP_Subtract"): -25, ("0", "KP_0"): 0}


@dataclasses.dataclass(frozen=True)
class Start:
    """How the launcher begins.

    `way` leads to a bot, in a thread, while the window shows how far it is; its `UserError` is
    shown with a Retry button. `folder` is where the preferences are kept. A call to the `instance`
    brings the window up. `is_minimised`: it begins in the tray, or where there is none as an icon
    of the taskbar. `is_first`: the first run leads the way, and `way_of` says where to.
    """

    way: Way
    folder: Path
    env_path: Path | None = None
    instance: Instance | None = None
    is_minimised: bool = False
    is_first: bool = False
    way_of: "Callable[[Outcome], Way] | None" = None


def run(start: Start) -> int:
    """Show the window until it is closed; gives back the exit code.

    Raises `UserError` where there is no display.
    """
    gc.disable()  # a font that another thread finds to be garbage would call Tk from there
    try:
        root = ctk.CTk(className="DiscordPersonalityBot")
    except tkinter.TclError as error:
        raise UserError(
            f"No window can be opened ({error}). On a computer without a screen run: "
            "python3 launcher.py --headless"
        ) from None
    app = App(root, Presenter(start.way, waits=start.is_first), start)
    if start.is_first:
        app.lead()
    elif start.is_minimised or app.preferences.starts_minimised:
        app.minimise()
    signal.signal(signal.SIGTERM, lambda *_: app.close())
    app.beat()
    root.mainloop()
    return 0


class App:
    """Ties the presenter to the window, ten times a second."""

    def __init__(self, root: ctk.CTk, presenter: Presenter, start: Start) -> None:
        self.root, self.presenter, self._start = root, presenter, start
        self._folder = start.folder
        self.preferences = presenter.preferences = preferences.read(start.folder)
        self._dress()
        wheel.fix(root)
        emoji_probe.start(start.folder)
        self.playground: Playground | None = None
        self.settings: SettingsWindow | None = None
        self.live: Live | None = None
        wishes = Wishes(self.close, self.put_away, self.mend, self.open_settings, self.look_at)
        self.window = MainWindow(root, presenter, wishes, self._pages())
        self.guidance = Guidance(root, start.env_path)
        for keys, step in _ZOOM.items():
            for key in keys:
                root.bind(f"<Control-{key}>", partial(self._zoom, step))
        self.is_over = self.is_hidden = self._wants_hiding = False
        self._around: Surroundings | None = None
        self._close_by: float | None = None
        self._last_error = ""
        self._snapshot: Snapshot | None = None
        self._is_calm = False
        self._collect_at = 0.0
        root.report_callback_exception = self.show_error

    def prefer(self, chosen: Preferences) -> None:
        """Keep other preferences, and follow them at once."""
        before, self.preferences = self.preferences, chosen
        self.presenter.preferences = chosen
        if self._around:
            self._around.follow(chosen)
        if (before.appearance, before.scale) != (chosen.appearance, chosen.scale):
            self._dress()
        try:
            preferences.write(self._folder, chosen)
        except OSError as error:
            self.presenter.say("ERROR", f"Cannot keep the preferences: {error}")

    def beat(self) -> None:
        """Move everything once, and come back."""
        try:
            self.step(time.time())
        except Exception:
            self.show_error(*sys.exc_info())
        finally:
            if not self.is_over:
                calm = CALM_MS if self._is_calm else BEAT_MS
                self.root.after(calm if self.presenter.session else FIRST_BEAT_MS, self.beat)

    def step(self, now: float) -> None:
        """One beat, at `now` in seconds since 1970."""
        lines = self.presenter.tick(now)
        self.window.append(lines)
        snapshot, before = self.presenter.snapshot(now), self._snapshot
        self.window.show(snapshot)
        self._snapshot = snapshot
        is_busy = self.guidance.page or (self.playground and self.playground.is_busy)
        self._is_calm = snapshot == before and not lines and not is_busy
        self._tend(snapshot)
        if time.monotonic() >= self._collect_at:
            self._collect_at = time.monotonic() + COLLECT_SECONDS
            gc.collect()
        is_late = self._close_by is not None and time.monotonic() >= self._close_by
        if self._close_by is not None and (is_late or self.presenter.is_quiet):
            self._leave()

    def lead(self, mend: str = "") -> None:
        """Begin the first run, or one step of it that mends something."""

        def finished(outcome: "Outcome") -> None:
            self.prefer(dataclasses.replace(self.preferences, is_set_up=True))
            if mend or not self._start.way_of:
                self.presenter.start()
            else:
                self.presenter.begin(self._start.way_of(outcome))

        self.presenter.stop()
        self.guidance.show(finished, mend)

    def mend(self, place: str) -> None:
        """Go where an error is mended: a step of the first run, or a field of the settings."""
        if place in FIELDS:
            self._settings().point_at(place)
        else:
            self.lead(place)

    def open_settings(self, section: str = "") -> None:
        """Show the settings window, the section named or the one that was shown last."""
        self._settings().raise_(section)

    def _settings(self) -> "SettingsWindow":
        if self.settings is None:
            from gui.components.settings_window import SettingsWindow

            self.settings = SettingsWindow(self.root, self._form(), self.presenter, self.prefer)
        return self.settings

    def look_at(self, place: int) -> None:
        """Show another server, unless changed settings of this one wait to be saved."""
        if place == self.presenter.place or (self.settings and not self.settings.close()):
            return
        self.window.settle()
        self.presenter.look_at(place)
        if self.live and self.presenter.session:
            self.live.look_at(self.presenter.session)
        if self.playground:
            self.playground.close()
            self.playground = None
            self.window.forget(PLAYGROUND)
        self.window.settle()
        if self.settings:
            self.settings.look_at(self._form())

    def _form(self) -> "Form":
        from gui.settings_form import Form

        here, is_further = self.presenter.session, self.presenter.place > 0
        return Form(here.env_path if here and is_further else self._start.env_path, self._folder)

    def minimise(self) -> None:
        """Go to the tray as soon as there is one, until then to the taskbar."""
        self._wants_hiding = True
        self.root.iconify()

    def put_away(self) -> None:
        """Hide where an icon can bring the window back, and else leave."""
        if self.preferences.keeps_in_tray and self._around and self._around.has_tray:
            self.is_hidden = True
            self.root.withdraw()
        else:
            self.close()

    def bring_back(self) -> None:
        """Show the window, in front of others."""
        self.is_hidden = self._wants_hiding = False
        self.root.deiconify()
        self.root.lift()
        self.root.focus_force()

    def close(self) -> None:
        """Let the bot finish its reply, then leave; any impatience changes nothing."""
        if self._close_by is None:
            self._close_by = time.monotonic() + CLOSE_SECONDS
            self.presenter.close()

    def show_error(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log an error of a button or the beat, once in a row; the window lives on."""
        if isinstance(error, KeyboardInterrupt):
            self.close()
            return
        text = "".join(traceback.format_exception(kind, error, trace))
        if text != self._last_error:
            self._last_error = text
            log.error("the window stumbled\n%s", text)
            self.presenter.say("ERROR", f"the window stumbled\n{text}")

    def _tend(self, snapshot: Snapshot) -> None:
        """Keep up what there is beside the window, and do what is asked for there."""
        self.guidance.tick()
        if self.playground:
            self.playground.tick(time.monotonic())
        if self.live or self.presenter.session:
            self._watch().tick(time.time())
        if self._start.instance and self._start.instance.was_called():
            self.bring_back()
        if self._around is None:  # not before the window is there
            self._around = Surroundings(self.preferences)
            return
        actions = {
            system_tray.TOGGLE: self.bring_back if self.is_hidden else self.put_away,
            system_tray.START: self.presenter.start,
            system_tray.STOP: self.presenter.stop,
            system_tray.QUIT: self.close,
            SHOW: self.bring_back,
        }
        for asked in self._around.tick(snapshot, self.presenter.facts(), not self.is_hidden):
            actions[asked]()
        if self._wants_hiding and self._around.has_tray:
            self._wants_hiding = False
            self.put_away()
        elif self.is_hidden and not self._around.has_tray:
            self.bring_back()

    def _pages(self) -> "dict[str, Callable[[Any], Page]]":
        return {LIVE: self._make_live, PLAYGROUND: self._make_playground}

    def _make_live(self, parent: Any) -> Page:
        from gui.components.live_page import LivePage

        return LivePage(parent, self._watch(), self.presenter)

    def _watch(self) -> "Live":
        if self.live is None:
            from gui.live import Live

            assert self.presenter.session
            self.live = Live(self.presenter.session)
        return self.live

    def _make_playground(self, parent: Any) -> Page:
        from gui.components.playground_page import PlaygroundPage
        from gui.playground.talk import Playground

        assert self.presenter.session
        self.playground = Playground(self.presenter.session.env_path)
        return PlaygroundPage(parent, self.playground)

    def _dress(self) -> None:
        theme.fix(self.preferences.appearance)
        theme.fix_scale(self.root, self.preferences.scale)
        theme.dress_again()

    def _zoom(self, step: int, _: object) -> None:
        """Make everything larger or smaller by a step; by 0: as the screen asks for."""
        percent = self.preferences.scale or theme.screen_percent(self.root)
        scale = min(LARGEST, max(SMALLEST, percent + step)) if step else 0
        self.prefer(dataclasses.replace(self.preferences, scale=scale))

    def _leave(self) -> None:
        self.is_over = True
        self.guidance.close()
        if self.playground:
            self.playground.close()
        if self.live:
            self.live.close()
        if self._around:
            self._around.close()
        self.presenter.end()
        self.root.destroy()
