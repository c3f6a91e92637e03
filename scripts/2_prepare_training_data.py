"""Step 2: turn the stored messages into training, held-out and preference files.

    python scripts/2_prepare_training_data.py [--env PATH] [--seed N] [--author-share SHARE]
        [--held-out SHARE] [--window FEWEST MOST] [--pair-share SHARE]
        [--rejected model|sibling|formal|generic] [--keep-secrets]
        [--max-seq-length TOKENS [--base-gguf PATH]]

Writes data_storage/training/{train,valid,preferences,valid_preferences}.jsonl and manifest.json.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs, more_servers
from bot.config import UserError
from data import preferences, preprocessor
from data.own_replies import MEMBERS, REJECTED
from data.preprocessor import Settings, Summary
from model import catalog
from model.examples import LIKED
from model.prompts import Encoder
from storage import database, messages


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        recipe = Settings(
            seed=arguments.seed,
            window=tuple(arguments.window),
            pair_share=arguments.pair_share,
            held_out=arguments.held_out,
            author_share=arguments.author_share,
            masks_secrets=not arguments.keep_secrets,
            max_seq_length=arguments.max_seq_length,
            rejected=arguments.rejected,
        )
        encoder = None
        if recipe.max_seq_length:
            encoder = _encoder(arguments.base_gguf or catalog.small_model(settings.models_dir))
        connection = database.connect(settings.database_path)
        total = 2 * messages.count(connection)  # every message is read twice
        meter = logs.meter("prepare", total)
        summary = preprocessor.prepare(
            connection, settings.training_dir, recipe, lambda done, _: meter(done, ""), encoder
        )
        logs.report(logs.Progress("prepare", total, total))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. The files of the last complete run are untouched.")
        return 130
    _conclude(summary)
    print(f"Next: python scripts/3_train_model.py{more_servers.option(settings.env_path)}")
    return 0


def _encoder(gguf: Path) -> Encoder:
    from model import resident  # llama.cpp: not needed for --help

    return resident.encoder(resident.load(gguf, 512))


def _conclude(summary: Summary) -> None:
    print(
        f"{summary.messages:,} messages by {summary.people:,} people in "
        f"{summary.conversations:,} conversations:"
    )
    print(f"{summary.train:,} examples to learn from, {summary.valid:,} held out,")
    print(_pairs(summary))
    for reason, number in sorted(summary.left_out.items()):
        print(f"  messages left out, {reason}: {number:,}")
    if summary.thinned:
        print(f"  examples left out, so that nobody dominates: {summary.thinned:,}")
    if summary.near_duplicates:
        print(f"  examples left out, near copies of held-out ones: {summary.near_duplicates:,}")
    if summary.too_long:
        print(f"  examples left out, too long: {summary.too_long:,}")
    for kind, number in sorted(summary.masked.items()):
        print(f"  masked, {kind}: {number:,}")
    if advice := preferences.advice(summary.preferences):
        print(advice)


def _pairs(summary: Summary) -> str:
    """Where the preferences come from, in a line."""
    members, rejected, liked = (
        summary.pairs.get(source, 0) for source in (MEMBERS, REJECTED, LIKED)
    )
    said = f"{members:,} replies that people liked beyond what is usual; of the bot's own, "
    said += f"{rejected:,} rejected and {liked:,} liked"
    return said + (f", {summary.own_left_out:,} left out." if summary.own_left_out else ".")


def _arguments() -> argparse.Namespace:
    usual = Settings()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--seed", type=int, default=0, help="for the choice of window lengths")
    parser.add_argument(
        "--author-share",
        type=float,
        default=usual.author_share,
        help="of the examples, at most, by one author (default: %(default)s)",
    )
    parser.add_argument(
        "--held-out",
        type=float,
        default=usual.held_out,
        help="of each channel, its newest part, never trained on (default: %(default)s)",
    )
    parser.add_argument(
        "--window",
        type=int,
        nargs=2,
        default=usual.window,
        metavar=("FEWEST", "MOST"),
        help="messages in an example, the reply included (default: 5 10)",
    )
    parser.add_argument(
        "--pair-share",
        type=float,
        default=usual.pair_share,
        help="of the examples show one message only (default: %(default)s)",
    )
    parser.add_argument(
        "--rejected",
        choices=preprocessor.REJECTED,
        default=usual.rejected,
        help="what is set against a liked reply: the model's own (step 3 fills it in), another "
        "reply that nobody liked, or a canned one (default: %(default)s)",
    )
    parser.add_argument(
        "--max-seq-length",
        type=int,
        default=usual.max_seq_length,
        metavar="TOKENS",
        help="drop the oldest context of longer examples here, and not only in step 3",
    )
    parser.add_argument(
        "--base-gguf", type=Path, help="whose tokens those are (default: the small model)"
    )
    parser.add_argument(
        "--keep-secrets", action="store_true", help="do not mask passwords, keys and addresses"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
