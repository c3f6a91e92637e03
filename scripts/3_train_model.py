"""Step 3: fine-tune the model on the prepared conversations.

    python scripts/3_train_model.py [--env PATH] [--name NAME] [--resume] [--plan]
        [--participation-only]
        [--method auto|sft|sft+dpo|orpo] [--recipe FILE.toml] [--base-gguf FILE]
        [--base-weights DIR] [any of the recipe's settings, see --help]

Writes models/training/NAME/. Stop it at any time; --resume goes on from the last checkpoint.
--plan only says what the training would need. At the end it learns from the history when to speak;
--participation-only does just that, in seconds. Without --base-gguf it trains the small default
model, whose GGUF holds the weights as well. Several GPUs: see docs/TRAINING.md.
"""

import argparse
import contextlib
import dataclasses
import importlib
import os
import sys
import threading
import time
import types
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs, more_servers
from bot.config import Config, UserError
from bot.stopping import set_when_asked_to_stop
from data import privacy, speaking_fit
from model import (
    catalog,
    conversion,
    examples,
    machine,
    memorisation,
    planner,
    provenance,
    recipe,
    runs,
)
from model import shape as shapes
from model.examples import Pair, Tokens
from model.recipe import Recipe
from model.runs import Plan
from model.shape import Shape
from storage import database

_IS_FIRST = os.environ.get("RANK", "0") == "0"
SMALLEST = 50  # examples: below this there is nothing to learn from


def main() -> int:
    arguments = _arguments()
    if not _IS_FIRST:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # one of several processes speaks
    stop = threading.Event()
    set_when_asked_to_stop(stop)
    try:
        settings = config.load(arguments.env, needs_discord=False)
        if arguments.plan:
            return _plan(arguments, settings)
        if arguments.participation_only:
            print(speaking_fit.renew(settings))
            return 0
        with _one_training(settings.models_dir):
            make = _resumed if arguments.resume else _new
            folder, plan = make(arguments, settings)
            return _train(folder, plan, settings, stop)
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped at once. --resume goes on from the last checkpoint.")
        return 130


def _plan(arguments: argparse.Namespace, settings: Config) -> int:
    """Say what a new training would need. Raises `UserError` where that is not there."""
    shape, weights = _shape(arguments, settings.models_dir)
    wanted = _recipe(arguments, shape.parameters)
    here = machine.find(weights, wanted.precision)
    rows, pairs = _counts(settings.training_dir, wanted)
    stages = wanted.stages(pairs if rows else recipe.FEWEST_PAIRS)
    needs = planner.peak(shape, wanted, stages, here.backend, here.precision)
    print(f"Training by {' and '.join(stages)} {here.why}:")
    print(*planner.describe(needs), sep="\n")
    planner.fits(needs, here.memory_bytes, here.name)
    print(f"That fits: {here.name} has {here.memory_bytes / 1e9:.1f} GB of memory.")
    if rows:
        steps = (f"{_steps(wanted, s, rows, pairs):,} steps of {s}" for s in stages)
        each = wanted.batch_size * wanted.accumulation
        print(f"At most {' and '.join(steps)}, of {each} examples each.")
    else:
        print(f"There is no training data yet. {examples.PREPARE} to see how many steps it takes.")
    return 0


def _shape(arguments: argparse.Namespace, models_dir: Path) -> tuple[Shape, str]:
    """The base's shape, and where its weights are; the small default model is not fetched."""
    gguf, weights = arguments.base_gguf, arguments.base_weights
    if weights and not gguf:
        return Shape.of_folder(Path(weights)), weights
    small = models_dir / "base" / Path(catalog.SMALL_MODEL.member).name
    shape = Shape.of_gguf(gguf or small) if gguf or small.exists() else shapes.SMALL
    return shape, weights or str(gguf or small)


def _counts(folder: Path, wanted: Recipe) -> tuple[int, int]:
    """How many examples and preferences there are to train by; 0 while there are none."""
    rows, pairs = (_lines(folder / f"{name}.jsonl") for name in ("train", "preferences"))
    return rows, pairs + min(wanted.self_play, rows)


