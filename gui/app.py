"""The window's process: one thread for Tk, one beat that moves everything."""

import gc
import logging
import signal
import sys
import time
import tkinter
import traceback
from collections.abc import Sequence
from types import TracebackType

import customtkinter as ctk

from bot.config import UserError
from gui import theme
from gui.components.main_window import MainWindow
from gui.presenter import Presenter
from gui.session import Prepare

log = logging.getLogger(__name__)

BEAT_MS = 100
CLOSE_SECONDS = 3.5
COLLECT_SECONDS = 5.0


def run(prepare: Prepare, steps: Sequence[str] = (), appearance: str | None = None) -> int:
    """Show the window until it is closed; gives back the exit code.

    `prepare(report)` makes the `Session`, in a thread, while the window shows `steps` and what is
    reported; its `UserError` is shown with a Retry button. `appearance` is "light" or
    "dark", None for the system's. Raises `UserError` where there is no display.
    """
    gc.disable()  # a font that another thread finds to be garbage would call Tk from there
    theme.fix(appearance)
    try:
        root = ctk.CTk(className="DiscordPersonalityBot")
    except tkinter.TclError as error:
        raise UserError(
            f"No window can be opened ({error}). On a computer without a screen run: "
            "python3 launcher.py --headless"
        ) from None
    app = App(root, Presenter(prepare, steps))
    signal.signal(signal.SIGTERM, lambda *_: app.close())
    app.beat()
    root.mainloop()
    return 0


class App:
    """Ties the presenter to the window, ten times a second."""

    def __init__(self, root: ctk.CTk, presenter: Presenter) -> None:
        self.root, self.presenter = root, presenter
        theme.fix_scale(root)
        self.window = MainWindow(root, presenter, self.close)
        self.is_over = False
        self._close_by: float | None = None
        self._last_error = ""
        self._collect_at = 0.0
        root.report_callback_exception = self.show_error

    def beat(self) -> None:
        """Move everything once, and come back."""
        try:
            self.step(time.time())
        except Exception:
            self.show_error(*sys.exc_info())
        finally:
            if not self.is_over:
                self.root.after(BEAT_MS, self.beat)

    def step(self, now: float) -> None:
        """One beat, at `now` in seconds since 1970."""
        self.window.append(self.presenter.tick(now))
        self.window.show(self.presenter.snapshot(now))
        if time.monotonic() >= self._collect_at:
            self._collect_at = time.monotonic() + COLLECT_SECONDS
            gc.collect()
        is_late = self._close_by is not None and time.monotonic() >= self._close_by
        if self._close_by is not None and (is_late or self.presenter.is_quiet):
            self._leave()

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

    def _leave(self) -> None:
        self.is_over = True
        self.presenter.end()
        self.root.destroy()
