"""What the judges of a blind test came to: how often they were right, and what follows from it."""

import dataclasses
import math
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from model import blind_test
from model.blind_test import FORM, GROUPS, REASONS, RUBRIC, Answer, Key, Result

ALIKE, APART, TOO_FEW = "indistinguishable", "told apart", "too few judgments to conclude"
CHANCE, MARGIN = 0.5, 0.1  # nearer to chance than this counts as no difference
ATTENTIVE = 0.7  # of the attention checks, at least
LEAST_JUDGES = 5  # with fewer, how far they differ is assumed and not measured
ALIKE_ANSWERS = 0.1  # assumed correlation of one judge's answers
GOAL = 4.0  # the mean mark to reach, of 5

Interval = tuple[float, float]
Array = npt.NDArray[Any]

_DRAWS = 2000
_quantile = statistics.NormalDist().inv_cdf


@dataclasses.dataclass(frozen=True)
class Share:
    """How many answers were right; `design_effect` of them tell as much as one on its own."""

    right: int
    answers: int
    judges: int
    interval_95: Interval
    interval_90: Interval
    design_effect: float

    @property
    def accuracy(self) -> float:
        return self.right / max(self.answers, 1)


@dataclasses.dataclass(frozen=True)
class Judge:
    """One judge's tally; who is not attentive counts in nothing else."""

    code: str
    group: str
    right: int
    answers: int
    checks_right: int
    checks: int
    is_attentive: bool


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What all judges came to; `more` judgments are needed where they were too few.

    `reasons` has how often each was given, and how often with a right choice. Of a form, with the
    bot's replies first and the members' second: `called_bot` the shares that were taken for the
    bot's, and `ratings` the mean marks.
    """

    kind: str
    conclusion: str
    more: int
    overall: Share
    groups: Mapping[str, Share]
    judges: tuple[Judge, ...]
    reasons: Mapping[str, tuple[int, int]]
    notes: tuple[str, ...]
    called_bot: tuple[float, float] | None
    ratings: Mapping[str, tuple[float, float]]

    @property
    def left_out(self) -> int:
        return sum(not judge.is_attentive for judge in self.judges)

    def facts(self) -> dict[str, Any]:
        """For report.json; holds nothing that anybody wrote."""
        facts = dataclasses.asdict(self)
        del facts["notes"]
        return {**facts, "accuracy": self.overall.accuracy, "left_out": self.left_out}

    def sentences(self) -> list[str]:
        """For people, the conclusion first."""
        said = [_conclusion(self)]
        if self.overall.answers:
            said += [_accuracy("All judges", self.overall), _weight(self.overall)]
        if self.left_out:
            said.append(f"Left out, as they missed the attention checks: {self.left_out}.")
        said += [_accuracy(GROUPS[group], share) for group, share in self.groups.items()]
        said += map(_tally, self.judges)
        for reason, (given, right) in self.reasons.items():
            said.append(f"Reason {reason!r}: given {given}x, with a right choice {right}x.")
        said += [f"A judge wrote: {note}" for note in self.notes]
        if self.called_bot:
            bots, members = self.called_bot
            said.append(
                f"Taken for the bot's: {_percent(bots)} of its replies, "
                f"{_percent(members)} of members'."
            )
        for name, (bots, members) in self.ratings.items():
            said.append(f"{name}: {bots:.1f} of 5 (goal {GOAL}); members' replies: {members:.1f}.")
        return said


@dataclasses.dataclass(frozen=True)
class _Judgment:
    """An answer to a question that is no check, beside the right choice."""

    judge: Judge
    question: str
    answer: Answer
    truth: str

    @property
    def is_right(self) -> bool:
        return self.answer.choice == self.truth


def score(key_path: Path, result_paths: Sequence[Path]) -> Verdict:
    """Merge what judges sent. Raises `UserError` naming a file that cannot be used.

    The replies are indistinguishable where two one-sided tests at 5 % each say that accuracy is
    within `MARGIN` of chance, so where the 90 % interval is (Schuirmann 1987). Otherwise they are
    told apart where chance lies outside the 95 % interval, on either side.
    """
    key = blind_test.read_key(key_path)
    results = blind_test.read_results(result_paths, key)
    judges = [_judge(result, key) for result in results]
    judgments = [
        _Judgment(judge, number, answer, key.answers[number])
        for result, judge in zip(results, judges, strict=True)
        for number, answer in result.answers.items()
        if judge.is_attentive and number not in key.checks
    ]
    overall = _share(judgments)
    conclusion, more = _conclude(overall)
    present = [group for group in GROUPS if any(one.judge.group == group for one in judgments)]
    return Verdict(
        kind=key.kind,
        conclusion=conclusion,
        more=more,
        overall=overall,
        groups={
            group: _share([one for one in judgments if one.judge.group == group])
            for group in present
        },
        judges=tuple(judges),
        reasons=_reasons(judgments),
        notes=tuple(_printable(one.answer.note) for one in judgments if one.answer.note),
        **_of_form(judgments if key.kind == FORM else []),
    )


def _judge(result: Result, key: Key) -> Judge:
    is_right = {number: one.choice == key.answers[number] for number, one in result.answers.items()}
    checks = is_right.keys() & key.checks
    checks_right = sum(is_right[number] for number in checks)
    return Judge(
        code=result.judge,
        group=result.group,
        right=sum(is_right.values()) - checks_right,
        answers=len(is_right) - len(checks),
        checks_right=checks_right,
        checks=len(checks),
        # who met no check at all has not shown it
        is_attentive=bool(checks or not key.checks) and checks_right >= ATTENTIVE * len(checks),
    )


def _share(judgments: Sequence[_Judgment]) -> Share:
    """The share of right answers, with intervals that know whose answers go together.

    With `LEAST_JUDGES` judges, judges and questions are both drawn again, the pigeonhole bootstrap
    (Owen 2007): it is right where judges differ, and too wide, never too narrow, where they do not.
    With fewer, Wilson's interval (1927) for answers / design effect, which is 1 + (answers by each
    judge - 1) * `ALIKE_ANSWERS` (Kish 1965).
    """
    right, count = sum(one.is_right for one in judgments), len(judgments)
    sizes = Counter(one.judge.code for one in judgments)
    accuracy = right / max(count, 1)
    if len(sizes) < LEAST_JUDGES:
        each = sum(size**2 for size in sizes.values()) / max(count, 1)
        effect = max(1.0, 1 + (each - 1) * ALIKE_ANSWERS)
        at_95, at_90 = (_wilson(accuracy, count / effect, level) for level in (0.95, 0.9))
    else:
        drawn = _draw_again(judgments)
        alone = accuracy * (1 - accuracy) / count
        effect = max(1.0, float(drawn.var()) / alone) if alone else 1.0
        plain = [_wilson(accuracy, count, level) for level in (0.95, 0.9)]
        at_95, at_90 = _widest(drawn, plain[0], 0.95), _widest(drawn, plain[1], 0.9)
    return Share(right, count, len(sizes), at_95, at_90, effect)


def _wilson(share: float, count: float, level: float) -> Interval:
    if not count:
        return 0.0, 1.0
    z = _quantile((1 + level) / 2)
    middle = share + z**2 / (2 * count)
    reach = z * math.sqrt(share * (1 - share) / count + (z / (2 * count)) ** 2)
    scale = 1 + z**2 / count
    return max(0.0, (middle - reach) / scale), min(1.0, (middle + reach) / scale)


def _widest(drawn: Array, plain: Interval, level: float) -> Interval:
    """The middle of what was drawn, but no narrower than if all answers stood alone."""
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2])
    return min(float(low), plain[0]), max(float(high), plain[1])


def _draw_again(judgments: Sequence[_Judgment]) -> Array:
    """Accuracies with judges and questions drawn with replacement, each by itself."""
    judges = {code: n for n, code in enumerate(sorted({one.judge.code for one in judgments}))}
    questions = {number: n for n, number in enumerate(sorted({one.question for one in judgments}))}
    answered, right = np.zeros((2, len(judges), len(questions)))
    for one in judgments:
        place = judges[one.judge.code], questions[one.question]
        answered[place], right[place] = 1, one.is_right
    dice = np.random.default_rng(0)  # the same files come to the same verdict
    rows, columns = (
        dice.multinomial(size, np.full(size, 1 / size), _DRAWS) for size in answered.shape
    )
    counts = ((rows @ answered) * columns).sum(axis=1)
    rights = ((rows @ right) * columns).sum(axis=1)
    drawn: Array = rights[counts > 0] / counts[counts > 0]
    return drawn


def _conclude(overall: Share) -> tuple[str, int]:
    """The conclusion, and how many more judgments would lead to one with 80 % probability.

    If people stay right as often as now, d away from chance, the independent answers needed are

        to find them alike:  (z(.95) + z(.90))^2 / 4 / (MARGIN - d)^2, so 215 where d is 0
        to tell them apart:  (z(.975) + z(.80))^2 / 4 / d^2

    (Chow, Shao and Wang 2008, section 4.1); the fewer of the two, times the design effect.
    """
    low, high = overall.interval_90
    if low > CHANCE - MARGIN and high < CHANCE + MARGIN:
        return ALIKE, 0
    if not overall.interval_95[0] <= CHANCE <= overall.interval_95[1]:
        return APART, 0
    distance = abs(overall.accuracy - CHANCE) if overall.answers else 0.0
    needed = math.inf
    if distance < MARGIN:
        needed = ((_quantile(0.95) + _quantile(0.9)) / (MARGIN - distance)) ** 2 / 4
    if distance:
        needed = min(needed, ((_quantile(0.975) + _quantile(0.8)) / distance) ** 2 / 4)
    return TOO_FEW, max(1, math.ceil(needed * overall.design_effect) - overall.answers)


def _reasons(judgments: Sequence[_Judgment]) -> dict[str, tuple[int, int]]:
    """How often each was given, and how often with a right choice, the most frequent first."""
    found = {}
    for reason in (*REASONS, "other"):
        given = [one for one in judgments if reason in _given(one.answer)]
        if given:
            found[reason] = len(given), sum(one.is_right for one in given)
    return dict(sorted(found.items(), key=lambda item: -item[1][0]))


def _given(answer: Answer) -> frozenset[str]:
    return answer.reasons | {"other"} if answer.note else answer.reasons


def _of_form(judgments: Sequence[_Judgment]) -> dict[str, Any]:
    """What only a form tells, where there are replies of both."""
    sides = [[one.answer for one in judgments if one.truth == who] for who in ("bot", "member")]
    if not all(sides):
        return {"called_bot": None, "ratings": {}}
    return {
        "called_bot": tuple(
            statistics.fmean(one.choice == "bot" for one in side) for side in sides
        ),
        "ratings": {
            name: tuple(statistics.fmean(one.ratings[n] for one in side) for side in sides)
            for n, name in enumerate(RUBRIC)
        },
    }


def _printable(note: str) -> str:
    """A note without what could move a terminal's cursor or turn its direction."""
    return "".join(sign if sign.isprintable() else " " for sign in note)


