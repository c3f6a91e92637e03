"""What the launcher sees to by itself, a backup a week for one, or when the settings ask for it."""

from pathlib import Path

from gui.pipeline import Action
from gui.preferences import Preferences

FIRST_SECONDS = 600.0  # a start is not the moment
AGAIN_SECONDS = 86_400.0  # between two tries
BACKUP_SECONDS = 7 * 86_400.0

BACKUP = Action("data.backup", "Back up", "Backing up", ("--make",))
CHECK = Action("doctor", "Check this computer", "Checking this computer")
PACK = Action("doctor", "Pack diagnostics", "Packing diagnostics")
ADD_SERVER = Action("add_server.py", "Add another server", "Adding a server")
EXCLUDE = Action("forget_person.py", "Exclude and erase", "Erasing a person")
FORGET = Action("data.retention", "Forget old messages", "Forgetting old messages")


class Chores:
    """Asks for at most one thing at a time; `data_dir` tells when the newest backup was made."""

    def __init__(self, data_dir: Path, now: float) -> None:
        self._backups = data_dir / "backups"
        self._not_before = {BACKUP: now + FIRST_SECONDS, FORGET: now + FIRST_SECONDS}

    def due(self, preferences: Preferences, now: float) -> tuple[Action, list[str]] | None:
        """What to run at `now`, and with which arguments; it is not asked for again for a day."""
        if now < min(self._not_before.values()):
            return None
        days = preferences.keep_messages_days
        is_old = now - self._newest_backup() >= BACKUP_SECONDS
        if preferences.backs_up_weekly and is_old and self._is_due(BACKUP, now):
            return BACKUP, []
        if days and self._is_due(FORGET, now):
            return FORGET, ["--days", str(days)]
        return None

    def _is_due(self, action: Action, now: float) -> bool:
        if now < self._not_before[action]:
            return False
        self._not_before[action] = now + AGAIN_SECONDS
        return True

    def _newest_backup(self) -> float:
        times = [path.stat().st_mtime for path in self._backups.glob("backup-*.zip")]
        return max(times, default=0.0)
