"""Retention: messages older than so many days are forgotten, as if Discord had deleted them.

    python -m data.retention --days N [--env PATH]

Their texts leave the database, the pages kept beside it, and the index of older messages. What was
prepared for training is made anew by step 2; models keep what they learned.
"""

import argparse
import contextlib
import sqlite3
import sys
import time
from pathlib import Path

from bot import config as settings_file
from bot.config import Config, UserError
from data import pages
from storage import database, judgements, messages, people, shadow, vectordb

DAY = 86_400.0


def forget(config: Config, connection: sqlite3.Connection, before: float) -> int:
    """Forget what was written before a moment (seconds since 1970); how many messages.

    Stopped half-way, the rest goes with the next call.
    """
    old: dict[int, set[int]] = {}
    for channel_id, message_id in messages.written_before(connection, before):
        old.setdefault(channel_id, set()).add(message_id)
    pages.purge(config.data_dir / "messages", old)  # first: the database knows what to look for
    with database.transaction(connection):
        for ids in old.values():
            messages.mark_deleted(connection, ids)
        gone = messages.snowflake_at(before)
        kept = judgements.kept(connection)
        judgements.drop_kept(connection, (number for number in kept if number < gone))
        shadow.forget_before(connection, max(before, time.time() - shadow.KEPT_SECONDS))
    vectordb.forget(config.embeddings_dir, connection)
    people.truncate_log(connection)  # it holds the old pages of the database
    return sum(map(len, old.values()))


def main() -> int:
    arguments = _arguments()
    try:
        settings = settings_file.load(arguments.env, needs_discord=False)
        if arguments.days < 1:
            raise UserError("--days must be at least 1.")
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            count = forget(settings, connection, time.time() - arguments.days * DAY)
    except UserError as error:
        return settings_file.exit_with(error)
    print(f"Forgot {count:,} messages that are older than {arguments.days} days.")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--days", type=int, required=True, metavar="N", help="how long to keep")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
