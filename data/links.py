"""Which earlier message each message answers: a scored guess where nobody used Discord's reply.

Every message is compared with the `LAGS` before it in its channel. A candidate's score is the sum
of its features, weighted by `WEIGHTS`: how far back it is in messages and in time, who wrote it,
whether one of the two mentions the other's author, whether its author still waits for an answer,
and the words both share that few messages have. The best candidate is the target, unless a
conversation begins: the channel had been silent and nothing speaks for it, or somebody who wrote
nothing lately opens with a greeting or a question to everybody.

The weights are those of a multinomial logit (McFadden 1974: the softmax over a message's candidates
is the probability of each), fitted by `python -m benchmarks disentangle --fit` to explicit replies
of one community and to the addressed authors of another; it says to which part of them.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from storage.messages import DISCORD_EPOCH_MS, Message

LAGS = 24
BURST_SECONDS = 15  # to read somebody's message and to answer it takes longer
SILENCE_SECONDS = 600  # after which a message without a clear target begins a conversation
START_SCORE = -0.95  # what the best candidate must reach then: 98 % of real replies do
WEIGHTS = {
    "log_lag": -0.84,
    "is_previous": -0.43,
    "log_gap": -0.17,
    "log_gap_over_silence": -0.25,
    "a_day_ago": -0.48,
    "a_week_ago": -1.23,
    "is_own": -1.6,
    "is_own_previous": 1.34,
    "is_own_just_now": -1.32,
    "is_authors_last": 0.3,
    "is_newest_other": 0.2,
    "before_own": -1.04,
    "is_mentioned": 2.11,
    "is_mentioned_last": 0.79,
    "another_is_mentioned": -0.82,
    "mentions_me": 1.69,
    "mentions_another": -0.54,
    "shared_words": 0.89,
    "likeness": 2.36,
    "likeness_around": 1.32,
    "asks": 0.6,
    "asks_unanswered": 0.31,
    "follows_own": 0.7,
    "log_length": 0.37,
    "thanks_for_question": -1.12,
    "is_mid_burst": 0.37,
    "is_thanks": -0.31,
}

_STEM = re.compile(r"([^\W_]{3,6})[^\W_]*")  # of a word its first six letters count
_AT = re.compile(r"(?<!\w)@(\w[\w.-]*)")
_ADDRESS = re.compile(r"\s*@?(\w[\w.-]*)\s*[:,]")
_THANKS = re.compile(
    r"(thanks|thank|thx|ty|great|nice|cool|awesome|yes|yeah|yep|no|nope|ok|okay|agree|agreed"
    r"|exactly|sure|right|lol|haha|true|good|wow|oh|ah|same|done)\b"
)
COMMON_SHARE = 0.01  # of a sample's messages: a word that is in more tells nothing
SAMPLE = 50_000
_OPENING = re.compile(
    r"\W*(?:hi|hello|hey|morning|good (?:morning|evening|afternoon)|any(?:one|body)|who|is there"
    r"|(?:does|has|is|can|could) (?:any|some)|how (?:do|can|to|does|would)|quick question|question"
    r"|what(?:'s| is) the (?:best|right|recommended)|btw|fyi|unrelated|random)\b"
)
_NOBODY = (-1, -1, -1)

Array = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


@dataclass
class _Columns:
    """Some messages in a row, a column a fact. Authors are small numbers, unknown ones -1."""

    ids: Ints
    authors: Ints
    replies: Ints  # message ids, 0 for none
    mentioned: Ints  # (messages, 3) authors
    words: Ints  # how many telling ones
    lengths: Ints
    asks: Flags
    thanks: Flags
    opens: Flags
    shared: Ints  # (messages, LAGS): telling words shared with the messages before

    @property
    def sent_at(self) -> Array:
        return ((self.ids >> 22) + DISCORD_EPOCH_MS) / 1000

    def tail(self, size: int) -> "_Columns":
        return _Columns(*(column[-size:] for column in vars(self).values()))

    def __add__(self, other: "_Columns") -> "_Columns":
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return _Columns(*(np.concatenate(pair) for pair in pairs))


def common_words(texts: Iterable[str]) -> frozenset[str]:
    """The words of a community that are too common to tell what a message is about."""
    words = [set(_STEM.findall(text.lower())) for text in texts]
    counts = Counter(chain.from_iterable(words))
    return frozenset(word for word, count in counts.items() if count > COMMON_SHARE * len(words))


@dataclass
class Linker:
    """Links the messages of one channel, in order and a block at a time."""

    common: Set[str] = frozenset()
    _words: dict[str, list[int]] = field(default_factory=dict)  # and which last messages had them
    _authors: dict[int, int] = field(default_factory=dict)
    _names: dict[str, int] = field(default_factory=dict)
    _before: _Columns | None = None
    _position: int = 0

    def link(self, block: Sequence[Message]) -> Ints:
        """For each message the id of the one it answers, 0 where it begins a conversation.

        Blocks of a channel must come in order; an explicit reply is always its own target.
        """
        if not block:
            return np.zeros(0, np.int64)
        new = self._columns(block)
        seen = self._before + new if self._before else new
        self._before = seen.tail(LAGS)
        start = len(seen.ids) - len(block)
        lags = _best(seen, start)
        targets = np.where(lags > 0, seen.ids[np.arange(start, len(seen.ids)) - lags], 0)
        return np.where(new.replies > 0, new.replies, targets)

    def features(self, channel: Sequence[Message]) -> tuple[dict[str, Array], Flags]:
        """The features of a whole channel, (messages, LAGS) each, and which lags exist."""
        return _features(self._columns(channel), 0)

    def _columns(self, block: Sequence[Message]) -> _Columns:
        texts = [message.content.lower() for message in block]
        authors = [self._author(message) for message in block]
        mentioned = np.full((len(block), len(_NOBODY)), -1)
        for row, (message, text) in enumerate(zip(block, texts, strict=True)):
            if message.mentions or "@" in text or _ADDRESS.match(text):
                mentioned[row] = self._mentioned(message, text)
        words, shared = self._telling_words(texts)
        return _Columns(
            ids=np.array([message.id for message in block], np.int64),
            authors=np.array(authors, np.int64),
            replies=np.array([message.reply_to or 0 for message in block], np.int64),
            mentioned=mentioned,
            words=words,
            lengths=np.array([len(text) for text in texts], np.int64),
            asks=np.array(["?" in text for text in texts]),
            thanks=np.array([_THANKS.match(text) is not None for text in texts]),
            opens=np.array([_OPENING.match(text) is not None for text in texts]),
            shared=shared,
        )

    def _author(self, message: Message) -> int:
        number = self._authors.get(message.author_id)
        if number is None:
            number = self._authors[message.author_id] = len(self._authors)
            name = message.author_name.lower()
            self._names[name] = number
            self._names.setdefault(name.partition(" ")[0], number)
        return number

    def _mentioned(self, message: Message, text: str) -> tuple[int, ...]:
        """Up to three authors that a message names, by mention, `@name` or `name:` in front."""
        address = _ADDRESS.match(text)
        found = [self._authors.get(person, -1) for person in message.mentions]
        names = _AT.findall(text) + ([address[1]] if address else [])
        found += [self._names.get(name, -1) for name in names]
        return (*(number for number in found if number >= 0), *_NOBODY)[: len(_NOBODY)]

    def _telling_words(self, texts: Sequence[str]) -> tuple[Ints, Ints]:
        """How many telling words each text has, and how many it shares with each lag."""
        counts, pairs = [], []  # a pair is row * LAGS + lag - 1
        known = self._words
        for row, text in enumerate(texts, self._position):
            words = set(_STEM.findall(text)) - self.common
            counts.append(len(words))
            for word in words:
                at = known.get(word)
                if at is None or row - at[-1] > LAGS:  # as nearly always
                    known[word] = [row]
                else:
                    near = [before for before in at if row - before <= LAGS]
                    first = (row - self._position) * LAGS + row - 1
                    pairs += [first - before for before in near]
                    known[word] = [*near, row]
        self._position += len(texts)
        reach = self._position - LAGS
        self._words = {word: at for word, at in known.items() if at[-1] >= reach}
        shared = np.bincount(np.array(pairs, np.int64), minlength=len(texts) * LAGS)
        return np.array(counts), shared.reshape(-1, LAGS)


def _best(seen: _Columns, start: int) -> Ints:
    """How many messages back the target of each message from `start` on is; 0 for none."""
    features, exists = _features(seen, start)
    scores = np.where(
        exists, sum(WEIGHTS[name] * column for name, column in features.items()), -np.inf
    )
    best = scores.argmax(axis=1)
    rows = np.arange(len(best))
    waited = _waited(seen, start)
    begins = (scores[rows, best] < START_SCORE) & (waited > SILENCE_SECONDS)
    begins |= _opens(seen, start, rows + start - best - 1)
    goes_on = exists[:, 0] & (waited <= BURST_SECONDS) & (seen.mentioned[start:, 0] < 0)
    goes_on[1:] &= seen.authors[start + 1 :] == seen.authors[start:-1]
    goes_on[0] &= start > 0 and seen.authors[start] == seen.authors[start - 1]
    return np.where(exists[:, 0] & ~begins, np.where(goes_on, 1, best + 1), 0)


def _opens(seen: _Columns, start: int, best: Ints) -> Flags:
    """Whether a message speaks to everybody, by somebody who was not there and is not greeted."""
    here = np.arange(start, len(seen.ids))
    earlier, _ = _same_author(seen.authors)
    is_new = (earlier[here] < 0) | (earlier[here] < here - LAGS)
    greets_back = seen.opens[np.maximum(best, 0)]
    opens: Flags = seen.opens[here] & is_new & ~greets_back & (seen.mentioned[here, 0] < 0)
    return opens


def _waited(seen: _Columns, start: int) -> Array:
    """Seconds since the message before, for each message from `start` on."""
    return np.maximum(0, np.diff(seen.sent_at, prepend=seen.sent_at[:1]))[start:]


def _features(seen: _Columns, start: int) -> tuple[dict[str, Array], Flags]:
    """(rows, LAGS) of every feature for the messages from `start` on, and which lags exist."""
    here = np.arange(start, len(seen.ids))
    positions = here[:, None] - np.arange(1, LAGS + 1)
    exists = positions >= 0
    at = np.maximum(positions, 0)
    lag = np.arange(1, LAGS + 1)
    author = seen.authors[at]
    me = seen.authors[here][:, None]
    own = (author == me) & exists
    other = ~own
    earlier, later = _same_author(seen.authors)
    last = later[at] >= here[:, None]
    is_open = at >= earlier[here][:, None]  # I wrote nothing since
    goes_on = later[at] == at + 1  # its author wrote the message after it too
    goes_on[:, 0] = False
    continues = earlier[at] == at - 1  # and the one before it
    after_mine = np.zeros_like(own)
    after_mine[:, :-1] = own[:, 1:] & other[:, :-1]
    newest_other = other & (np.cumsum(other, axis=1) == 1)
    gap = np.maximum(0, seen.sent_at[here][:, None] - seen.sent_at[at])
    log_gap = np.log1p(gap)
    i_mention, mentions_me = _mentions(seen, here, at, author)
    mentions = (seen.mentioned[:, 0] >= 0)[at]
    roots = np.sqrt(np.maximum(1, seen.words))
    likeness = seen.shared[here] / (roots[here][:, None] * roots[at])  # the cosine
    around = np.zeros_like(likeness)  # that of its author's messages before and after it
    around[:, 1:] += likeness[:, :-1] * goes_on[:, 1:]
    around[:, :-1] += likeness[:, 1:] * continues[:, :-1]
    asks = seen.asks[at]
    return {
        "log_lag": np.log(lag),
        "is_previous": lag == 1,
        "log_gap": log_gap,
        "log_gap_over_silence": log_gap - np.log1p(_waited(seen, start))[:, None],
        "a_day_ago": gap > 86_400,
        "a_week_ago": gap > 7 * 86_400,
        "is_own": own,
        "is_own_previous": own & (lag == 1),
        "is_own_just_now": own & (lag == 1) & (gap < 120),
        "is_authors_last": last & other,
        "is_newest_other": newest_other,
        "before_own": ~is_open & other,
        "is_mentioned": i_mention & other,
        "is_mentioned_last": i_mention & last & other,
        "another_is_mentioned": (seen.mentioned[here][:, :1] >= 0) & ~i_mention,
        "mentions_me": mentions_me & is_open,
        "mentions_another": mentions & ~mentions_me,
        "shared_words": np.minimum(seen.shared[here], 4),
        "likeness": likeness,
        "likeness_around": around,
        "asks": asks & other,
        "asks_unanswered": asks & other & is_open,
        "follows_own": after_mine,
        "log_length": np.log1p(seen.lengths[at]) * other,
        "thanks_for_question": seen.thanks[here][:, None] & asks,
        "is_mid_burst": goes_on & continues & other,
        "is_thanks": seen.thanks[at],
    }, exists


def _same_author(authors: Ints) -> tuple[Ints, Ints]:
    """Where each message's author wrote before (-1: nowhere) and after it (the end: nowhere)."""
    order = np.argsort(authors, kind="stable")
    follows = authors[order[1:]] == authors[order[:-1]]
    earlier = np.full(len(authors), -1)
    later = np.full(len(authors), len(authors))
    earlier[order[1:][follows]] = order[:-1][follows]
    later[order[:-1][follows]] = order[1:][follows]
    return earlier, later


def _mentions(seen: _Columns, here: Ints, at: Ints, author: Ints) -> tuple[Flags, Flags]:
    """Whether a message mentions a candidate's author, and whether the candidate mentions its."""
    mentions = seen.mentioned[:, 0] >= 0  # few do: only their rows are compared
    forward, backward = np.zeros((2, *at.shape), np.bool_)
    rows = np.flatnonzero(mentions[here])
    forward[rows] = (seen.mentioned[here[rows]][:, None, :] == author[rows][:, :, None]).any(2)
    rows, lags = np.nonzero(mentions[at])
    mine = seen.authors[here[rows]][:, None]
    backward[rows, lags] = (seen.mentioned[at[rows, lags]] == mine).any(1)
    return forward, backward
