"""What an evaluation comes to: report.json, the verdict in words, and what to try next.

report.json lies beside the model. It holds figures and no text of anybody's, so that it may be
carried along with the model; the page with examples is `model/report_page.py`'s.
"""

import dataclasses
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.config import UserError
from model import runs
from model.sides import BASE, CANDIDATE, DEPLOYED, OTHERS

if TYPE_CHECKING:
    from model.assessment import Side  # scikit-learn: seconds
    from model.evaluation import Score
    from model.inference import Sampling

FORMAT = 1
FILE = "report.json"
GOAL, GOOD_MATCH = 0.60, 0.85  # of the AUC; the share of replies below which there is work to do
SHOWN_TELLS = 5
EVALUATE = "Run scripts/4_evaluate_personality.py"

Facts = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class About:
    """Which model was judged, by what, and how it drew its replies."""

    name: str
    quant: str
    sha256: str
    base: str
    data_hash: str
    stages: Sequence[str]
    trained_on: int
    seed: int
    sampling: "Sampling"
    seconds: Mapping[str, float]
    exposure: Mapping[int, float] = dataclasses.field(default_factory=dict)


def make(
    about: About,
    sides: "Mapping[str, Side]",
    bits: "Mapping[str, Score]",
    differences: Mapping[str, tuple[float, float]],
) -> Facts:
    """The report's figures.

    `bits` is how well each model foresees members; `differences` the 95 % interval of this model's
    bits per character minus another's.
    """
    candidate = sides[CANDIDATE]
    tells = [
        {"tell": tell.description, "bot": tell.bot, "members": tell.members}
        for tell in candidate.detection.tells
    ]
    facts: Facts = {
        "format": FORMAT,
        **{field.name: getattr(about, field.name) for field in dataclasses.fields(about)},
        "sampling": dataclasses.asdict(about.sampling),
        "made_at": round(time.time(), 1),
        "contexts": len(candidate.texts),
        "sides": {name: side.facts for name, side in sides.items()},
        "bits_per_char": {name: round(score.bits_per_char, 4) for name, score in bits.items()},
        "perplexity": {name: round(score.perplexity, 2) for name, score in bits.items()},
        "difference_95": {name: list(interval) for name, interval in differences.items()},
        "tells": tells,
    }
    facts = json.loads(json.dumps(facts))  # as it will be read again
    return {**facts, "verdict": verdict(facts), "advice": advice(facts)}


def verdict(facts: Facts) -> str:
    """One sentence for whoever runs the server."""
    found = facts["sides"][CANDIDATE]["detection"]
    (low, high), accuracy = found["auc_95"], found["accuracy"]
    share = f"a machine told its replies from members' in {accuracy:.0%} of cases (50 % is chance)"
    if low <= 0.5:
        return f"Indistinguishable here: {share}, which is no more than luck."
    if high <= GOAL:
        return f"Very close to the members: {share}."
    if found["auc"] <= GOAL:
        return f"Close to the members, as far as so few replies can tell: {share}."
    base = facts["sides"].get(BASE)
    if base and found["auc_95"][1] < base["detection"]["auc_95"][0]:
        return f"Not there yet, but training helped: {share}; before training it was " + (
            f"{base['detection']['accuracy']:.0%}."
        )
    return f"Easily told apart: {share}."


