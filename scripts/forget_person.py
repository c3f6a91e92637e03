"""Erase a person: exclude them, and remove what is stored of them, in every server of the bot.

    python scripts/forget_person.py USER_ID [--reason TEXT] [--env PATH]
    python scripts/forget_person.py USER_ID --which-models
    python scripts/forget_person.py USER_ID --include
    python scripts/forget_person.py --list

With --env servers/NAME/.env it is about that server alone. The bot may keep running. Afterwards
every file of the data folder is searched for what was removed; exit code 0 when nothing was found,
1 when something is left. --include lets the person in again; their messages come back only with a
new fetch: scripts/1_fetch_all_history.py --refetch
"""

import argparse
import contextlib
import sqlite3
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, more_servers
from bot.config import Config, UserError
from data import erasure
from data.erasure import Erasure
from storage import database, people


def main() -> int:
    arguments = _arguments()
    try:
        servers = more_servers.load(arguments.env, needs_discord=False)
        if arguments.user_id is None and not arguments.list:
            raise UserError("Whom? Give the id of a person, or --list.")
        return max(_in(one, arguments, is_named=len(servers) > 1) for one in servers)
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped half-way. Run the same command again to finish.")
        return 130


def _in(settings: Config, arguments: argparse.Namespace, is_named: bool) -> int:
    """Do in one server what is asked for; the exit code."""
    if is_named:
        print(f"{settings.env_path}:")
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        if arguments.list:
            return _list(connection)
        if arguments.include:
            return _include(connection, settings, arguments.user_id)
        if arguments.which_models:
            return _which_models(connection, settings, arguments.user_id)
        return _erase(connection, settings, arguments.user_id, arguments.reason)


def _erase(connection: sqlite3.Connection, settings: Config, user_id: int, reason: str) -> int:
    done = erasure.erase(settings, connection, user_id, reason)
    print(f"Excluded {user_id}: nothing of theirs is stored or learned from any more. Removed:")
    for what, count in done.removed.items():
        print(f"  {count:>9,}  {what}")
    _warn(done)
    if not done.is_complete:
        for path in done.residue:
            print(f"Still holds something of theirs, or cannot be read: {path}")
        if not done.is_log_empty:
            print("The database is in use, so its log could not be emptied.")
        print("Stop the bot and other steps, and run the same command again.")
        return 1
    print(f"Searched every file below {settings.data_dir}: nothing of theirs is left.")
    return 0


def _warn(done: Erasure) -> None:
    """What is true after an erasure and not what one might expect."""
    if done.models:
        print(f"Models that learned from them: {', '.join(done.models)}")
        print("A model cannot forget. Run steps 2, 3 and 5 again, then delete the old ones.")
    if done.naming:
        print(f"Others say their name in {done.naming:,} messages; those stay.")


def _include(connection: sqlite3.Connection, settings: Config, user_id: int) -> int:
    if not people.include(connection, user_id):
        print(f"{user_id} was not excluded.")
        return 0
    print(f"{user_id} is no longer excluded. Their messages come back with a new fetch:")
    option = more_servers.option(settings.env_path)
    print(f"python scripts/1_fetch_all_history.py --refetch{option}")
    return 0


def _which_models(connection: sqlite3.Connection, settings: Config, user_id: int) -> int:
    names = erasure.models_with(connection, settings.models_dir, user_id)
    print("\n".join(names) or "No model here learned from what is stored of this person.")
    return 0


def _list(connection: sqlite3.Connection) -> int:
    for one in people.exclusions(connection):
        day = time.strftime("%Y-%m-%d", time.localtime(one.excluded_at))
        by = f" by {one.excluded_by}" if one.excluded_by else ""
        print(f"{one.user_id:<20} {day}{by} {one.reason}".rstrip())
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("user_id", nargs="?", type=_user_id, help="the person's Discord id")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--reason", default="", help="kept with the exclusion")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--include", action="store_true", help="take the exclusion back")
    what.add_argument("--list", action="store_true", help="show everybody who is excluded")
    what.add_argument("--which-models", action="store_true", help="only show who learned from them")
    return parser.parse_args()


def _user_id(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 0 < number < 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no Discord id: a number of 17 to 20 digits")
    return number


if __name__ == "__main__":
    sys.exit(main())
