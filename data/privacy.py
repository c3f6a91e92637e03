"""Who may be in a data set."""

from collections.abc import Container

from bot.config import UserError
from storage.messages import DEFAULT, REPLY, Message

STATEMENT = (
    "I run this server or act for those who do, Discord permits me to train a model on its "
    "messages, and its members have been told."
)


def is_allowed(message: Message, excluded: Container[int]) -> bool:
    """Whether a message may be learned from: written by a member, who is not excluded."""
    by_member = message.author_kind == "member" and message.kind in (DEFAULT, REPLY)
    return by_member and message.author_id not in excluded


def permission_needed() -> UserError:
    """What to say while the operator has not confirmed that they may use the messages."""
    return UserError(
        "Reading a server's history to learn from it needs permission. Confirm with "
        f'--i-have-permission that: "{STATEMENT}" The confirmation is stored with its date.'
    )
