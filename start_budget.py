"""How often the bot may be started in a day, counted in a file that outlives the launcher.

Each start is a login. Discord takes the token away after 1,000 of them in a day, and whoever needs
fifty has a bot that does not stay up.
"""

import json
import os
from pathlib import Path

STARTS_A_DAY = 50
DAY_SECONDS = 86_400.0


class StartBudget:
    """The starts of the last 24 hours; times are seconds since 1970."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: set[float] = set()  # ours, in case the file gets lost while we run

    def free_at(self, now: float) -> float:
        """When the next start is allowed: `now`, unless there were too many."""
        starts = self.starts(now)
        return now if len(starts) < STARTS_A_DAY else starts[-STARTS_A_DAY] + DAY_SECONDS

    def spend(self, now: float) -> None:
        """Count a start. Raises `OSError` when it cannot be written down."""
        self._own = {*self.starts(now), now}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_text(json.dumps(sorted(self._own)), encoding="utf-8")
        os.replace(temporary, self._path)

    def starts(self, now: float) -> list[float]:
        """When the bot was started within a day of `now`, oldest first.

        Later than `now` counts as well: somebody has set the clock back.
        """
        try:
            kept = {float(moment) for moment in json.loads(self._path.read_text("utf-8"))}
        except (OSError, ValueError, TypeError, OverflowError, RecursionError):
            kept = set()
        return sorted(moment for moment in kept | self._own if abs(now - moment) < DAY_SECONDS)
