"""Learning when to speak from a server's own messages; needs scikit-learn.

After every message, every active member either is the next to speak or is not: the first turn by
somebody else than its author, within `ANSWER_SECONDS`. Each such pair of a message and a member is
an observation; the bot is then one more member, neither the quietest nor the loudest. The oldest
part is fitted to, a slice after it chooses how strongly weights are held back, and the newest part
says once how good that is. What is kept in the end is fitted to all of it.
"""

import contextlib
import dataclasses
import random
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from bot.config import Config, UserError
from data import habits, links, privacy, speaking_policy
from data.habits import ANSWER_SECONDS, Habits
from data.links import Array, Flags, Ints, Linker
from data.privacy import Audience
from data.speaking import FACTS, WINDOW, Scene
from data.speaking_policy import Curve, Policy, logistic
from storage import database, messages
from storage.messages import Message

NEWEST = 12_000  # messages: enough to learn from, and how people behave now
ACTIVE = 100  # a member is who wrote one of so many last messages of a channel
FEWEST = 200  # answers: below this there is nothing to learn from
HELD_OUT = DEVELOPMENT = 0.2
INVERSE_RIDGES = (0.001, 0.01, 0.1, 1.0)
PRIOR = 50.0  # observations of the whole that each channel is given
REPLAYED = 1_000
RUNS = 3
SHIFTS = (-6, -3, -1.5, -0.5, *(step / 4 for step in range(9)), 2.5, 3, 4, 6, 9)
BINS = 10
_FETCH = "Fetch more history first: python scripts/1_fetch_all_history.py"
_BOT = -1  # whom the replay puts among the members

Channel = list[Message]


@dataclasses.dataclass(frozen=True)
class Observations:
    """A row a pair of a message and a member, in order of time.

    `ids` and `channels` are of the message; `facts` has a column a name in `FACTS`; `spoke` is
    whether the member spoke next.
    """

    ids: Ints
    channels: Ints
    facts: Array
    spoke: Flags

    def __getitem__(self, rows: Flags) -> "Observations":
        return Observations(*(column[rows] for column in vars(self).values()))

    def split(self, share: float) -> tuple["Observations", "Observations"]:
        """Before and after the moment at which the newest `share` of the messages begins.

        Where an outcome was open at that moment, the message is on neither side.
        """
        known = np.unique(self.ids)
        if not len(known):
            return self, self
        cut = int(known[min(len(known) - 1, int((1 - share) * len(known)))])
        closed = messages.snowflake_at(messages.snowflake_time(cut) - ANSWER_SECONDS)
        return self[self.ids < closed], self[self.ids >= cut]


@dataclasses.dataclass(frozen=True)
class Fitted:
    """A logistic model: `channels` is what is added in each, `otherwise` in all others."""

    bias: float
    weights: Array
    channels: dict[int, float]
    otherwise: float

    def chances(self, seen: Observations) -> Array:
        """The chance of each observation that the member speaks next."""
        added = np.array([self.channels.get(c, self.otherwise) for c in seen.channels.tolist()])
        chances: Array = 1 / (1 + np.exp(-(seen.facts @ self.weights + added + self.bias)))
        return chances

    def policy(self, habits: Habits, figures: Mapping[str, float]) -> Policy:
        """The policy that gives these chances, still without a slider."""
        weights = dict(zip(FACTS, self.weights.tolist(), strict=True))
        return Policy(self.bias, weights, self.channels, self.otherwise, (), habits, figures)


def renew(settings: Config) -> str:
    """Learn anew when to speak, keep it for the bot, and say how good it is.

    Raises `UserError` where there is too little to learn from.
    """
    if not settings.database_path.exists():
        raise UserError(f"There is no history yet. {_FETCH}")
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        policy = learn(connection)
    speaking_policy.save(policy, settings.participation_path)
    return (
        "Learned when to speak. On the newest messages, held out: Brier score {brier:.4f} (an even "
        "rate: {brier_fixed:.4f}, a rate a channel: {brier_channel:.4f}), PR-AUC {pr_auc:.2f} "
        "({pr_auc_fixed:.2f}, {pr_auc_channel:.2f}). The bot uses it from its next start."
    ).format(**policy.figures)


