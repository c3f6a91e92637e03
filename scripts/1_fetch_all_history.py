"""Step 1: copy the server's whole message history into the local database.

    python scripts/1_fetch_all_history.py [--env PATH] [--i-have-permission]
        [--refetch | --import PATH]

Fetches only what is new since the last run; stop it at any time and run it again to go on.
`--refetch` reads everything again, to learn what was edited, deleted or reacted to since.
`--import` reads an export instead (a file, a folder or a zip), and needs neither token nor network.
"""

import argparse
import asyncio
import contextlib
import functools
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs, more_servers
from bot.config import Config, UserError
from data import fetcher, importer, privacy
from storage import channels, database

SHOWN = 3  # names in a line


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=arguments.path is None)
        connection = database.connect(settings.database_path)
        if not database.has_permission(connection):
            _ask_permission(arguments.i_have_permission)
            database.confirm_permission(connection, privacy.STATEMENT)
        if arguments.path:
            return _import(connection, arguments.path, settings, _own_id(arguments.env))
        if arguments.refetch:
            with database.transaction(connection):
                channels.start_over(connection)
        report = asyncio.run(fetcher.fetch(settings, connection, _progress))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. What was stored is kept; run the same command again to go on.")
        return 130
    return _conclude(report, settings)


def _conclude(report: fetcher.Report, settings: Config) -> int:
    print("\n".join(report.sentences()))
    if report.failed or not report.channels:
        return 1
    _hint(settings)
    return 0


def _hint(settings: Config) -> None:
    option = more_servers.option(settings.env_path)
    print(f"Next: python scripts/2_prepare_training_data.py{option}")


def _own_id(env_path: Path | None) -> int:
    """The bot's user id, 0 while there is no token that says it."""
    with contextlib.suppress(UserError):
        return config.load(env_path).application_id
    return 0


def _import(connection: sqlite3.Connection, path: Path, settings: Config, own_id: int) -> int:
    report = importer.load(connection, path, own_id, _import_progress)
    print(
        f"Imported {report.new:,} new messages; {report.known:,} were known already. "
        f"Read {_files(report.files)}."
    )
    for reason, count in report.skipped.items():
        print(f"Left out {count:,}: {reason} (first at {report.first[reason]}).")
    for title, names in (
        ("Not read to the end", report.broken),
        ("Not opened", report.refused),
        ("No export", report.unrecognised),
    ):
        if names:
            print(f"{title}, {_files(len(names))}: {', '.join(names[:SHOWN])}{_more(names)}")
    _hint(settings)
    return 1 if report.broken else 0


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _more(names: list[str]) -> str:
    return f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""


def _import_progress(done: int, total: int, messages: int) -> None:
    _meter(total)(done, f"{messages:,} messages")


@functools.cache  # one meter for the whole import
def _meter(total: int) -> Callable[[int, str], None]:
    return logs.meter("import", total)


def _ask_permission(is_given: bool) -> None:
    if is_given:
        return
    if not sys.stdin.isatty():
        raise privacy.permission_needed()
    print(f'Please confirm: "{privacy.STATEMENT}"')
    if input("Type yes to confirm: ").strip().lower() != "yes":
        raise privacy.permission_needed()


def _progress(done: int, channels: int, messages: int) -> None:
    logs.report(logs.Progress("fetch", done, channels, None, f"{messages:,} messages"))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--refetch", action="store_true", help="read everything again, not only new")
    how.add_argument(
        "--import", dest="path", type=Path, help="read this export instead of asking Discord"
    )
    parser.add_argument(
        "--i-have-permission", action="store_true", help=f"confirm: {privacy.STATEMENT}"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
