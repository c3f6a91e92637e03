"""Who answers whom, guessed with the replies hidden, against the replies that people marked.

    python -m benchmarks disentangle [--history PATH] [--fit]

Every explicit reply of the PyScript community (or of any history that can be imported) is hidden
and guessed. The figures are over the newest 40 % of its replies, which the weights in
`data/links.py` were not fitted to; `_all` are over all of them.

    link_f1           2PR / (P + R): P of the guessed links right, R of the marked ones found
    link_f1_previous  the same for "the message before"
    link_f1_gap       the same for "the message before, unless half an hour went by"
    exact             share of the chains of marked replies that the guesses reproduce exactly

`--fit` prints the weights anew, from the oldest 60 % of those replies and of the messages in the
casual community that begin with `@somebody`: there the author answered is known, not the message.
Those count once with the name hidden and once with it, as much together as the replies do. It needs
scipy, which comes with the training requirements.
"""

import argparse
import dataclasses
import re
import sqlite3
import tempfile
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bot.config import ROOT
from data import importer, links
from data.links import LAGS, Array, Flags, Linker
from storage import database, messages
from storage.messages import DEFAULT, REPLY, Message

COMMUNITIES = ROOT / "sandbox" / "communities"
FITTED = 0.6
GAP_SECONDS = 30 * 60
RIDGE = 10.0
REACH_SECONDS = 3600

Channel = list[Message]


@dataclasses.dataclass(frozen=True)
class Guess:
    """A marked reply, and what it was taken to answer (ids, 0: nothing)."""

    id: int
    target: int
    linked: int
    previous: int
    in_gap: int


@dataclasses.dataclass(frozen=True)
class Case:
    """A message to fit: its candidates' features, which of them exist, and which are right."""

    id: int
    features: Array
    exists: Flags
    right: Flags


def main(arguments: Sequence[str]) -> dict[str, Any]:
    parser = argparse.ArgumentParser(prog="benchmarks disentangle")
    parser.add_argument("--history", type=Path, default=COMMUNITIES / "pyscript-discord")
    parser.add_argument("--fit", action="store_true", help="print new weights")
    options = parser.parse_args(arguments)
    channels = read(options.history)
    if options.fit:
        return fit(channels, read(COMMUNITIES / "gitter-casual"))
    guesses = list(guess(channels))
    newest = guesses[int(FITTED * len(guesses)) :]
    return {
        "links": len(newest),
        **scores(newest),
        "links_all": len(guesses),
        **{f"{key}_all": value for key, value in scores(guesses).items()},
    }


def read(path: Path) -> list[Channel]:
    """What members wrote in each channel of an export."""
    with tempfile.TemporaryDirectory() as folder:
        connection = database.connect(Path(folder) / "history.sqlite3")
        importer.load(connection, path)
        return list(_channels(connection))


def _channels(connection: sqlite3.Connection) -> Iterator[Channel]:
    for _, channel in groupby(messages.history(connection), attrgetter("channel_id")):
        said = [m for m in channel if m.author_kind == "member" and m.kind in (DEFAULT, REPLY)]
        if len(said) > 1:
            yield said


def guess(channels: Sequence[Channel]) -> Iterator[Guess]:
    """Every marked reply with its guesses, oldest first."""
    common = _common(channels)
    found = []
    for channel in channels:
        linked = Linker(common).link([_hidden(message) for message in channel]).tolist()
        known = {message.id for message in channel}
        for before, message, link in zip(channel, channel[1:], linked[1:], strict=False):
            if message.reply_to in known:
                is_near = message.sent_at - before.sent_at <= GAP_SECONDS
                in_gap = before.id if is_near else 0
                found.append(Guess(message.id, message.reply_to, link, before.id, in_gap))
    return iter(sorted(found, key=attrgetter("id")))


def _common(channels: Sequence[Channel]) -> frozenset[str]:
    return links.common_words(message.content for channel in channels for message in channel)


def _hidden(message: Message) -> Message:
    return dataclasses.replace(message, reply_to=None, kind=DEFAULT)


def scores(guesses: Sequence[Guess]) -> dict[str, float]:
    """F1 of the links, and the share of exact chains, for the links and both baselines."""
    ways = {"": "linked", "_gap": "in_gap", "_previous": "previous"}
    figures = {f"link_f1{end}": _f1(guesses, way) for end, way in ways.items()}
    figures |= {f"exact{end}": _exact(guesses, way) for end, way in ways.items()}
    return {name: round(figure, 4) for name, figure in figures.items()}


def _f1(guesses: Sequence[Guess], way: str) -> float:
    linked: list[int] = [getattr(guess, way) for guess in guesses]
    right = sum(link == guess.target for link, guess in zip(linked, guesses, strict=True))
    return 2 * right / (len(guesses) + sum(link > 0 for link in linked))


def _exact(guesses: Sequence[Guess], way: str) -> float:
    """Share of the chains of marked replies that are chains of guessed ones as well."""
    marked, guessed = _chains(guesses, "target"), _chains(guesses, way)
    return len(marked & guessed) / len(marked)