def advice(facts: Facts) -> list[str]:
    """What to try next, most promising first; nothing above 85 % match."""
    this, members = facts["sides"][CANDIDATE], facts["sides"][OTHERS]
    if this["match"] >= GOOD_MATCH:
        return []
    like, human = this["likeness"], members["likeness"]
    found = []
    if facts["trained_on"] < 2000:
        found.append(
            f"It learned from {facts['trained_on']:,} replies only. Fetch or import more history: "
            "nothing else helps as much."
        )
    if (gained := facts["difference_95"].get(BASE)) and gained[1] > -0.1:
        found.append(
            "It foresees members hardly better than its base. Train longer (--epochs), or with a "
            "higher --rank or --learning-rate."
        )
    if like["characters"]["others"] > 1.4 * max(1.0, like["characters"]["members"]):
        found.append("Its replies are too long. Preference training (--method sft+dpo) shortens.")
    if like["others"]["distinct_2"] < 0.9 * human["others"]["distinct_2"]:
        found.append("It says the same things too often. Raise the temperature (try --tune).")
    if like["others"]["loops"] > human["others"]["loops"] + 0.01:
        found.append("It gets stuck in loops. Raise the repetition penalty (try --tune).")
    if this["copies"]["rate"] > 2 * this["copies"]["members_rate"] + 0.02:
        found.append(
            "It recites what it learned. Train for fewer --epochs, or with a lower --rank."
        )
    if this["fit"]["mrr"] < members["fit"]["mrr"] + 0.02:
        found.append(
            "Its replies fit no better than those of members who spoke elsewhere. Train longer, "
            "with a larger --max-seq-length, or on a larger base."
        )
    return found or ["Look at the tells, tune its sampling (--tune), and train it longer."]


def summary(facts: Facts) -> list[str]:
    """The report in a few lines, for a terminal."""
    lines = [f"{'':<20} {'AUC':>5} {'95 %':>14} {'match':>6}"]
    for name, side in facts["sides"].items():
        found = side["detection"]
        low, high = found["auc_95"]
        told = f"{found['auc']:>5.2f} {low:>6.2f} to {high:.2f}"
        lines.append(f"{name:<20} {told} {side['match']:>6.0%}")
    tells = (f"- {tell['tell']}" for tell in facts["tells"][:SHOWN_TELLS])
    return [*lines, facts["verdict"], *tells]


def keep(folder: Path, facts: Facts, quant: str) -> Path:
    """Write the report beside its model; the path."""
    path = _path(folder, quant)
    runs.write_json(path, facts)
    return path


def read(folder: Path, quant: str) -> Facts | None:
    """The report beside a model; None where there is none, or none that can be read."""
    try:
        facts = json.loads(_path(folder, quant).read_text("utf-8"))
        return facts if facts["format"] == FORMAT and facts["sides"][CANDIDATE] else None
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None


def history(models_dir: Path) -> list[Facts]:
    """The reports of all models, oldest first."""
    folders = (models_dir / "finetuned").glob(f"*/*.{FILE}")
    found = (read(path.parent, path.name.split(".")[-3]) for path in folders)
    return sorted((facts for facts in found if facts), key=lambda facts: facts["made_at"])


def refusal(facts: Facts | None, sha256: str, data_hash: str, deployed: str | None) -> str:
    """Why a model must not be deployed, a sentence; "" where nothing speaks against it.

    `deployed` is the SHA-256 of the model now in use, None where that is the base.
    """
    if facts is None:
        return f"It has no report. {EVALUATE} first."
    if facts["sha256"] != sha256 or facts["data_hash"] != data_hash:
        return f"Its report is of another file, or of other data. {EVALUATE} again."
    rival = BASE if deployed is None else DEPLOYED
    if deployed and facts["sides"].get(DEPLOYED, {}).get("sha256") != deployed:
        return f"Another model has come into use since its report was made. {EVALUATE} again."
    this, other = (facts["sides"].get(name) for name in (CANDIDATE, rival))
    if not this or not other:
        return ""
    auc, limit = this["detection"]["auc"], other["detection"]["auc_95"][1]
    if auc > limit:
        return (
            f"It is told apart more easily than {rival} (AUC {auc:.2f}, against at most "
            f"{limit:.2f} within the error)."
        )
    low, _ = facts["difference_95"].get(rival, (-1.0, 1.0))
    if low > 0:
        return f"It foresees members worse than {rival}, by at least {low:.3f} bits per character."
    return ""


def _path(folder: Path, quant: str) -> Path:
    if not runs.NAME.fullmatch(folder.name):
        raise UserError(f"{folder} is no model's folder.")
    return folder / f"{folder.name}.{quant}.{FILE}"
