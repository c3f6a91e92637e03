"""Desktop notifications: what is worth one, and how it reaches the desktop.

None carries a word of anybody's messages.
"""

import contextlib
import dataclasses
import html
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bot_controller import State
from gui.pipeline import ACTIONS, StepView
from gui.preferences import Preferences

log = logging.getLogger(__name__)

APP = "Discord Personality Bot"
HOLD_SECONDS = 2.0  # a state that is over sooner is not news: a restart passes through Stopped
QUIET_SECONDS = 600.0  # a bot that falls and rises again is told once in that time
SEND_SECONDS = 10.0
LONGEST = 200

_ICON = Path(__file__).parent / "assets" / "icon.png"
_TRAINING = next(action.doing for action in ACTIONS if action.program == "3_train_model.py")


@dataclasses.dataclass(frozen=True)
class Notice:
    """One notification."""

    title: str
    text: str
    is_error: bool = False
    has_sound: bool = False


class Notifier:
    """Says what the preferences allow. `preferences` may be replaced at any time.

    `send` hands a notice to the desktop and must not block.
    """

    def __init__(
        self, preferences: Preferences, send: Callable[[Notice], None] | None = None
    ) -> None:
        self.preferences = preferences
        self._clicked = threading.Event()
        self._send = send or _Desktop(self._clicked.set).send

    def started(self) -> None:
        self._say("Bot started", "It is online and listens.")

    def stopped(self) -> None:
        self._say("Bot stopped", "It answers nobody until it is started again.")

    def failed(self, reason: str) -> None:
        self._say("The bot needs you", reason, is_error=True)

    def trained(self, name: str) -> None:
        self._say("Training finished", f"{name} can be evaluated now.")

    def milestone(self, count: int) -> None:
        self._say(f"{count:,} replies", f"The bot has answered {count:,} times.")

    def take_click(self) -> bool:
        """Whether a notification was clicked since the last call: the window should come up."""
        was_clicked = self._clicked.is_set()
        self._clicked.clear()
        return was_clicked

    def _say(self, title: str, text: str, is_error: bool = False) -> None:
        level = self.preferences.notices
        if level == "all" or (level == "errors" and is_error):
            line = " ".join(text.split())
            line = line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
            self._send(Notice(title, line, is_error, self.preferences.sounds))


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the watcher looks at. `milestone` is one just reached (`storage.milestones.take`)."""

    state: State
    reason: str = ""
    step: StepView = dataclasses.field(default_factory=StepView)
    milestone: int | None = None


class Watcher:
    """Turns changes into notices. Call `tick` with every beat; `now` is monotonic, in seconds."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._seen: State | None = None
        self._since = 0.0
        self._told = State.STOPPED  # a launcher that has just started has nothing to tell
        self._told_reason = ""
        self._crash_told_at = float("-inf")
        self._step = StepView()

    def tick(self, facts: Facts, now: float) -> None:
        """Tell what is new."""
        if facts.milestone is not None:
            self._notifier.milestone(facts.milestone)
        self._watch_training(facts.step)
        if facts.state is not self._seen:
            self._seen, self._since = facts.state, now
        if now - self._since >= HOLD_SECONDS:
            self._watch_state(facts, now)

    def _watch_state(self, facts: Facts, now: float) -> None:
        is_failure = facts.state in (State.BACKOFF, State.FAILED)
        is_same = facts.state is self._told and (
            not is_failure or facts.reason == self._told_reason
        )
        is_passing = facts.state in (State.STARTING, State.STOPPING)
        is_crash = facts.state is State.BACKOFF
        if is_same or is_passing or (is_crash and now - self._crash_told_at < QUIET_SECONDS):
            return
        self._told, self._told_reason = facts.state, facts.reason
        if is_crash:
            self._crash_told_at = now
        if is_failure:
            self._notifier.failed(facts.reason)
        elif facts.state is State.RUNNING:
            self._notifier.started()
        else:
            self._notifier.stopped()

    def _watch_training(self, step: StepView) -> None:
        before, self._step = self._step, step
        if not before.is_running or step.is_running or before.title != _TRAINING:
            return
        if step.is_failed:
            self._notifier.failed("Training did not finish. Its log says why.")
        elif step.fraction == 1.0:
            self._notifier.trained("The new model")


class _Desktop:
    """The desktop's own notifications, by a thread that is made with the first of them.

    It imports what it needs itself: the window shall not wait for asyncio.
    """

    def __init__(self, clicked: Callable[[], None]) -> None:
        self._clicked = clicked
        self._waiting: deque[Notice] = deque(maxlen=10)
        self._thread: threading.Thread | None = None
        self._loop: Any = None
        self._bell: Any = None
        self._notifier: Any = None
        self._has_complained = False

    def send(self, notice: Notice) -> None:
        """Have it shown soon; where there is no desktop, nothing happens."""
        self._waiting.append(notice)
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="notifications", daemon=True)
            self._thread.start()
        elif self._loop:
            with contextlib.suppress(RuntimeError):  # it is just giving up
                self._loop.call_soon_threadsafe(self._bell.set)

    def _run(self) -> None:
        import asyncio

        try:
            asyncio.run(self._serve())
        except Exception as error:  # of any platform: missing libraries, no bus, no permission
            if not self._has_complained:
                log.info("no desktop notifications: %s: %s", type(error).__name__, error)
            self._has_complained = True
        self._waiting.clear()
        self._loop = self._notifier = self._thread = None  # the next notice tries again

    async def _serve(self) -> None:
        import asyncio

        self._bell = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        while True:
            self._bell.clear()
            while self._waiting:
                notice = self._waiting.popleft()
                show = self._by_osascript if sys.platform == "darwin" else self._by_library
                await asyncio.wait_for(show(notice), SEND_SECONDS)
            await self._bell.wait()

    async def _by_library(self, notice: Notice) -> None:
        """Through desktop-notifier. Raises whatever the platform does, or `RuntimeError`."""
        import desktop_notifier as library

        if self._notifier is None:
            logging.getLogger("desktop_notifier").setLevel(logging.CRITICAL)  # told below, once
            self._notifier = library.DesktopNotifier(APP, library.Icon(path=_ICON))
        was_sent: list[bool] = []
        await self._notifier.send(
            notice.title,
            html.escape(notice.text, quote=False) if sys.platform == "linux" else notice.text,
            urgency=library.Urgency.Critical if notice.is_error else library.Urgency.Normal,
            sound=library.DEFAULT_SOUND if notice.has_sound else None,
            on_dispatched=lambda: was_sent.append(True),
            on_clicked=self._clicked,
        )
        if not was_sent:
            raise RuntimeError("nothing on this desktop takes them")

    async def _by_osascript(self, notice: Notice) -> None:
        """Apple's own way; desktop-notifier's needs a signed application there."""
        import asyncio

        script = "display notification (item 2 of argv) with title (item 1 of argv)"
        if notice.has_sound:
            script += ' sound name "default"'
        lines = ["on run argv", script, "end run"]
        options = [word for line in lines for word in ("-e", line)]
        process = await asyncio.create_subprocess_exec(
            "osascript", *options, notice.title, notice.text, stdin=asyncio.subprocess.DEVNULL
        )
        await process.wait()
