"""What becomes an example, decided before any text is written.

A first pass over the history keeps numbers only, some 40 bytes a message, so that decisions that
need the whole of it (who would dominate, where the future begins) can be made in little memory.

    burst       messages in a row by one author in one conversation: the unit that is learned
    line        where a channel's newest `held_out` messages begin
    held out    bursts of conversations that begin after the line
    learned     bursts before it

A conversation that crosses the line is learned up to it and not held out after it. Where that would
leave less than half of the newest messages (one long conversation), it is cut at the line instead.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Set
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from data.conversations import Untangler
from data.links import Flags, Ints
from storage.messages import Message

BURST_SECONDS = 180
LONGEST_BURST = 50  # messages: more is a monologue
BLOCK = 2048

UNUSED, LEARNED, HELD_OUT = 0, 1, 2


@dataclass
class ChannelPlan:
    """One channel's messages that count, oldest first, and the bursts among them.

    `ids`, `authors`, `targets` (an id or 0) and `conversations` have a value a message; `first`,
    `last` (positions among them), `side` and `size` (messages of context) one a burst.
    """

    channel_id: int
    ids: Ints
    authors: Ints
    targets: Ints
    conversations: Ints
    line: int
    first: Ints
    last: Ints
    side: npt.NDArray[np.int8]
    size: Ints


def read(
    history: Iterable[Message],
    reason_to_leave_out: Callable[[Message], str | None],
    held_out: float,
    common: Set[str] = frozenset(),
) -> tuple[list[ChannelPlan], Counter[str]]:
    """Plan every channel of a history that is ordered by channel and time.

    `common` are the words that tell nothing. Also how many messages were left out, by reason.
    """
    left_out: Counter[str] = Counter()
    plans = []
    for channel_id, messages in groupby(history, attrgetter("channel_id")):
        untangler = Untangler(common)
        kept = _kept(messages, reason_to_leave_out, left_out)
        plan = _channel(channel_id, kept, untangler, held_out)
        if plan:
            plans.append(plan)
    return plans, left_out


def choose_sizes(
    plans: Iterable[ChannelPlan], window: tuple[int, int], pair_share: float, seed: int
) -> None:
    """Draw how many messages each burst is shown: one, or a window's less one for the burst."""
    dice = np.random.default_rng(seed)
    for plan in plans:
        count = len(plan.first)
        sizes = dice.integers(window[0], window[1], size=count, endpoint=True) - 1
        plan.size = np.where(dice.random(count) < pair_share, 1, sizes)


def cap_authors(plans: Iterable[ChannelPlan], share: float) -> int:
    """Thin out, evenly over time, whoever wrote more than `share` of what is learned.

    An author with n bursts keeps min(n, s * K), K being the number kept of all: activity weighs,
    up to a bound. s is `share`, or twice an equal share where so few people write that `share`
    could not be kept to. Returns how many bursts are no longer learned.
    """
    plans = list(plans)
    authors = np.concatenate([_learned_authors(plan) for plan in plans] or [np.zeros(0, np.int64)])
    people, counts = np.unique(authors, return_counts=True)
    if not len(people):
        return 0
    cap = _cap(counts, max(share, 2 / len(people)))
    limits = dict(zip(people.tolist(), counts.tolist(), strict=True))
    seen: Counter[int] = Counter()
    for plan in plans:
        learned = np.flatnonzero(plan.side == LEARNED)
        for burst, author in zip(learned, _learned_authors(plan).tolist(), strict=True):
            number, total = seen[author], limits[author]
            seen[author] += 1
            if total > cap and number * cap // total == (number + 1) * cap // total:
                plan.side[burst] = UNUSED
    return int(np.maximum(0, counts - cap).sum())


def _cap(counts: Ints, share: float) -> int:
    """The largest c with c <= share * sum(min(n, c)), found by going down from the largest n."""
    cap = int(counts.max())
    while cap > 1 and cap > (limit := share * np.minimum(counts, cap).sum()):
        cap = max(1, min(cap - 1, int(limit)))
    return cap


def _learned_authors(plan: ChannelPlan) -> Ints:
    authors: Ints = plan.authors[plan.first[plan.side == LEARNED]]
    return authors


def _kept(
    messages: Iterable[Message],
    reason_to_leave_out: Callable[[Message], str | None],
    left_out: Counter[str],
) -> Iterator[Message]:
    for message in messages:
        reason = reason_to_leave_out(message)
        if reason is None:
            yield message
        else:
            left_out[reason] += 1


def _channel(
    channel_id: int, messages: Iterator[Message], untangler: Untangler, held_out: float
) -> ChannelPlan | None:
    blocks = []
    while block := list(islice(messages, BLOCK)):
        targets, conversations = untangler.feed(block)
        facts = [(m.id, m.author_id, m.reply_to is not None) for m in block]
        blocks.append((np.array(facts, np.int64), targets, conversations))
    if not blocks:
        return None
    facts_, targets, conversations = (
        np.concatenate(column) for column in zip(*blocks, strict=True)
    )
    ids, authors, replies = facts_.T
    line = len(ids) - int(held_out * len(ids))
    conversations = _cut_at(line, conversations)
    first, last = _bursts(ids, authors, replies > 0, conversations)
    side = _sides(first, last, line, conversations)
    size = np.zeros(len(first), np.int64)
    return ChannelPlan(
        channel_id, ids, authors, targets, conversations, line, first, last, side, size
    )


def _cut_at(line: int, conversations: Ints) -> Ints:
    """Cut the conversations that cross the line where too little would be held out otherwise."""
    after = conversations[line:]
    crosses = after <= conversations[:line].max(initial=-1)  # numbers ascend with their beginnings
    if crosses.sum() * 2 <= len(after):
        return conversations
    return np.concatenate([conversations[:line], after + crosses * (conversations.max() + 1)])


def _bursts(ids: Ints, authors: Ints, is_reply: Flags, conversations: Ints) -> tuple[Ints, Ints]:
    """Positions of the first and last message of each burst that answers somebody else."""
    order = np.argsort(conversations, kind="stable")
    same_talk = np.diff(conversations[order], prepend=-1) == 0
    same_author = np.diff(authors[order], prepend=-1) == 0
    milliseconds = ids[order] >> 22
    is_soon = np.diff(milliseconds, prepend=0) <= BURST_SECONDS * 1000
    begins = ~(same_talk & same_author & is_soon & ~is_reply[order])
    starts = np.flatnonzero(begins)
    ends = np.append(starts[1:], len(order)) - 1
    answers = same_talk[starts] & ~same_author[starts] & (ends - starts < LONGEST_BURST)
    return order[starts[answers]], order[ends[answers]]


def _sides(first: Ints, last: Ints, line: int, conversations: Ints) -> npt.NDArray[np.int8]:
    is_new = conversations[first] > conversations[:line].max(initial=-1)
    held_out = (first >= line) & is_new
    return np.where(held_out, HELD_OUT, np.where(last < line, LEARNED, UNUSED)).astype(np.int8)
