"""Who may be in a data set."""

import dataclasses
import sqlite3
from collections.abc import Container

from bot.config import UserError
from storage import database, people
from storage.messages import DEFAULT, REPLY, Message

STATEMENT = (
    "I run this server or act for those who do, Discord permits me to train a model on its "
    "messages, and its members have been told."
)

ADMIN, OPT_OUT, OPT_IN = MODES = ("admin", "opt-out", "opt-in")
_SETTING = "consent_mode"


@dataclasses.dataclass(frozen=True)
class Audience:
    """Whose messages may be learned from and recalled, as it stood at one moment.

    `agreed` is None where nobody has to agree first.
    """

    refused: frozenset[int]
    agreed: frozenset[int] | None = None

    def allows(self, user_id: int) -> bool:
        """Whether this person's messages may be learned from and recalled."""
        return user_id not in self.refused and (self.agreed is None or user_id in self.agreed)


def audience(connection: sqlite3.Connection) -> Audience:
    """Whom the consent mode, the decisions and the exclusion list allow. Build it once a run."""
    excluded, mode = database.excluded_users(connection), consent_mode(connection)
    if mode == ADMIN:
        return Audience(excluded)
    decisions = people.consents(connection)
    if mode == OPT_OUT:
        return Audience(excluded | {person for person, is_yes in decisions.items() if not is_yes})
    return Audience(excluded, frozenset(person for person, is_yes in decisions.items() if is_yes))


def barred(connection: sqlite3.Connection) -> list[int]:
    """The ids of everybody who may not be learned from now, and of all that they wrote."""
    allowed = audience(connection)
    refused = {person for person in people.authors(connection) if not allowed.allows(person)}
    wrote = (message for person in refused for message in people.written(connection, person).texts)
    return [*(refused | allowed.refused), *wrote]


def consent_mode(connection: sqlite3.Connection) -> str:
    """`admin`: the exclusion list only; `opt-out`: and those who said no; `opt-in`: only a yes.

    A stored value that is none of these counts as `opt-in`, which lets nobody in by mistake.
    """
    mode = database.recall(connection, _SETTING) or ADMIN
    return mode if mode in MODES else OPT_IN


def set_consent_mode(connection: sqlite3.Connection, mode: str) -> None:
    """Keep the consent mode. Raises `UserError` for one that does not exist."""
    if mode not in MODES:
        raise UserError(f"There is no consent mode {mode!r}; choose one of: {', '.join(MODES)}.")
    database.remember(connection, _SETTING, mode)


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
