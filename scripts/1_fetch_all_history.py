"""Step 1: copy the server's whole message history into the local database.

    python scripts/1_fetch_all_history.py [--env PATH] [--i-have-permission]

Fetches only what is new since the last run; stop it at any time and run it again to go on.
"""

import argparse
import asyncio
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs
from bot.config import UserError
from data import fetcher, privacy
from storage import database


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env)
        connection = database.connect(settings.database_path)
        if not database.has_permission(connection):
            _ask_permission(arguments.i_have_permission)
            database.confirm_permission(connection, privacy.STATEMENT)
        report = asyncio.run(fetcher.fetch(settings, connection, _progress))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. What was fetched is kept; run the same command again to go on.")
        return 130
    return _conclude(report)


def _conclude(report: fetcher.Report) -> int:
    print(f"Fetched {report.messages:,} new messages from {report.channels} channels and threads.")
    if report.skipped:
        print(f"Not readable for the bot, skipped: {', '.join(report.skipped)}")
    if report.failed:
        print(f"Discord did not answer for: {', '.join(report.failed)}. Run this again later.")
        return 1
    print("Next: python scripts/2_prepare_training_data.py")
    return 0


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
    parser.add_argument(
        "--i-have-permission", action="store_true", help=f"confirm: {privacy.STATEMENT}"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
