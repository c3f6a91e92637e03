"""Step 4: can a machine, or a reader, tell the model's replies from the members'?

    python scripts/4_evaluate_personality.py [--env PATH] [--model NAME] [--quant Q4_K_M]
        [--limit N] [--seed N] [--quick | --tune | --shadow | --blind-test [PAGE] [--form]]
    python scripts/4_evaluate_personality.py --score KEY RESULT [RESULT ...]

Writes the report (HTML, in the data folder) and its figures (report.json, beside the model), prints
what matters, and one line of JSON last. Exports the model first if that is still to be done.
`--quick` measures only how well the model foresees what members said. `--tune` finds the sampling
that suits it, on replies that the report does not judge; the bot takes it over with the model.
`--blind-test` writes a page on which people judge (send it to them, and keep its key), `--score`
reads what they send back. `--shadow` judges what the bot wrote in shadow mode by what members said
next; it needs no model. Stop it at any time and run it again to go on.
"""

import argparse
import dataclasses
import itertools
import json
import sqlite3
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from llama_cpp import Llama

from bot import config, logs, more_servers
from bot.config import Config, UserError
from data import secrets, shadow_score
from model import (
    blind_test,
    blind_verdict,
    embeddings,
    evaluation,
    examples,
    export,
    memorisation,
    registry,
    resident,
    runs,
    sources,
)
from model.blind_test import Item
from model.evaluation import Score
from model.examples import Example
from model.export import Exported
from model.inference import Sampling
from model.runs import Run
from model.sides import BASE, CANDIDATE, DEPLOYED, MARKOV, OTHERS
from storage import database

PAIRS, FORM, CHECKS = 50, 100, 5  # items of a blind test


def main() -> int:
    arguments = _arguments()
    try:
        if arguments.score:
            return _score_judges(*arguments.score)
        settings = config.load(arguments.env, needs_discord=False)
        if arguments.shadow:
            return shadow_score.show(settings, arguments.seed)
        connection = database.connect(settings.database_path)
        run = runs.find(settings.models_dir, arguments.model)
        rows, pool = _rows(settings, run, arguments)
        exported = export.export(run, settings.models_dir, arguments.quant)
        judging = _Evaluation(settings, connection, run, exported, rows, arguments.seed)
        if arguments.blind_test:
            return judging.blind_test(arguments.blind_test, arguments.form)
        if arguments.tune:
            metrics = judging.tune()
        else:
            metrics = judging.quick() if arguments.quick else judging.whole(pool)
        exported = export.keep_metrics(exported, metrics)
        database.add_model(connection, export.row(exported))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped. What the models said is kept; run the same command again to go on.")
        return 130
    print(json.dumps(metrics))
    return 0


def _rows(
    settings: Config, run: Run, arguments: argparse.Namespace
) -> tuple[list[Example], list[Example]]:
    """The held-out rows to measure on, the same at every call, and other replies by members."""
    if examples.data_hash(settings.training_dir) != run.plan.data_hash:
        raise UserError(
            f"The data has been prepared again since {run.name} was trained, so what is held out "
            "now may be what it learned from. Train again: python scripts/3_train_model.py"
            f"{more_servers.option(settings.env_path)}"
        )
    held_out = examples.read(settings.training_dir / "valid.jsonl")
    split = examples.development if arguments.tune else examples.test
    rows = evaluation.sample(split(held_out), arguments.limit, arguments.seed)
    if not rows:
        raise UserError("Nothing is held out to measure on. Fetch more history and prepare again.")
    chosen = set(map(id, rows))
    pool = [row for row in examples.test(held_out) if row.reply and id(row) not in chosen]
    if len(pool) < len(rows):  # of the same time if possible: what people talk about changes
        pool += examples.development(held_out)
    return rows, pool


