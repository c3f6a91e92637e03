"""What shadow mode comes to: would the bot have spoken when members did, and as they do?

A message counts once it is known who had the next turn: the first by somebody else, if it came
within `ANSWER_SECONDS`. Of all that is stored, the newest messages are looked at, as many as
`data/speaking_fit.py` learns from.
"""

import contextlib
import dataclasses
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bot.config import Config, UserError
from data import conversations, habits, links, privacy, speaking_fit
from data.examples import Renderer
from data.habits import ANSWER_SECONDS
from data.speaking import WINDOW
from data.speaking_fit import Channel
from model import examples, prompts
from model.examples import Example
from storage import database, messages, shadow
from storage.messages import Message
from storage.shadow import Decision

if TYPE_CHECKING:
    from model.detection import Detection  # scikit-learn: seconds
    from model.likeness import Likeness

FEWEST = 100  # messages; with fewer every figure could be chance
PAGE = "shadow.html"
_WAIT = "Leave shadow mode on (!shadow on) and come back later."

Facts = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Moment:
    """A message that was heard in shadow mode, itself last in `said`, and the next turn.

    `answer` is empty where no member answered in time.
    """

    decision: Decision
    said: Sequence[Message]
    answer: Sequence[Message]


def show(settings: Config, seed: int = 0) -> int:
    """Print how the bot did in shadow mode, one line of JSON last, and write the page.

    Raises `UserError` where it heard too little to tell.
    """
    with contextlib.closing(database.connect(settings.database_path)) as connection:
        channels = speaking_fit.read(connection, privacy.audience(connection))
        names, rate = messages.names(connection), database.settings(connection).response_rate
        found = moments(channels, shadow.decisions(connection), time.time())
    facts = figures(found, rate)
    print(*_sentences(facts), sep="\n")
    rows, drafts = pairs(found, names)
    if rows:
        from model import report_page  # matplotlib: seconds

        page = settings.data_dir / "reports" / PAGE
        report_page.write_pairs(page, "What it would have said", rows, drafts)
        print(f"Each draft beside what a member said instead: {page}")
    try:
        facts |= compare(rows, drafts, _others(channels, found), seed)
    except UserError as error:
        print(error)
    print(json.dumps(facts))
    return 0


def moments(channels: Sequence[Channel], decided: Sequence[Decision], now: float) -> list[Moment]:
    """Every message that was decided on and whose outcome is known at `now`, oldest first."""
    by_id = {decision.trigger_id: decision for decision in decided}
    found = [moment for channel in channels for moment in _moments(channel, by_id, now)]
    return sorted(found, key=lambda moment: moment.decision.trigger_id)


def _moments(channel: Channel, decided: Mapping[int, Decision], now: float) -> Iterator[Moment]:
    places = {message.id: place for place, message in enumerate(channel)}
    turns = zip(channel, speaking_fit.following(channel), strict=True)
    for place, (message, after) in enumerate(turns):
        decision, is_open = decided.get(message.id), now - message.sent_at < ANSWER_SECONDS
        if decision is None or is_open or (after and after.author_kind == "self"):
            continue  # where the bot spoke nobody knows who else would have
        said = channel[max(0, place + 1 - WINDOW) : place + 1]
        yield Moment(decision, said, _turn(channel, places[after.id]) if after else ())


def _turn(channel: Channel, first: int) -> list[Message]:
    """A message and what its author said right after it."""
    turn = [channel[first]]
    for message in channel[first + 1 : first + habits.LONGEST_BURST]:
        if not habits.goes_on(turn[-1], message):
            break
        turn.append(message)
    return turn


def figures(found: Sequence[Moment], rate: float) -> Facts:
    """How often the bot would have spoken, and how its chances fit whom members answered.

    Chances are judged where nobody addressed the bot. Raises `UserError` for too few messages.
    """
    free = [moment for moment in found if not moment.decision.is_addressed]
    chances = np.array([moment.decision.probability for moment in free]).clip(0, 1)
    answered = np.array([bool(moment.answer) for moment in free], np.bool_)
    if len(free) < FEWEST or not answered.any():
        raise UserError(
            f"Shadow mode knows the outcome of {len(free)} messages that did not address the bot, "
            f"and members answered {int(answered.sum())} of them; {FEWEST} are needed, some of "
            f"them answered. {_WAIT}"
        )
    spoken = np.array([bool(moment.decision.texts) for moment in free], np.bool_)
    usual = float(answered.mean())
    return {
        "heard": len(found),
        "spoken": sum(bool(moment.decision.texts) for moment in found),
        "spoken_unasked": int(spoken.sum()),
        "rate": rate,
        "unaddressed": len(free),
        "answered": round(usual, 4),
        "answered_where_spoken": round(float(answered[spoken].mean()), 4) if any(spoken) else None,
        "brier": round(speaking_fit.brier(chances, answered), 5),
        "brier_constant": round(usual * (1 - usual), 5),
        "ece": round(speaking_fit.calibration_error(chances, answered), 5),
        "pr_auc": round(speaking_fit.pr_auc(chances, answered), 5),
    }


