"""What there is of the launcher beside its window: the tray icon and the notifications."""

import time

from gui.components import system_tray
from gui.components.system_tray import SystemTray
from gui.notifications import Facts, Notifier, Watcher
from gui.preferences import Preferences
from gui.snapshot import Snapshot

SHOW = "show"  # asked for by a click on a notification


class Surroundings:
    """Call `tick` with every beat, in the window's thread, and `close` at the end."""

    def __init__(self, preferences: Preferences) -> None:
        self._tray = SystemTray()
        self._notifier = Notifier(preferences)
        self._watcher = Watcher(self._notifier)

    @property
    def has_tray(self) -> bool:
        """Whether the window can be brought back once it is hidden."""
        return self._tray.is_there

    def follow(self, preferences: Preferences) -> None:
        """Go by other preferences from now on."""
        self._notifier.preferences = preferences

    def tick(self, snapshot: Snapshot, facts: Facts | None, is_shown: bool) -> list[str]:
        """Show how the bot is, and tell what changed; what its owner asked for meanwhile."""
        self._tray.show(system_tray.view(snapshot, is_shown))
        if facts:
            self._watcher.tick(facts, time.monotonic())
        asked = self._tray.tick()
        return [*asked, SHOW] if self._notifier.take_click() else asked

    def close(self) -> None:
        """Take the icon away."""
        self._tray.close()
