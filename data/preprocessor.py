"""From stored messages to training examples.

Nothing is normalised: typos, caps, repeats and one-letter replies are the personality. What is not
learned from at all, `data/selection.py` says; who talks with whom, `data/conversations.py`; which
bursts are learned and which held out, `data/plan.py`; how they look, `data/examples.py`.
"""

import dataclasses
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from bot.config import UserError
from data import links, own_replies, plan, preferences, privacy
from data.duplicates import Duplicates
from data.examples import REMEMBERED, Example, Renderer
from data.links import Flags, Ints
from data.own_replies import MEMBERS, OwnPair, OwnReplies
from data.plan import HELD_OUT, LEARNED, ChannelPlan
from data.preferences import Exposure
from data.selection import Selection
from data.training_files import TrainingFiles
from model import prompts
from model.examples import LIKED
from model.prompts import Encoder
from model.provenance import message_hash
from storage import messages
from storage.messages import Message, snowflake_at

SMALLEST = 50  # examples: below this there is nothing to learn from
REJECTED = ("model", "sibling", *preferences.CANNED)
SIBLING_SECONDS = 86_400
UNREACHED = 2**63 - 1  # an id that no message has

OnProgress = Callable[[int, int], None]
"""`on_progress(done, total)`, in messages; every message is read twice."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """How examples are made; the manifest records it."""

    seed: int = 0
    window: tuple[int, int] = (5, 10)  # messages shown, the burst counted as one
    pair_share: float = 0.2  # of the examples show one message only
    held_out: float = 0.1  # of each channel's messages, the newest
    author_share: float = 0.15  # of what is learned, at most, by one author
    masks_secrets: bool = True
    max_seq_length: int = 0  # tokens of an example, template included; 0: step 3 sees to it
    rejected: str = "model"  # the other side of a preference: one of `REJECTED`

    def __post_init__(self) -> None:
        low, high = self.window
        for is_right, rule in (
            (2 <= low <= high <= REMEMBERED, f"--window must lie within 2 and {REMEMBERED}"),
            (0 <= self.pair_share <= 1, "--pair-share must be from 0 to 1"),
            (0 < self.held_out < 1, "--held-out must be between 0 and 1"),
            (0 < self.author_share <= 1, "--author-share must be above 0 and at most 1"),
            (
                self.max_seq_length == 0 or self.max_seq_length >= 64,
                "--max-seq-length must be at least 64",
            ),
            (self.rejected in REJECTED, f"--rejected must be one of: {', '.join(REJECTED)}"),
        ):
            if not is_right:
                raise UserError(f"{rule}.")


@dataclasses.dataclass(frozen=True)
class Summary:
    """What `prepare` wrote, and what it did not."""

    messages: int
    conversations: int
    people: int
    train: int
    valid: int
    preferences: int
    pairs: dict[str, int]  # those preferences, by where they come from
    own_left_out: int  # pairs of the bot's replies beyond their share
    left_out: dict[str, int]
    thinned: int
    near_duplicates: int
    too_long: int
    masked: dict[str, int]


def prepare(
    connection: sqlite3.Connection,
    folder: Path,
    settings: Settings | None = None,
    on_progress: OnProgress = lambda *_: None,
    encoder: Encoder | None = None,
) -> Summary:
    """Write the files of `data/training_files.py` into `folder`.

    `encoder` is the model's, where `settings.max_seq_length` is to be kept. Raises `UserError`
    when the history is too small to learn from; the files of the last run then stay as they are.
    """
    settings = settings or Settings()
    total = messages.count(connection)
    history = _counted(messages.history(connection), lambda done: on_progress(done, 2 * total))
    selection = Selection(privacy.audience(connection), messages.own(connection))
    common = links.common_words(messages.sample(connection, links.SAMPLE))
    plans, left_out = plan.read(history, selection.reason_to_leave_out, settings.held_out, common)
    plan.choose_sizes(plans, settings.window, settings.pair_share, settings.seed)
    thinned = plan.cap_authors(plans, settings.author_share)
    _refuse_too_little(plans, left_out)
    files = TrainingFiles(folder)
    try:
        writer = _Writer(connection, settings, files, encoder)
        writer.read_own(plans, selection, common)
        writer.write(plans, lambda done: on_progress(total + done, 2 * total))
        summary = _summary(plans, left_out, thinned, writer)
        files.finish(
            {
                **dataclasses.asdict(summary),
                "made_at": time.time(),
                "settings": dataclasses.asdict(settings),
                "message_hashes": [message_hash(number) for number in writer.used(plans)],
                "people_hashes": sorted(map(message_hash, writer.authors(plans))),
            }
        )
    finally:
        files.close()
    return summary


def _counted(history: Iterable[Message], on_progress: Callable[[int], None]) -> Iterator[Message]:
    for done, message in enumerate(history):
        if done % 1000 == 0:
            on_progress(done)
        yield message


def _refuse_too_little(plans: Sequence[ChannelPlan], left_out: Counter[str]) -> None:
    learned, held_out = (sum(int((p.side == s).sum()) for p in plans) for s in (LEARNED, HELD_OUT))
    if learned >= SMALLEST and held_out:
        return
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in left_out.most_common())
    raise UserError(
        f"Only {learned} examples to learn from and {held_out} to hold out; at least {SMALLEST} "
        f"and 1 are needed. {f'Messages left out: {reasons}. ' if reasons else ''}"
        "Fetch more history first: python scripts/1_fetch_all_history.py"
    )


def _summary(
    plans: Sequence[ChannelPlan], left_out: Counter[str], thinned: int, writer: "_Writer"
) -> Summary:
    return Summary(
        messages=sum(len(p.ids) for p in plans),
        conversations=sum(len(np.unique(p.conversations)) for p in plans),
        people=len(np.unique(np.concatenate([p.authors for p in plans]))),
        train=writer.files.rows["train"],
        valid=writer.files.rows["valid"],
        preferences=writer.files.rows["preferences"],
        pairs=dict(writer.pairs),
        own_left_out=writer.own_left_out,
        left_out=dict(left_out),
        thinned=thinned,
        near_duplicates=writer.near_duplicates,
        too_long=writer.too_long,
        masked=dict(writer.renderer.masked),
    )


class _Writer:
    """Writes the planned examples, and notes which messages they show."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        settings: Settings,
        files: TrainingFiles,
        encoder: Encoder | None,
    ) -> None:
        self._connection, self._settings, self.files = connection, settings, files
        self._encoder = encoder
        self.renderer = Renderer(messages.names(connection), settings.masks_secrets)
        self._exposure = Exposure.fit(connection)
        self._dice = random.Random(settings.seed)
        self._held_out = Duplicates()
        self._shown: dict[int, Flags] = {}
        self._own: list[OwnPair] = []
        self._own_shown: dict[int, int] = {}
        self.pairs: Counter[str] = Counter()
        self.near_duplicates = self.too_long = self.own_left_out = 0

    def read_own(
        self, plans: Iterable[ChannelPlan], selection: Selection, common: frozenset[str]
    ) -> None:
        """Make pairs of what was thought of the bot's own replies."""
        lines = {p.channel_id: int(np.append(p.ids, UNREACHED)[p.line]) for p in plans}
        most = self._settings.window[1] - 1
        own = OwnReplies(
            self._connection, selection, self._exposure, self.renderer, lines, most, common
        )
        self._own = list(own.pairs(self._shortened))

    def write(self, plans: Sequence[ChannelPlan], on_progress: Callable[[int], None]) -> None:
        """What is held out comes first: nothing nearly the same is learned then."""
        done = 0
        for side in (HELD_OUT, LEARNED):
            for channel in plans:
                ids = (
                    channel.ids[channel.line :] if side == HELD_OUT else channel.ids[: channel.line]
                )
                if len(ids):
                    self._write_channel(channel, side, ids, done, on_progress)
                    done += len(ids)
        self._write_own()

    def used(self, plans: Iterable[ChannelPlan]) -> Iterator[int]:
        """The ids of all messages that the files show, in reply or context."""
        for channel in plans:
            if channel.channel_id in self._shown:
                yield from channel.ids[self._shown[channel.channel_id]].tolist()
        yield from self._own_shown

    def authors(self, plans: Iterable[ChannelPlan]) -> set[int]:
        """Who wrote those messages."""
        shown = (
            channel.authors[self._shown[channel.channel_id]]
            for channel in plans
            if channel.channel_id in self._shown
        )
        found = {author for authors in shown for author in authors.tolist()}
        return found | set(self._own_shown.values())

    def _write_channel(
        self,
        channel: ChannelPlan,
        side: int,
        ids: Ints,
        done: int,
        on_progress: Callable[[int], None],
    ) -> None:
        texts = messages.texts(self._connection, channel.channel_id, int(ids[0]), int(ids[-1]))
        shown = self._shown.setdefault(channel.channel_id, np.zeros(len(channel.ids), np.bool_))
        begin = channel.line if side == HELD_OUT else 0
        judged = {pair.trigger_id for pair in self._own}
        for number, planned in enumerate(self.renderer.examples(channel, side, texts)):
            if number % 500 == 0:
                on_progress(done + planned.reply[0].position - begin)
            example = self._shortened(planned)
            if example is None:
                self.too_long += 1
                continue
            if side == HELD_OUT:
                if example.context[-1].id in judged:
                    continue  # what the bot may say there is learned
                self._held_out.add(example.text)
            elif self._held_out.has_one_like(example.text):
                self.near_duplicates += 1
                continue
            for said in (*example.context, *example.reply):
                shown[said.position] = True
            self._write_example(example, "valid" if side == HELD_OUT else "train")

    def _shortened(self, example: Example) -> Example | None:
        limit = self._settings.max_seq_length
        if not (self._encoder and limit):
            return example
        return self.renderer.shortened(example, self._encoder, limit)

    def _write_example(self, example: Example, name: str) -> None:
        """An example; and a preference, if people liked it beyond what is usual there."""
        row = self.renderer.row(example)
        self.files.write(name, row)
        reacted = [said.id for said in example.reply if said.has_reactions]
        if not reacted:
            return
        burst = messages.by_ids(self._connection, reacted)
        chosen, judged = max(
            ((message, self._exposure.judge(message)) for message in burst),
            key=lambda pair: pair[1].score,
        )
        if judged.score > 0 and judged.weight >= preferences.LEAST_SURE:
            rejected = self._alternative(example, chosen)
            pair = {**preferences.row(judged, row), "rejected": rejected, "source": MEMBERS}
            self.files.write("preferences" if name == "train" else "valid_preferences", pair)
            self.pairs[MEMBERS] += name == "train"

    def _write_own(self) -> None:
        """The pairs of the bot's own replies, as many as there may be beside members'."""
        known = self._held_out.has_one_like
        fresh = [p for p in self._own if not known(prompts.join(p.row["chosen"] or ()))]
        kept = own_replies.surest(fresh, own_replies.most(self.pairs[MEMBERS]))
        self.near_duplicates += len(self._own) - len(fresh)
        self.own_left_out = len(fresh) - len(kept)
        for pair in kept:
            row = pair.row
            if row["source"] == LIKED and self._settings.rejected in preferences.CANNED:
                canned = preferences.alternatives(
                    prompts.join(row["reply"]), self._dice, self._settings.rejected
                )
                row = {**row, "rejected": canned}
            self.files.write("preferences", row)
            self.pairs[row["source"]] += 1
            self._own_shown |= pair.shown

    def _alternative(self, example: Example, chosen: Message) -> str | None:
        """The pair's other side; None: training fills it in with the model's own reply."""
        if self._settings.rejected == "model":
            return None
        if self._settings.rejected != "sibling":
            return preferences.alternatives(example.text, self._dice, self._settings.rejected)
        if chosen.reply_to is None:
            return None
        end = snowflake_at(chosen.sent_at + SIBLING_SECONDS)
        talk = messages.history(self._connection, chosen.channel_id, chosen.reply_to, end)
        sibling = preferences.sibling(chosen, list(talk), self._exposure)
        return self.renderer.text(sibling.content) if sibling else None