def _chains(guesses: Sequence[Guess], way: str) -> set[frozenset[int]]:
    chain_of: dict[int, set[int]] = {}
    for one in guesses:
        target = getattr(one, way)
        merged = chain_of.get(one.id, {one.id}) | chain_of.get(
            target, {target} if target else set()
        )
        chain_of.update(dict.fromkeys(merged, merged))
    return {frozenset(chain) for chain in chain_of.values()}


def fit(marked: Sequence[Channel], casual: Sequence[Channel]) -> dict[str, Any]:
    """New weights; how often the best candidate is right for what they were not fitted to."""
    replies = _marked_cases(marked)
    hidden, shown = (_addressed_cases(casual, hides) for hides in (True, False))
    cut = int(FITTED * len(replies)), int(FITTED * len(hidden))
    share = cut[0] / cut[1] / 2
    groups = [(replies[: cut[0]], 1.0), (hidden[: cut[1]], share), (shown[: cut[1]], share)]
    weights = _logit([(*_stacked(cases), weight) for cases, weight in groups])
    fitted = {name: round(float(w), 2) for name, w in zip(links.WEIGHTS, weights, strict=True)}
    left = {"marked": replies[cut[0] :], "addressed": hidden[cut[1] :], "named": shown[cut[1] :]}
    return {"weights": fitted, **{name: _accuracy(cases, weights) for name, cases in left.items()}}


def _marked_cases(channels: Sequence[Channel]) -> list[Case]:
    cases, common = [], _common(channels)
    for channel in channels:
        places = {message.id: place for place, message in enumerate(channel)}
        targets = {
            place: np.arange(1, LAGS + 1) == place - places[message.reply_to]
            for place, message in enumerate(channel)
            if message.reply_to in places
        }
        cases += _cases(Linker(common), [_hidden(message) for message in channel], targets)
    return sorted(cases, key=attrgetter("id"))


def _addressed_cases(channels: Sequence[Channel], hides: bool) -> list[Case]:
    """Messages that begin with `@somebody` who wrote lately; without that where `hides`."""
    cases, common = [], _common(channels)
    for channel in channels:
        targets = {place: right for place, right in _addressed(channel) if right.any()}
        said = channel
        if hides:
            said = [
                dataclasses.replace(m, mentions=(), content=re.sub(r"@\S+", "", m.content))
                if place in targets
                else m
                for place, m in enumerate(channel)
            ]
        cases += _cases(Linker(common), said, targets)
    return sorted(cases, key=attrgetter("id"))


def _addressed(channel: Channel) -> Iterator[tuple[int, Flags]]:
    for place, message in enumerate(channel):
        is_addressed = len(message.mentions) == 1 and message.content.lstrip().startswith("@")
        if is_addressed and message.mentions[0] != message.author_id:
            before = channel[max(0, place - LAGS) : place][::-1]
            right = np.zeros(LAGS, np.bool_)
            right[: len(before)] = [
                m.author_id == message.mentions[0] and message.sent_at - m.sent_at < REACH_SECONDS
                for m in before
            ]
            yield place, right


def _cases(linker: Linker, channel: Channel, targets: dict[int, Flags]) -> list[Case]:
    features, exists = linker.features(channel)
    grid = np.stack([np.broadcast_to(c, exists.shape) for c in features.values()], axis=2)
    return [
        Case(channel[place].id, grid[place].astype(np.float64), exists[place], right)
        for place, right in targets.items()
    ]


def _stacked(cases: Sequence[Case]) -> tuple[Array, Flags, Flags]:
    useful = [case for case in cases if case.right.any()]
    columns = ([getattr(case, name) for case in useful] for name in ("features", "exists", "right"))
    features, exists, right = map(np.stack, columns)
    return features, exists, right


def _logit(groups: Sequence[tuple[Array, Flags, Flags, float]]) -> npt.NDArray[np.float64]:
    """Weights that make the right candidates likely, with a ridge penalty on standardised ones."""
    from scipy.optimize import minimize

    scale = np.concatenate([features[exists] for features, exists, _, _ in groups]).std(axis=0)

    def loss(weights: Array) -> tuple[float, Array]:
        total, gradient = RIDGE * weights @ weights, 2 * RIDGE * weights
        for features, exists, right, weight in groups:
            score = np.where(exists, features / scale @ weights, -np.inf)
            chance = np.exp(score - score.max(axis=1, keepdims=True))
            chance /= chance.sum(axis=1, keepdims=True)
            share = chance * right
            likely = share.sum(axis=1, keepdims=True)
            total -= weight * np.log(likely).sum()
            pull = share / likely - chance
            gradient = gradient - weight * np.einsum("nk,nkd->d", pull, features / scale)
        return float(total), np.asarray(gradient)

    weights = minimize(loss, np.zeros(len(scale)), jac=True, method="L-BFGS-B").x / scale
    return np.asarray(weights)


def _accuracy(cases: Sequence[Case], weights: Array) -> float:
    right = [
        bool(case.right[np.where(case.exists, case.features @ weights, -np.inf).argmax()])
        for case in cases
    ]
    return round(sum(right) / len(right), 4)
