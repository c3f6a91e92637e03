"""Step 3: fine-tune the model on the prepared conversations.

    python scripts/3_train_model.py [--env PATH] [--name NAME] [--resume] [--epochs N]
        [--max-steps N] [--max-seq-length N] [--learning-rate X] [--rank N] [--alpha N]
        [--dropout X] [--batch-size N] [--accumulation N] [--seed N]
        [--base-gguf FILE [--base-weights DIR]]

Writes models/training/NAME/. Stop it at any time; --resume goes on from the last checkpoint.
Without --base-gguf it trains the small default model, whose GGUF holds the weights as well.
"""

import argparse
import dataclasses
import importlib
import os
import signal
import stat
import sys
import threading
import time
import types
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs
from bot.config import Config, UserError
from model import catalog, examples, runs
from model.examples import Tokens
from model.runs import Plan, Recipe

SMALLEST = 50  # examples: below this there is nothing to learn from


def main() -> int:
    arguments = _arguments()
    stop = threading.Event()
    _on_stop_request(stop)
    try:
        settings = config.load(arguments.env, needs_discord=False)
        with runs.lock(settings.models_dir):
            make = _resumed if arguments.resume else _new
            folder, plan = make(arguments, settings)
            return _train(folder, plan, settings, stop)
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped at once. --resume goes on from the last checkpoint.")
        return 130


def _train(folder: Path, plan: Plan, settings: Config, stop: threading.Event) -> int:
    gguf = settings.models_dir / plan.base_gguf
    tokens = _tokens(settings.training_dir / "train.jsonl", gguf, plan.recipe)
    if stop.is_set():
        print("Stopped before the first step; nothing was written.")
        return 0
    weights = plan.base_weights or gguf
    manifest = settings.training_dir / "manifest.json"
    run = _trainer().train(folder, plan, weights, tokens, stop, settings.threads, manifest)
    if run is None:
        print(f"\nStopped; what was learned so far is kept in {folder}.")
        print("To go on: python scripts/3_train_model.py --resume")
        return 0
    print(f"Trained {run.name}: {run.steps} steps in {run.seconds / 60:.1f} minutes,")
    print(f"loss {run.first_loss:.2f} at the beginning, {run.last_loss:.2f} at the end.")
    print("Next: python scripts/4_evaluate_personality.py")
    return 0


def _new(arguments: argparse.Namespace, settings: Config) -> tuple[Path, Plan]:
    """A new training: its folder, which is not made yet, and its plan."""
    if arguments.base_weights and not arguments.base_gguf:
        raise UserError("--base-weights needs --base-gguf: a GGUF file of the same model.")
    data_hash = examples.data_hash(settings.training_dir)
    gguf = (arguments.base_gguf or catalog.small_model(settings.models_dir)).resolve()
    catalog.check_gguf(gguf)
    base = runs.title(gguf)
    plan = Plan(
        base=base,
        base_gguf=_relative(gguf, settings.models_dir),
        base_weights=_whole(arguments.base_weights),
        base_sha256=catalog.sha256(gguf),
        data_hash=data_hash,
        recipe=Recipe(**{choice.name: getattr(arguments, choice.name) for choice in _CHOICES}),
        started_at=time.time(),
    )
    return runs.new_folder(settings.models_dir, base, arguments.name), plan


def _resumed(arguments: argparse.Namespace, settings: Config) -> tuple[Path, Plan]:
    """The training to go on with, which keeps its own recipe."""
    folder = runs.find_unfinished(settings.models_dir, arguments.name)
    plan = runs.read_plan(folder)
    if plan.data_hash != examples.data_hash(settings.training_dir):
        raise UserError(
            f"The training data has changed since {folder.name} began, so it cannot go on. "
            "Run this without --resume to train on the new data."
        )
    return folder, plan


def _tokens(path: Path, gguf: Path, recipe: Recipe) -> list[Tokens]:
    """The training examples, by the very tokeniser that the bot will use."""
    from model import worker  # llama.cpp: not needed for --help

    rows = examples.read(path)
    model = worker.load(gguf, 512)
    encoded = examples.tokenise(rows, worker.encoder(model), recipe.max_seq_length)
    tokens = [t for t in logs.track("tokenise", encoded, len(rows)) if t]
    model.close()
    smallest = max(SMALLEST, recipe.batch_size * recipe.accumulation)
    if len(tokens) < smallest:
        raise UserError(
            f"Only {len(tokens)} usable examples in {path}; at least {smallest} are needed. Fetch "
            "more history (scripts/1_fetch_all_history.py), then "
            "run scripts/2_prepare_training_data.py again."
        )
    return tokens


def _trainer() -> types.ModuleType:
    try:
        return importlib.import_module("model.trainer")  # torch: takes seconds
    except ImportError as error:
        raise UserError(
            f"Training needs more packages ({error.name} is missing). "
            "Install them with: python3 bootstrap.py --train"
        ) from None


def _relative(path: Path, models_dir: Path) -> str:
    """A path that stays right when the models folder moves, where it is inside of it."""
    inside = path.is_relative_to(models_dir)
    return (path.relative_to(models_dir) if inside else path).as_posix()


def _whole(weights: str) -> str:
    """A folder's whole path; the name of a repository as it is."""
    return str(Path(weights).resolve()) if weights and Path(weights).exists() else weights


def _on_stop_request(stop: threading.Event) -> None:
    """Set `stop` on Ctrl+C, SIGTERM, and when the window that holds our stdin goes away."""

    signals: list[int] = []

    def handle(number: int, frame: object) -> None:
        signals.append(number)
        if len(signals) > 1:
            raise KeyboardInterrupt  # asked twice: at once
        stop.set()
        print("\nStopping after this step ...", flush=True)

    for name in ("SIGINT", "SIGTERM", "SIGBREAK"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), handle)

    def wait_for_parent() -> None:
        started = time.monotonic()
        os.read(0, 1)
        if time.monotonic() - started > 1:  # closed from the start: nobody was ever there
            stop.set()

    if stat.S_ISFIFO(os.fstat(0).st_mode):
        threading.Thread(target=wait_for_parent, daemon=True).start()


_CHOICES = dataclasses.fields(Recipe)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--name", help="for the new model (default: BASE-DATE-TIME)")
    parser.add_argument("--resume", action="store_true", help="go on with an unfinished training")
    parser.add_argument("--base-gguf", type=Path, help="the model to start from")
    parser.add_argument("--base-weights", default="", help="its Hugging Face folder or repository")
    for choice in _CHOICES:
        flag = "--" + choice.name.replace("_", "-")
        kind = type(choice.default)
        parser.add_argument(flag, type=kind, default=choice.default, help="default: %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
