"""Erasing a person: from the database, the files beside it, and the list of what models know.

The person is excluded first, so that nothing of theirs comes back while the rest goes; the database
comes last, because it knows what to look for in the files. Stopped half-way, an erasure is finished
by asking for it again.
"""

import contextlib
import dataclasses
import logging
import sqlite3
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

from bot.config import Config, UserError
from data import leftovers, residue
from data.quotes import LONG, Quotes
from model import provenance
from storage import database, judgements, people, shadow, vectordb
from storage.people import Other, Written

log = logging.getLogger(__name__)

SOMEONE = "@someone"
_ONE_AT_A_TIME = threading.Lock()
LONG_NAME = 8  # characters; a shorter name may stand anywhere by chance


@dataclasses.dataclass(frozen=True)
class Erasure:
    """What an erasure did: how many of what are gone, and what it could not do.

    `models` learned from the person. `residue` are the files that still hold a long message, a file
    name or the long name of theirs, or that cannot be read. `naming` counts messages in which
    others say that name: they stay.
    """

    removed: dict[str, int]
    models: tuple[str, ...]
    residue: tuple[Path, ...]
    naming: int
    is_log_empty: bool  # SQLite's write-ahead log, which keeps old pages while somebody reads them

    @property
    def is_complete(self) -> bool:
        return not self.residue and self.is_log_empty


def erase(
    config: Config,
    connection: sqlite3.Connection,
    user_id: int,
    reason: str = "",
    erased_by: int | None = None,
) -> Erasure:
    """Exclude a person and remove them, and what others quote of them, from everything kept.

    Raises `UserError` for the bot itself. In one process, one erasure waits for the other.
    """
    if people.is_this_bot(connection, user_id):
        raise UserError(f"{user_id} is the bot itself, which cannot be excluded.")
    with _ONE_AT_A_TIME:
        return _erase(config, connection, user_id, reason, erased_by)


def _erase(
    config: Config,
    connection: sqlite3.Connection,
    user_id: int,
    reason: str,
    erased_by: int | None,
) -> Erasure:
    if reason or user_id not in database.excluded_users(connection):
        database.exclude_user(connection, user_id, reason, erased_by)
    known = people.written(connection, user_id)
    quotes = Quotes(known.texts.values())
    removed = leftovers.clear(config, user_id, known, quotes)
    models = provenance.learned_from(config.models_dir, [user_id, *known.texts])
    marks = {folder.name: provenance.mark_erased(folder, user_id) for folder in models}
    removed |= _forget_unsent(connection, user_id, known, quotes)
    removed |= _clear_database(connection, user_id, known, quotes, marks)
    removed["vectors in the index"] = vectordb.forget(config.embeddings_dir, connection)
    is_log_empty = people.truncate_log(connection)
    naming = people.count_naming(connection, known.name) if _is_telling(known) else 0
    needles = _needles(connection, known, quotes, naming)
    left = residue.scan(config.data_dir, needles)
    if config.database_path in left:
        with contextlib.suppress(sqlite3.OperationalError):  # in use: what is left, we report
            people.rebuild_file(connection)
        is_log_empty = people.truncate_log(connection)
        left = residue.scan(config.data_dir, needles)
    log.info("erased %d; files that hold something still: %d", user_id, len(left))
    return Erasure(removed, tuple(sorted(marks)), tuple(left), naming, is_log_empty)


def models_with(connection: sqlite3.Connection, models_dir: Path, user_id: int) -> list[str]:
    """The names of all models that learned from this person."""
    ids = [user_id, *people.written(connection, user_id).texts]
    return sorted({folder.name for folder in provenance.learned_from(models_dir, ids)})


def _clear_database(
    connection: sqlite3.Connection,
    user_id: int,
    known: Written,
    quotes: Quotes,
    marks: dict[str, int],
) -> dict[str, int]:
    """Everything at once, the models' marks included, so that nothing is counted twice."""
    with database.transaction(connection):
        cleaned = list(_cleaned(people.by_others(connection, user_id), user_id, quotes))
        people.rewrite(connection, cleaned)
        kept = judgements.kept(connection)
        judgements.drop_kept(connection, _telling(kept, user_id, known, quotes))
        people.mark_models(connection, marks)
        removed = people.erase(connection, user_id)
    return {**removed, "messages of others that quoted or mentioned them": len(cleaned)}


def _forget_unsent(
    connection: sqlite3.Connection, user_id: int, known: Written, quotes: Quotes
) -> dict[str, int]:
    """What the bot would have said to others, where it quotes, mentions or names the person."""
    names = [f"<@{user_id}>", f"<@!{user_id}>", *([known.name] if _is_telling(known) else [])]
    texts = {one.trigger_id: "\n".join(one.texts) for one in shadow.decisions(connection)}
    doomed = [
        trigger
        for trigger, text in texts.items()
        if quotes.cut(text) != text or any(name in text for name in names)
    ]
    shadow.forget(connection, doomed)
    return {"unsent replies that quoted or named them": len(doomed)}


def _cleaned(others: Iterable[Other], user_id: int, quotes: Quotes) -> Iterable[Other]:
    """Those messages of others that change when the person is taken out of them."""
    for other in others:
        content = quotes.cut(other.content)
        if "<@" in content:
            content = content.replace(f"<@{user_id}>", SOMEONE).replace(f"<@!{user_id}>", SOMEONE)
        mentions = tuple(mention for mention in other.mentions if mention != user_id)
        if (content, mentions) != (other.content, other.mentions):
            yield Other(other.message_id, content, mentions)


def _telling(
    texts: Mapping[int, str], user_id: int, known: Written, quotes: Quotes
) -> Iterable[int]:
    """Those texts that mention, name or quote the person."""
    for number, text in texts.items():
        names = _is_telling(known) and known.name in text
        if names or str(user_id) in text or quotes.cut(text) != text:
            yield number


def _is_telling(known: Written) -> bool:
    return len(known.name) >= LONG_NAME


def _needles(
    connection: sqlite3.Connection, known: Written, quotes: Quotes, naming: int
) -> list[bytes]:
    """What would prove that something was forgotten: nothing that others wrote as well."""
    files = {name for name in known.files if len(name) >= LONG}
    needles = {*quotes.long, *(files - people.file_names(connection))}
    if _is_telling(known) and not naming:
        needles.add(known.name)
    return [needle.encode("utf-8", "surrogatepass") for needle in needles]