def learn(connection: sqlite3.Connection) -> Policy:
    """The policy of a server's history. Raises `UserError` where there is too little of it."""
    channels = read(connection, privacy.audience(connection))
    seen = observe(channels)
    older, held_out = seen.split(HELD_OUT)
    _refuse_too_little(seen, [*older.split(DEVELOPMENT), held_out])
    ridge = choose_ridge(older)
    figures = measure(older, held_out, fit(older, ridge).chances(held_out))
    fitted = fit(seen, ridge)
    common = links.common_words(m.content for channel in channels for m in channel)
    linkers = [Linker(common) for _ in channels]
    policy = fitted.policy(habits.measure(channels, linkers), figures)
    return dataclasses.replace(policy, curve=curve(policy, channels))


def read(connection: sqlite3.Connection, audience: Audience) -> list[Channel]:
    """The newest messages, channel by channel: what may be learned from, and the bot's own."""
    newest = messages.newest_by_channel(connection, NEWEST)
    found = []
    for _, channel in groupby(newest, attrgetter("channel_id")):
        kept = [
            m
            for m in channel
            if m.author_kind == "self" or (_is_member(m) and audience.allows(m.author_id))
        ]
        found.append(kept)
    return [channel for channel in found if channel]


def observe(channels: Sequence[Channel]) -> Observations:
    """Every pair of a member's message and another active member, with what came of it.

    Where the bot spoke next nobody knows who else would have: such messages are left out.
    """
    rows = [row for channel in channels for row in _observe(channel)]
    rows.sort(key=lambda row: row[0])
    ids, places, spoke = (np.array([row[i] for row in rows], np.int64) for i in range(3))
    facts = np.array([row[3] for row in rows], np.float64).reshape(len(rows), len(FACTS))
    return Observations(ids, places, facts, spoke.astype(np.bool_))


def _observe(channel: Channel) -> Iterator[tuple[int, int, bool, list[float]]]:
    wrote: dict[int, int] = {}
    for place, (message, after) in enumerate(zip(channel, following(channel), strict=True)):
        if not _is_member(message):
            continue
        wrote[message.author_id] = place
        if after and not _is_member(after):
            continue
        scene = Scene(channel[max(0, place + 1 - WINDOW) : place + 1])
        for person, last in wrote.items():
            if person != message.author_id and place - last < ACTIVE:
                spoke = after is not None and after.author_id == person
                yield message.id, message.channel_id, spoke, [*scene.facts(person).values()]


def following(channel: Channel) -> list[Message | None]:
    """For each message the first after it by somebody else, where that came in time."""
    found: list[Message | None] = []
    after: Message | None = None  # the next by another than the one that follows
    following: Message | None = None
    for message in reversed(channel):
        if following and following.author_id != message.author_id:
            after = following
        is_soon = after is not None and after.sent_at - message.sent_at <= ANSWER_SECONDS
        found.append(after if is_soon else None)
        following = message
    return found[::-1]


def _is_member(message: Message) -> bool:
    return privacy.is_allowed(message, ())


def _refuse_too_little(seen: Observations, parts: Sequence[Observations]) -> None:
    """Every part must know both what people answered and what they let pass."""
    answers = int(seen.spoke.sum())
    if answers < FEWEST or any(len(set(part.spoke.tolist())) < 2 for part in parts):
        raise UserError(
            f"{answers} messages were answered within half an hour; at least {FEWEST}, spread over "
            f"the whole history, are needed to learn when to speak. {_FETCH}"
        )


def choose_ridge(older: Observations) -> float:
    """The inverse strength of the penalty with the best Brier score on the newest of `older`."""
    learned, development = older.split(DEVELOPMENT)
    scores = [
        brier(fit(learned, ridge).chances(development), development.spoke)
        for ridge in INVERSE_RIDGES
    ]
    return INVERSE_RIDGES[int(np.argmin(scores))]


