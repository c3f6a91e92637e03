"""The bot's last replies, and a thumbs-down for any, in a terminal.

python -m gui.exchanges [--env PATH]
python -m gui.exchanges --bad REPLY_ID | --take-back REPLY_ID
"""

import argparse
import contextlib
import sys
import time
from pathlib import Path

from bot import config
from bot.config import UserError
from storage import database, judgements
from storage.judgements import Exchange


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            known = {one.reply_id for one in judgements.exchanges(connection, limit=-1)}
            chosen = arguments.bad or arguments.take_back
            if chosen and chosen not in known:
                raise UserError(f"{chosen} is no reply of the bot's; without arguments all show.")
            if arguments.bad:
                judgements.reject(connection, chosen)
            elif chosen:
                judgements.take_back(connection, chosen)
            for one in judgements.exchanges(connection):
                print(_shown(one))
    except UserError as error:
        return config.exit_with(error)
    return 0


def _shown(one: Exchange) -> str:
    moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.sent_at))
    mark = "bad" if one.is_rejected else "   "
    said = f"{one.said_by}: {one.said}" if one.said else "(not stored any more)"
    return (
        f"{mark}  {one.reply_id}  {moment}  {one.seconds:.1f} s\n       {said}\n     > {one.reply}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--bad", type=int, metavar="REPLY_ID", help="keep that a reply is bad")
    what.add_argument("--take-back", type=int, metavar="REPLY_ID", help="forget that it is")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