class _Evaluation:
    """One model, measured on the same held-out rows as those it is compared with."""

    def __init__(
        self,
        settings: Config,
        connection: sqlite3.Connection,
        run: Run,
        exported: Exported,
        rows: list[Example],
        seed: int,
    ) -> None:
        self._settings, self._run, self._exported = settings, run, exported
        self._rows, self._seed = rows, seed
        self.bits: dict[str, Score] = {}
        self.differences: dict[str, tuple[float, float]] = {}
        self._usual = Sampling.of(database.settings(connection))
        self._tuned = registry.sampling(exported.metrics)
        self._sampling = dataclasses.replace(self._usual, **self._tuned)
        self._models = {CANDIDATE: exported.path, BASE: settings.models_dir / run.plan.base_gguf}
        deployed = database.deployed_model(connection)
        if deployed and deployed.path != exported.path and deployed.path.exists():
            self._models[DEPLOYED] = deployed.path

    def quick(self) -> dict[str, Any]:
        """How well the model foresees members, for the registry."""
        bits = {name: self._score(path, name) for name, path in self._models.items()}
        this = bits[CANDIDATE]
        for name, other in bits.items():
            if name != CANDIDATE:
                self.differences[name] = evaluation.interval(this, other, self._seed)
        self.bits = bits
        _show(bits, self.differences)
        low, high = self.differences[BASE]
        metrics = {
            "model": self._exported.name,
            "quant": self._exported.quant,
            "bits_per_char": round(bits[CANDIDATE].bits_per_char, 4),
            "bits_per_char_base": round(bits[BASE].bits_per_char, 4),
            "difference_95": [round(low, 4), round(high, 4)],
            "perplexity": round(bits[CANDIDATE].perplexity, 2),
            "perplexity_base": round(bits[BASE].perplexity, 2),
            "examples": len(self._rows),
            "characters": int(bits[CANDIDATE].characters.sum()),
            "seed": self._seed,
            "measured_at": round(time.time(), 1),
        }
        if self._run.plan.recipe.canaries:
            metrics["exposure"] = self._exposure()
        return {**metrics, "sampling": self._tuned} if self._tuned else metrics

    def tune(self) -> dict[str, Any]:
        """What is known of the model, with the sampling that makes it hardest to tell apart."""
        from model import detection, tuning  # scikit-learn: seconds

        members, groups = [row.reply for row in self._rows], examples.conversations(self._rows)
        detection.require(len(members), len(set(groups)))

        def judge(sampling: Sampling) -> float:
            said = self._said(CANDIDATE, sampling)
            try:
                return tuning.auc(members, said, groups, self._seed)
            except UserError:
                return 1.0  # it has nothing to say

        best: dict[str, Any] = {}
        for trial in tuning.tune(self._usual, judge):
            print(trial, flush=True)
            best = trial.tuned if trial.is_best else best
        print("* the best so far. The bot takes the last of them when this model is deployed.")
        return {**self._exported.metrics, "sampling": best}

    def whole(self, pool: Sequence[Example]) -> dict[str, Any]:
        """Everything: replies of all sides, every figure, the report and its page."""
        from model import (  # scikit-learn: seconds
            assessment,
            copying,
            detection,
            report,
            report_page,
        )

        detection.require(len(self._rows), len(set(examples.conversations(self._rows))))
        metrics = self.quick()
        started = time.monotonic()
        known = [row.reply for row in examples.read(self._settings.training_dir / "train.jsonl")]
        sides = self._sides(pool, known)
        spoken = time.monotonic()
        meter = logs.meter("figures", len(sides))
        embed = embeddings.Embedder(embeddings.minilm(self._settings.models_dir))
        found = assessment.assess(self._rows, sides, known, embed, _secrets, meter, self._seed)
        seconds = {"generation": spoken - started, "metrics": time.monotonic() - spoken}
        about = report.About(
            name=self._exported.name,
            quant=self._exported.quant,
            sha256=self._exported.facts["files"][self._exported.quant]["sha256"],
            base=self._run.plan.base,
            data_hash=self._run.plan.data_hash,
            stages=self._run.plan.stages,
            trained_on=len(known),
            seed=self._seed,
            sampling=self._sampling,
            seconds={name: round(value, 1) for name, value in seconds.items()},
            exposure=metrics.get("exposure", {}),
        )
        facts = report.make(about, found, self.bits, self.differences)
        past = [
            one
            for one in report.history(self._settings.models_dir)
            if one["sha256"] != about.sha256
        ]
        report.keep(self._exported.path.parent, facts, self._exported.quant)
        page = self._settings.data_dir / "reports" / f"{self._exported.path.stem}.html"
        places = copying.nearest(sides[CANDIDATE], known)
        nearest = [known[place] if place >= 0 else "" for place in places]
        report_page.write(page, facts, self._rows, found, past, nearest)
        print(*report.summary(facts), f"The report: {page}", sep="\n")
        told_apart = facts["sides"][CANDIDATE]["detection"]
        judged = {name: told_apart[name] for name in ("auc", "auc_95", "accuracy")}
        return {**metrics, **judged, "match": facts["sides"][CANDIDATE]["match"], **about.seconds}

    def _sides(self, pool: Sequence[Example], known: Sequence[str]) -> dict[str, list[str]]:
        """What everybody says to the contexts."""
        sides = {
            OTHERS: sources.others(self._rows, pool, self._seed),
            MARKOV: sources.markov(self._rows, known, self._seed),
        }
        for name in self._models:
            is_running = name == DEPLOYED
            sides[name] = self._said(name, self._usual if is_running else self._sampling)
        return sides

    def _said(self, name: str, sampling: Sampling) -> list[str]:
        """What a model says to the contexts."""
        kept = self._settings.data_dir / "evaluation"
        path = self._models[name]
        return sources.bot(path, self._rows, sampling, kept, self._load, self._seed, name)

    def blind_test(self, path: Path, is_form: bool) -> int:
        """Write a page for people to judge on."""
        if path.is_dir():
            path = path / f"{self._exported.path.stem}-{time.strftime('%Y%m%d-%H%M')}.html"
        said = self._said(CANDIDATE, self._sampling)
        pairs = [(row, text) for row, text in zip(self._rows, said, strict=True) if text]
        shown, rest = pairs[: FORM if is_form else PAIRS], pairs[FORM if is_form else PAIRS :]
        known = [row.reply for row in examples.read(self._settings.training_dir / "train.jsonl")]
        nonsense = sources.markov(self._rows, known, self._seed)
        items = [Item(str(n), row.turns, row.reply, text) for n, (row, text) in enumerate(shown)]
        items += [
            Item(f"check {n}", row.turns, row.reply, nonsense[n], is_check=True)
            for n, (row, _) in enumerate(rest[:CHECKS])
        ]
        kind = blind_test.FORM if is_form else blind_test.PAIRS
        key = blind_test.write(path, items, kind, self._seed)
        print(f"Send {path} to those who are to judge; it works offline, in any browser.")
        print(f"Keep {key} to yourself. When their result files are back:")
        print(f"python scripts/4_evaluate_personality.py --score {key} RESULT.json ...")
        return 0

    def _exposure(self) -> dict[int, float]:
        """How well the model knows the codes that were planted, by how often they were."""
        model = self._load(self._exported.path, 512)
        meter = logs.meter("canaries", len(memorisation.THINGS) * memorisation.CANDIDATES)
        done = itertools.count(1)

        def bits(rows: Sequence[Example]) -> Sequence[float]:
            score = evaluation.score(model, rows, lambda _: meter(next(done), ""))
            return [float(cost) for cost in score.bits]

        found = memorisation.exposure(bits, self._run.plan.recipe.seed)
        model.close()
        print("Planted codes, and how well they are known in bits: ", end="")
        print(", ".join(f"{repeats} times {known:.1f}" for repeats, known in found.items()))
        print(f"({memorisation.UNKNOWN:.1f} is not at all, {memorisation.MOST:.0f} by heart).")
        return {repeats: round(known, 2) for repeats, known in found.items()}

    def _score(self, path: Path, name: str) -> Score:
        model = self._load(path, self._settings.context_length)
        meter = logs.meter("foresee", len(self._rows))
        score = evaluation.score(model, self._rows, lambda done: meter(done, name))
        model.close()
        return score

    def _load(self, path: Path, context_length: int) -> Llama:
        return resident.load(
            path, context_length, self._settings.threads, self._settings.gpu_layers
        )