def pairs(found: Sequence[Moment], names: Mapping[int, str]) -> tuple[list[Example], list[str]]:
    """What members said next, and the model's draft for each; both as members read them."""
    common = links.common_words(m.content for moment in found for m in moment.said[-1:])
    renderer = Renderer(names, masks_secrets=True)
    rows, drafts = [], []
    for moment in found:
        if not (moment.decision.model and moment.decision.texts and moment.answer):
            continue
        row = _row(moment, common, renderer)
        draft = prompts.join(map(renderer.text, moment.decision.texts))
        if row.reply.strip() and draft.strip():
            rows.append(row)
            drafts.append(draft)
    return rows, drafts


def _row(moment: Moment, common: frozenset[str], renderer: Renderer) -> Example:
    """The next turn as an example: the conversation so far, and the turn as its reply."""
    said = conversations.latest(_since_silence(moment.said), common)
    shown = [dataclasses.replace(m, content=renderer.text(m.content)) for m in said]
    return Example(
        turns=tuple(prompts.turns(shown, {}, None)),
        reply=prompts.join(renderer.text(m.content) for m in moment.answer),
        channel_id=moment.decision.channel_id,
        message_ids=tuple(m.id for m in (*said, *moment.answer)),
    )


def _since_silence(said: Sequence[Message]) -> Sequence[Message]:
    """The messages since the last silence, after which something new began."""
    gaps = [after.sent_at - before.sent_at > ANSWER_SECONDS for before, after in pairwise(said)]
    return said[max((place for place, is_silence in enumerate(gaps, 1) if is_silence), default=0) :]


def compare(
    rows: Sequence[Example], drafts: Sequence[str], known: Sequence[str], seed: int = 0
) -> Facts:
    """Whether a machine tells drafts from members' turns; prints what it found.

    `known` are other texts by members. Raises `UserError` for too few.
    """
    from model import assessment, detection, likeness  # scikit-learn: seconds

    members, groups = [row.reply for row in rows], examples.conversations(rows)
    least, least_groups = detection.LEAST_PAIRS, detection.LEAST_GROUPS
    if len(rows) < least or len(set(groups)) < least_groups:
        raise UserError(
            f"{len(rows)} drafts of {len(set(groups))} conversations stand beside a member's next "
            f"turn; telling them apart needs {least} of {least_groups}. {_WAIT}"
        )
    told = detection.detect(members, drafts, groups, seed)
    like = likeness.compare(members, drafts, known, seed)
    print(*_comparison(len(rows), told, like, assessment.match(told)), sep="\n")
    return {
        "pairs": len(rows),
        "match": round(assessment.match(told), 3),
        "detection": dataclasses.asdict(dataclasses.replace(told, tells=())),
        "likeness": dataclasses.asdict(like),
    }


def _others(channels: Sequence[Channel], found: Sequence[Moment]) -> list[str]:
    """What members said that no draft is compared with."""
    answers = {m.id for moment in found if moment.decision.texts for m in moment.answer}
    every = (message for channel in channels for message in channel)
    return [m.content for m in every if m.author_kind == "member" and m.id not in answers]


def _sentences(facts: Facts) -> list[str]:
    share, where = facts["spoken"] / facts["heard"], facts["answered_where_spoken"]
    chosen = "" if where is None else f", and {where:.0%} of those it would have spoken after"
    return [
        f"The bot heard {facts['heard']:,} messages in shadow mode whose outcome is known. It "
        f"would have spoken after {facts['spoken']:,} of them ({share:.1%}; the setting is "
        f"{facts['rate']:.1%}), {facts['spoken_unasked']:,} times unasked.",
        f"Within {ANSWER_SECONDS / 60:.0f} minutes members answered {facts['answered']:.0%} of the "
        f"{facts['unaddressed']:,} messages that did not address it{chosen}.",
        f"Its chances against that: Brier score {facts['brier']:.4f} "
        f"({facts['brier_constant']:.4f} for one constant chance), calibration error "
        f"{facts['ece']:.4f}, PR-AUC {facts['pr_auc']:.2f} ({facts['answered']:.2f} by lot). "
        "How often it speaks is a setting; PR-AUC says whether it picks the members' moments.",
    ]


def _comparison(count: int, told: "Detection", like: "Likeness", match: float) -> list[str]:
    low, high = told.auc_95
    return [
        f"{count:,} drafts beside members' next turns: a machine tells them apart in "
        f"{told.accuracy:.0%} of cases (50 % is chance), AUC {told.auc:.2f} ({low:.2f} to "
        f"{high:.2f}), {match:.0%} match.",
        f"Characters a reply: bot {like.characters.others:.0f}, members "
        f"{like.characters.members:.0f}; distances (0 is alike) of lengths "
        f"{like.characters.ks:.2f}, punctuation {like.punctuation:.2f}, emoji {like.emoji:.2f}, "
        f"capitals {like.casing:.2f}.",
        *(f"- {tell.description}" for tell in told.tells[:5]),
    ]
