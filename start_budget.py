"""How often the bot may be started in a day, counted in a file that outlives the launcher.

Each start is a login for each of the bot's shards. Discord takes the token away after 1,000 of them
in a day, and whoever needs fifty starts has a bot that does not stay up.
"""

import json
import os
from pathlib import Path
from typing import Any

STARTS_A_DAY = 50
LOGINS_A_DAY = 900  # what is left is for connections that break
DAY_SECONDS = 86_400.0


class StartBudget:
    """The starts of the last 24 hours; times are seconds since 1970."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own: dict[float, int] = {}  # ours, in case the file gets lost while we run

    def free_at(self, now: float, logins: int = 1) -> float:
        """When the next start, of so many logins, is allowed: `now`, unless there were too many."""
        starts, left = self._starts(now), max(LOGINS_A_DAY, logins) - logins
        for number, moment in enumerate(sorted(starts, reverse=True), 1):
            left -= starts[moment]
            if number == STARTS_A_DAY or left < 0:
                return moment + DAY_SECONDS
        return now

    def spend(self, now: float, logins: int = 1) -> None:
        """Count a start. Raises `OSError` when it cannot be written down."""
        self._own = {**self._starts(now), now: logins}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(self._path.name + ".new")
        temporary.write_text(json.dumps(sorted(self._own.items())), encoding="utf-8")
        os.replace(temporary, self._path)

    def starts(self, now: float) -> list[float]:
        """When the bot was started within a day of `now`, oldest first.

        Later than `now` counts as well: somebody has set the clock back.
        """
        return sorted(self._starts(now))

    def _starts(self, now: float) -> dict[float, int]:
        """The logins of each start within a day of `now`."""
        try:
            kept = dict(map(_entry, json.loads(self._path.read_text("utf-8"))))
        except (OSError, ValueError, TypeError, OverflowError, RecursionError):
            kept = {}
        known = {**kept, **self._own}
        return {moment: known[moment] for moment in known if abs(now - moment) < DAY_SECONDS}


def _entry(entry: Any) -> tuple[float, int]:
    """A moment and its logins; files of earlier versions have the moment alone."""
    moment, logins = entry if isinstance(entry, list) else (entry, 1)
    return float(moment), max(1, int(logins))