def _score_judges(key: Path, *results: Path) -> int:
    if not results:
        raise UserError("--score needs the key of the page, and the result files of its judges.")
    verdict = blind_verdict.score(key, results)
    print("\n".join(verdict.sentences()))
    print(json.dumps(verdict.facts()))
    return 0


def _secrets(text: str) -> int:
    return sum(secrets.mask(text)[1].values())


def _show(bits: dict[str, Score], differences: dict[str, tuple[float, float]]) -> None:
    print(f"{'':<20} {'bits/char':>10} {'perplexity':>11}")
    for name, score in bits.items():
        print(f"{name:<20} {score.bits_per_char:>10.3f} {score.perplexity:>11.1f}", end="")
        if interval := differences.get(name):
            gained = bits[CANDIDATE].bits_per_char - score.bits_per_char
            print(f"   {gained:+.3f} (95 %: {interval[0]:+.3f} to {interval[1]:+.3f})", end="")
        print()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    parser.add_argument("--model", help="which trained model (default: the newest)")
    parser.add_argument("--quant", choices=export.QUANTS, default="Q4_K_M")
    parser.add_argument("--limit", type=int, default=300, help="replies to measure on")
    parser.add_argument("--seed", type=int, default=0, help="for the choice of replies")
    parser.add_argument("--quick", action="store_true", help="no replies and no report")
    parser.add_argument("--tune", action="store_true", help="find the sampling that suits it")
    parser.add_argument("--shadow", action="store_true", help="judge what shadow mode kept")
    parser.add_argument(
        "--blind-test",
        type=Path,
        nargs="?",
        const=Path(),
        metavar="PAGE",
        help="write a page on which people judge (default: NAME-DATE.html in this folder)",
    )
    parser.add_argument("--form", action="store_true", help="50 + 50 replies one by one, not pairs")
    parser.add_argument("--score", type=Path, nargs="+", metavar=("KEY", "RESULT"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