def _conclusion(verdict: Verdict) -> str:
    overall = verdict.overall
    if verdict.conclusion == ALIKE:
        return f"Indistinguishable: judges were within {100 * MARGIN:.0f} points of chance."
    if verdict.conclusion == TOO_FEW:
        return f"Too few judgments to conclude: {verdict.more} more are needed."
    if overall.accuracy < CHANCE:
        return "Told apart, the wrong way round: judges took members for the bot."
    return "Told apart: judges know the bot from members."


def _accuracy(who: str, share: Share) -> str:
    low, high = share.interval_95
    return (
        f"{who} ({share.judges}): right in {share.right} of {share.answers}, "
        f"{_percent(share.accuracy)} (95 % interval {_percent(low)} to {_percent(high)}; "
        f"chance is {_percent(CHANCE)})."
    )


def _weight(overall: Share) -> str:
    assumed = f"assuming a correlation of {ALIKE_ANSWERS} with fewer than {LEAST_JUDGES} judges"
    source = assumed if overall.judges < LEAST_JUDGES else "as measured"
    return (
        "Answers by one judge, and to one question, go together: "
        f"{overall.design_effect:.1f} of them count as one, {source}."
    )


def _tally(judge: Judge) -> str:
    checks = f", {judge.checks_right} of {judge.checks} attention checks" if judge.checks else ""
    out = "" if judge.is_attentive else "; left out"
    return f"Judge {judge.code} ({judge.group}): {judge.right} of {judge.answers}{checks}{out}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