def fit(seen: Observations, inverse_ridge: float) -> Fitted:
    """A logistic regression on standardised facts and on how often channels are answered."""
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError:
        raise UserError(
            "Learning when to speak needs more packages (scikit-learn is missing). "
            "Install them with: python3 bootstrap.py --train"
        ) from None
    rates = channel_rates(seen)
    usual = _logit(seen.spoke.mean())
    columns = np.column_stack(
        [seen.facts, [_logit(rates[channel]) - usual for channel in seen.channels.tolist()]]
    )
    middle, scale = columns.mean(axis=0), columns.std(axis=0)
    scale[scale == 0] = 1.0
    model = LogisticRegression(C=inverse_ridge, solver="newton-cholesky")
    model.fit((columns - middle) / scale, seen.spoke)
    weights = model.coef_[0] / scale
    bias = float(model.intercept_[0] - middle @ weights)
    channels = {c: float(weights[-1] * (_logit(rate) - usual)) for c, rate in rates.items()}
    return Fitted(bias, weights[:-1], channels, otherwise=0.0)


def channel_rates(seen: Observations) -> dict[int, float]:
    """How often a member spoke next, by channel; those with few observations are near the whole."""
    usual = seen.spoke.mean()
    rates = {}
    for channel in np.unique(seen.channels).tolist():
        spoke = seen.spoke[seen.channels == channel]
        rates[channel] = float((spoke.sum() + PRIOR * usual) / (len(spoke) + PRIOR))
    return rates


def curve(policy: Policy, channels: Sequence[Channel]) -> Curve:
    """What to add to the score for which share of messages to be spoken after."""
    said = [[m for m in channel if _is_member(m)] for channel in channels]
    first = sorted(m.id for channel in said for m in channel)[-REPLAYED:][0]
    newest = [[m for m in channel if m.id >= first] for channel in said]
    shares = [
        sum(replay(policy, newest, shift, random.Random(run)) for run in range(RUNS)) / RUNS
        for shift in SHIFTS
    ]
    points: list[tuple[float, float]] = []
    for shift, share in zip(SHIFTS, shares, strict=True):
        if 0 < share < 1 and (not points or share > points[-1][1]):
            points.append((shift, share))
    return tuple(points)


def replay(policy: Policy, channels: Sequence[Channel], shift: float, dice: random.Random) -> float:
    """The share of messages after which the bot speaks, were it among those who wrote them.

    What it says counts from then on, as it does when it really talks; nobody answers it here.
    """
    chances = []
    for channel in channels:
        lived: Channel = []
        for message in channel:
            lived.append(message)
            chances.append(logistic(policy.score(lived[-WINDOW:], _BOT) + shift))
            if dice.random() < chances[-1]:
                lived.append(Message(message.id + 1, message.channel_id, _BOT, "", ""))
    return sum(chances) / len(chances)


def measure(older: Observations, held_out: Observations, chances: Array) -> dict[str, float]:
    """How good `chances` are on `held_out`, beside the fixed and the channels' rates of `older`."""
    fixed, by_channel = baselines(older, held_out)
    ways = {"": chances, "_fixed": fixed, "_channel": by_channel}
    figures = {f"brier{end}": brier(way, held_out.spoke) for end, way in ways.items()}
    figures |= {f"pr_auc{end}": pr_auc(way, held_out.spoke) for end, way in ways.items()}
    figures["ece"] = calibration_error(chances, held_out.spoke)
    return {name: round(figure, 5) for name, figure in figures.items()}


def baselines(older: Observations, held_out: Observations) -> tuple[Array, Array]:
    """What a dice roll at the usual rate gives to each observation, and one at its channel's."""
    usual, rates = float(older.spoke.mean()), channel_rates(older)
    by_channel = [rates.get(channel, usual) for channel in held_out.channels.tolist()]
    return np.full(len(held_out.ids), usual), np.array(by_channel)


def brier(chances: Array, spoke: Flags) -> float:
    """The mean squared difference between chance and outcome (Brier 1950)."""
    return float(np.mean((chances - spoke) ** 2))


def pr_auc(chances: Array, spoke: Flags) -> float:
    """The area under precision over recall: the mean precision at each recall won."""
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(spoke, chances))


def calibration_error(chances: Array, spoke: Flags) -> float:
    """How far chance and frequency are apart, in the mean over ten bins of equal size."""
    bins = np.array_split(np.argsort(chances, kind="stable"), BINS)
    apart = (abs(float(chances[b].mean() - spoke[b].mean())) * len(b) for b in bins if len(b))
    return sum(apart) / len(chances)


def _logit(chance: float | npt.NDArray[np.float64]) -> float:
    return float(np.log(chance / (1 - chance)))
