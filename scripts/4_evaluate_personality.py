"""Step 4: measure a trained model on conversations that it has never seen.

    python scripts/4_evaluate_personality.py [--env PATH] [--model NAME] [--quant Q4_K_M]
        [--limit N] [--seed N]

Prints a table, and one line of JSON last. Exports the model first if that is still to be done.
"""

import argparse
import itertools
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bot import config, logs
from bot.config import Config, UserError
from model import evaluation, examples, export, memorisation, runs, worker
from model.evaluation import Score
from model.examples import Example
from model.export import Exported
from model.runs import Run
from storage import database


def main() -> int:
    arguments = _arguments()
    try:
        settings = config.load(arguments.env, needs_discord=False)
        connection = database.connect(settings.database_path)
        run = runs.find(settings.models_dir, arguments.model)
        rows = _rows(settings, run, arguments.limit, arguments.seed)
        exported = export.export(run, settings.models_dir, arguments.quant)
        base = settings.models_dir / run.plan.base_gguf
        metrics = _measure(settings, exported, base, rows, arguments.seed)
        if run.plan.recipe.canaries:
            metrics["exposure"] = _exposure(settings, exported.path, run.plan.recipe.seed)
        exported = export.keep_metrics(exported, metrics)
        database.add_model(connection, export.row(exported))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. Nothing was kept; run the same command again.")
        return 130
    print(json.dumps(metrics))
    return 0


def _rows(settings: Config, run: Run, limit: int, seed: int) -> list[Example]:
    """The held-out rows to measure on, the same at every call."""
    if examples.data_hash(settings.training_dir) != run.plan.data_hash:
        raise UserError(
            f"The data has been prepared again since {run.name} was trained, so what is held out "
            "now may be what it learned from. Train again: python scripts/3_train_model.py"
        )
    held_out = examples.test(examples.read(settings.training_dir / "valid.jsonl"))
    rows = evaluation.sample(held_out, limit, seed)
    if not rows:
        raise UserError("Nothing is held out to measure on. Fetch more history and prepare again.")
    return rows


def _measure(
    settings: Config, exported: Exported, base: Path, rows: list[Example], seed: int
) -> dict[str, Any]:
    """What script 4 prints and stores."""
    tuned = _score(settings, exported.path, rows, "evaluate")
    plain = _score(settings, base, rows, "compare")
    low, high = evaluation.interval(tuned, plain, seed)
    _show(exported.name, tuned, plain, (low, high))
    return {
        "model": exported.name,
        "quant": exported.quant,
        "bits_per_char": round(tuned.bits_per_char, 4),
        "bits_per_char_base": round(plain.bits_per_char, 4),
        "difference_95": [round(low, 4), round(high, 4)],
        "perplexity": round(tuned.perplexity, 2),
        "perplexity_base": round(plain.perplexity, 2),
        "examples": len(rows),
        "characters": int(tuned.characters.sum()),
        "seed": seed,
        "measured_at": round(time.time(), 1),
    }


def _exposure(settings: Config, path: Path, seed: int) -> dict[int, float]:
    """How well the model knows the codes that were planted, by how often they were."""
    model = worker.load(path, settings.context_length, settings.threads, settings.gpu_layers)
    meter = logs.meter("canaries", len(memorisation.THINGS) * memorisation.CANDIDATES)
    done = itertools.count(1)

    def bits(rows: Sequence[Example]) -> Sequence[float]:
        score = evaluation.score(model, rows, lambda _: meter(next(done), path.name))
        return [float(cost) for cost in score.bits]

    found = memorisation.exposure(bits, seed)
    model.close()
    print("Planted codes, and how well they are known in bits: ", end="")
    print(", ".join(f"{repeats} times {known:.1f}" for repeats, known in found.items()), end=". ")
    print(f"{memorisation.UNKNOWN:.1f} is not at all, {memorisation.MOST:.0f} by heart.")
    return {repeats: round(known, 2) for repeats, known in found.items()}


def _score(settings: Config, path: Path, rows: list[Example], step: str) -> Score:
    model = worker.load(path, settings.context_length, settings.threads, settings.gpu_layers)
    meter = logs.meter(step, len(rows))
    score = evaluation.score(model, rows, lambda done: meter(done, path.name))
    model.close()
    return score


def _show(name: str, tuned: Score, plain: Score, interval: tuple[float, float]) -> None:
    print(f"{'':<40} {'bits/char':>10} {'perplexity':>11}")
    for title, score in ((name, tuned), ("the base model", plain)):
        print(f"{title:<40} {score.bits_per_char:>10.3f} {score.perplexity:>11.1f}")
    difference = tuned.bits_per_char - plain.bits_per_char
    print(f"{'difference':<40} {difference:>+10.3f}", end=" ")
    print(f"(95 %: {interval[0]:+.3f} to {interval[1]:+.3f}, {len(tuned.bits)} replies)")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--model", help="which trained model (default: the newest)")
    parser.add_argument("--quant", choices=export.QUANTS, default="Q4_K_M")
    parser.add_argument("--limit", type=int, default=200, help="replies to measure on")
    parser.add_argument("--seed", type=int, default=0, help="for the choice of replies")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
