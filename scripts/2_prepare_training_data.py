"""Step 2: turn the stored messages into training, held-out and preference files.

    python scripts/2_prepare_training_data.py [--env PATH] [--seed N]

Writes data_storage/training/{train,valid,preferences}.jsonl and manifest.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs
from bot.config import UserError
from data import preprocessor
from storage import database


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        connection = database.connect(settings.database_path)
        logs.report(logs.Progress("prepare", 0, 0))
        summary = preprocessor.prepare(connection, settings.training_dir, arguments.seed)
        logs.report(logs.Progress("prepare", summary.train, summary.train))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. The files of the last complete run are untouched.")
        return 130
    print(f"{summary.train:,} examples to learn from, {summary.valid:,} held out,")
    print(f"{summary.preferences:,} replies that people reacted to.")
    for reason, number in sorted(summary.left_out.items()):
        print(f"  left out, {reason}: {number:,}")
    print("Next: python scripts/3_train_model.py")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--seed", type=int, default=0, help="for the choice of window lengths")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