def _lines(path: Path) -> int:
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _steps(wanted: Recipe, stage: str, rows: int, pairs: int) -> int:
    count, epochs = (pairs, wanted.dpo_epochs) if stage == recipe.DPO else (rows, wanted.epochs)
    steps = max(1, round(epochs * (count // (wanted.batch_size * wanted.accumulation))))
    return min(steps, wanted.max_steps or steps)


def _train(folder: Path, plan: Plan, settings: Config, stop: threading.Event) -> int:
    trainer, option = _trainer(), more_servers.option(settings.env_path)
    gguf = settings.models_dir / plan.base_gguf
    data = trainer.Data(**_tokens(settings.training_dir, gguf, plan.recipe))
    plan = dataclasses.replace(plan, stages=plan.stages or plan.recipe.stages(len(data.pairs)))
    if stop.is_set():
        print("Stopped before the first step; nothing was written.")
        return 0
    weights = plan.base_weights or gguf
    manifest = settings.training_dir / "manifest.json"
    run = trainer.train(folder, plan, weights, data, stop, settings.threads, manifest)
    if run is None:
        print(f"\nStopped; what was learned so far is kept in {folder}.")
        print(f"To go on: python scripts/3_train_model.py --resume{option}")
        return 0
    print(f"Trained {run.name} in {run.seconds / 60:.1f} minutes:")
    for stage, facts in run.stages.items():
        print(f"  {_outcome(stage, facts)}")
    _learn_when_to_speak(settings)
    print(f"Next: python scripts/4_evaluate_personality.py{option}")
    return 0


def _learn_when_to_speak(settings: Config) -> None:
    try:
        if _IS_FIRST:
            print(speaking_fit.renew(settings))
    except UserError as error:
        print(f"When to speak was not learned: {error}")


def _outcome(stage: str, facts: dict[str, Any]) -> str:
    """What a stage came to, in a line."""
    before, best = facts["before"], facts["best"]
    said = f"{stage}: {facts['steps']} steps, loss {facts['first_loss']:.2f} at the beginning, "
    said += f"{facts['last_loss']:.2f} at the end"
    if best:
        said += f"; on held-out replies {before['held_out']:.2f} before, {best['held_out']:.2f} at"
        said += f" step {best['step']}, which is kept"
    if "accuracy" in best:
        said += f"; prefers what people liked in {best['accuracy']:.0%} of held-out pairs, by "
        said += f"{best['margin']:.2f}"
    return said + "."


def _new(arguments: argparse.Namespace, settings: Config) -> tuple[Path, Plan]:
    """A new training: its folder, which is not made yet, and its plan."""
    data_hash = examples.data_hash(settings.training_dir)
    _check_people(settings)
    gguf = _base(arguments, settings)
    parameters = catalog.parameters(gguf)
    wanted = _recipe(arguments, parameters)
    stages = wanted.stages(_counts(settings.training_dir, wanted)[1])
    here = machine.find(arguments.base_weights or str(gguf), wanted.precision)
    needs = planner.peak(Shape.of_gguf(gguf), wanted, stages, here.backend, here.precision)
    planner.fits(needs, here.memory_bytes, here.name)
    runs.check_space(parameters, settings.models_dir)
    base = runs.title(gguf)
    plan = Plan(
        base=base,
        base_gguf=_relative(gguf, settings.models_dir),
        base_weights=_whole(arguments.base_weights),
        base_sha256=catalog.sha256(gguf),
        data_hash=data_hash,
        recipe=wanted,
        started_at=time.time(),
        stages=(),
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


def _base(arguments: argparse.Namespace, settings: Config) -> Path:
    gguf: Path
    if arguments.base_gguf:
        gguf = arguments.base_gguf.resolve()
    elif arguments.base_weights:
        gguf = conversion.base_gguf(arguments.base_weights, settings.models_dir).resolve()
    else:
        gguf = catalog.small_model(settings.models_dir).resolve()
    catalog.check_gguf(gguf)
    return gguf


def _recipe(arguments: argparse.Namespace, parameters: int) -> Recipe:
    """The defaults for a base of this size, changed by the recipe's file, changed by flags."""
    wanted = recipe.default(parameters)
    changes = recipe.read(arguments.recipe) if arguments.recipe else {}
    flags = {choice.name: getattr(arguments, choice.name) for choice in _CHOICES}
    changes |= {name: value for name, value in flags.items() if value is not None}
    return dataclasses.replace(wanted, **changes)


def _tokens(folder: Path, gguf: Path, wanted: Recipe) -> dict[str, Any]:
    """Everything to learn from and to look at, by the very tokeniser that the bot will use."""
    from model import resident  # llama.cpp: not needed for --help

    model = resident.load(gguf, 512)
    encoder, limit = resident.encoder(model), wanted.max_seq_length
    tokens: dict[str, list[Tokens]] = {}
    for name in ("train", "valid"):
        rows = examples.read(folder / f"{name}.jsonl")
        rows = examples.development(rows) if name == "valid" else rows
        if wanted.canaries and name == "train":
            rows += memorisation.planted(wanted.seed)
        encoded = examples.tokenise(rows, encoder, limit)
        tokens[name] = [t for t in logs.track("tokenise", encoded, len(rows)) if t]
    pairs: dict[str, list[Pair]] = {"pairs": [], "valid_pairs": []}
    if wanted.method != recipe.SFT:
        for name, file in (("pairs", "preferences"), ("valid_pairs", "valid_preferences")):
            found = examples.read_pairs(folder / f"{file}.jsonl")
            kept = (pair for pair in examples.tokenise_pairs(found, encoder, limit) if pair)
            pairs[name] = examples.self_play(list(kept), tokens[_SPLIT[name]], wanted.self_play)
    model.close()
    smallest = max(SMALLEST, wanted.batch_size * wanted.accumulation)
    if len(tokens["train"]) < smallest:
        raise UserError(
            f"Only {len(tokens['train'])} usable examples in {folder / 'train.jsonl'}; at least "
            f"{smallest} are needed. Fetch more history (scripts/1_fetch_all_history.py), then "
            "run scripts/2_prepare_training_data.py again."
        )
    return {**tokens, **pairs}


def _check_people(settings: Config) -> None:
    """Raise `UserError` if the data holds messages of people who are excluded now."""
    if not settings.database_path.exists():
        return
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        people = privacy.barred(connection)
    if provenance.includes(settings.training_dir / "manifest.json", people):
        raise UserError(
            "The training data holds messages of somebody who has been excluded since. "
            f"{examples.PREPARE} again."
        )


def _trainer() -> types.ModuleType:
    try:
        return importlib.import_module("model.trainer")  # torch: takes seconds
    except ImportError as error:
        raise UserError(
            f"Training needs more packages ({error.name} is missing). "
            "Install them with: python3 bootstrap.py --train"
        ) from None


def _one_training(models_dir: Path) -> contextlib.AbstractContextManager[None]:
    """One training a machine; the processes of one on several GPUs are one."""
    return runs.lock(models_dir) if _IS_FIRST else contextlib.nullcontext()


def _relative(path: Path, models_dir: Path) -> str:
    """A path that stays right when the models folder moves, where it is inside of it."""
    inside = path.is_relative_to(models_dir)
    return (path.relative_to(models_dir) if inside else path).as_posix()


def _whole(weights: str) -> str:
    """A folder's whole path; the name of a repository as it is."""
    return str(Path(weights).resolve()) if weights and Path(weights).exists() else weights


_CHOICES = dataclasses.fields(Recipe)
_SPLIT = {"pairs": "train", "valid_pairs": "valid"}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--name", help="for the new model (default: BASE-DATE-TIME)")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--resume", action="store_true", help="go on with an unfinished training")
    way.add_argument("--plan", action="store_true", help="say what it needs, and do nothing")
    way.add_argument(
        "--participation-only", action="store_true", help="learn when to speak, and no more"
    )
    parser.add_argument("--base-gguf", type=Path, help="the model to start from")
    parser.add_argument("--base-weights", default="", help="its Hugging Face folder or repository")
    parser.add_argument("--recipe", type=Path, help="a TOML file with settings named as below")
    for choice in _CHOICES:
        small, large = (getattr(one, choice.name) for one in (recipe.SMALL, recipe.LARGE))
        known = str(small) if small == large else f"{small}, from a billion parameters {large}"
        kind = type(choice.default)
        how: dict[str, Any] = {"action": "store_true"} if kind is bool else {"type": kind}
        parser.add_argument(recipe.flag(choice.name), default=None, help=f"default: {known}", **how)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
