"""When to speak: the learned policy against a dice roll at an even rate, and at one a channel.

    python -m benchmarks participation [--history PATH ...]

Both sample communities (or the histories given) are learned from up to the newest fifth of their
messages, which is held out. After each message there, every active member is either the next to
speak within half an hour or is not: the chance of that is what is judged.

    brier, ece, pr_auc    the learned policy's (lower, lower and higher is better)
    ..._fixed             of the share of older observations in which the member spoke next
    ..._channel           of that share in the message's channel
    brier_under_...       by how much Brier is lower than theirs: 95 %, by a bootstrap over days
    pr_auc_over_...       by how much PR-AUC is higher than theirs, likewise
    unaddressed           the same where nobody is addressed, which is where the bot throws dice
    share_at_5, _20       after which share of held-out messages the bot speaks when set to 5, 20 %
    decision_ms           how long a decision takes

At the top stand the figures of the community in which the learned policy gains least.
"""

import argparse
import dataclasses
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from bot.config import ROOT
from data import habits, importer, privacy, speaking_fit
from data.links import Array, Flags, Ints, Linker
from data.speaking import FACTS, WINDOW
from data.speaking_fit import Channel, Fitted, Observations
from storage import database
from storage.messages import snowflake_time

COMMUNITIES = ROOT / "sandbox" / "communities"
RESAMPLED = 400
DAY = 86_400


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks participation")
    samples = [COMMUNITIES / "gitter-casual", COMMUNITIES / "pyscript-discord"]
    parser.add_argument("--history", type=Path, nargs="+", default=samples)
    found = {path.name: judge(path) for path in parser.parse_args(arguments).history}
    worst = max(found.values(), key=_left)
    return {**{name: worst[name] for name in worst if name not in found}, **found}


def _left(figures: dict[str, Any]) -> float:
    """How much of the better baseline's Brier score is left."""
    return float(figures["brier"] / min(figures["brier_fixed"], figures["brier_channel"]))


def judge(path: Path) -> dict[str, Any]:
    """Every figure of one community."""
    with tempfile.TemporaryDirectory() as folder:
        connection = database.connect(Path(folder) / "history.sqlite3")
        importer.load(connection, path)
        channels = speaking_fit.read(connection, privacy.audience(connection))
        connection.close()
    older, held_out = speaking_fit.observe(channels).split(speaking_fit.HELD_OUT)
    fitted = speaking_fit.fit(older, speaking_fit.choose_ridge(older))
    chances = fitted.chances(held_out)
    calm = _is_unaddressed(held_out)
    return {
        "observations": len(held_out.ids),
        "spoke": int(held_out.spoke.sum()),
        **speaking_fit.measure(older, held_out, chances),
        **intervals(older, held_out, chances),
        "unaddressed": speaking_fit.measure(older, held_out[calm], chances[calm]),
        **_shares(fitted, channels, int(held_out.ids[0])),
    }


def intervals(
    older: Observations, held_out: Observations, chances: Array
) -> dict[str, list[float]]:
    """The 95 % intervals of what is gained over both baselines."""
    resamples = _resamples(held_out.ids)
    found = {}
    for name, other in zip(
        ("fixed", "channel"), speaking_fit.baselines(older, held_out), strict=True
    ):
        for figure, ours, theirs in (
            (f"brier_under_{name}", other, chances),
            (f"pr_auc_over_{name}", chances, other),
        ):
            judge = speaking_fit.brier if "brier" in figure else speaking_fit.pr_auc
            found[figure] = _interval(judge, ours, theirs, held_out.spoke, resamples)
    return found


def _interval(
    judge: Callable[[Array, Flags], float],
    higher: Array,
    lower: Array,
    spoke: Flags,
    resamples: Sequence[Ints],
) -> list[float]:
    gains = [judge(higher[r], spoke[r]) - judge(lower[r], spoke[r]) for r in resamples]
    return [round(float(bound), 5) for bound in np.quantile(gains, (0.025, 0.975))]


def _resamples(ids: Ints) -> list[Ints]:
    """Rows of as many days as there are, drawn anew: what one day saw stays together."""
    days = np.array([int(snowflake_time(i) // DAY) for i in ids.tolist()])
    starts = np.flatnonzero(np.diff(days, prepend=-1))
    rows = [np.arange(*bounds) for bounds in pairwise([*starts.tolist(), len(ids)])]
    dice = np.random.default_rng(0)
    drawn = dice.integers(len(rows), size=(RESAMPLED, len(rows)))
    return [np.concatenate([rows[day] for day in days]) for days in drawn.tolist()]


def _is_unaddressed(seen: Observations) -> Flags:
    flags: Flags = seen.facts[:, FACTS.index("is_addressed")] == 0
    return flags


def _shares(fitted: Fitted, channels: Sequence[Channel], line: int) -> dict[str, float]:
    """What the slider, set on older messages, comes to on those from id `line` on."""
    older = [part for c in channels if (part := [m for m in c if m.id < line])]
    newer = [part for c in channels if (part := [m for m in c if m.id >= line])]
    policy = fitted.policy(habits.measure(older, [Linker() for _ in older]), {})
    curve = speaking_fit.curve(policy, older)
    policy = dataclasses.replace(policy, curve=curve)
    shares = {
        f"share_at_{rate}": speaking_fit.replay(
            policy, newer, policy.shift(rate / 100), random.Random(0)
        )
        for rate in (5, 20)
    }
    window = max(older, key=len)[-WINDOW:]
    started = time.perf_counter()
    for _ in range(RESAMPLED):
        policy.chance(window, 0, 0.05)
    shares["decision_ms"] = 1000 * (time.perf_counter() - started) / RESAMPLED
    return {name: round(share, 4) for name, share in shares.items()}
