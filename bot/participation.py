"""When to speak: pure decisions, handed the dice roll."""

import enum

from storage.database import Settings


class Reason(enum.Enum):
    """Why the bot answers a message."""

    MENTIONED = "mentioned"
    REPLIED_TO = "replied to"
    CHANCE = "chance"

    @property
    def is_addressed(self) -> bool:
        """Whether somebody expects an answer."""
        return self is not Reason.CHANCE


def decide(
    *, is_mentioned: bool, is_reply_to_us: bool, settings: Settings, roll: float
) -> Reason | None:
    """Whether to answer a message and why; `roll` is uniform in [0, 1)."""
    if is_mentioned:
        return Reason.MENTIONED
    if is_reply_to_us:
        return Reason.REPLIED_TO
    return Reason.CHANCE if roll < settings.response_rate else None
