"""What is done again after a while."""


class Rounds:
    """Says when something's turn has come, by its name."""

    def __init__(self) -> None:
        self._done_at: dict[str, float] = {}

    def is_due(self, name: str, every_seconds: float, now: float) -> bool:
        """Whether it is to be done at `now`; it then counts as done. A clock set back does, too."""
        if 0 <= now - self._done_at.get(name, float("-inf")) < every_seconds:
            return False
        self._done_at[name] = now
        return True
