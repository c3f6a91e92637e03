"""Several replies from one model at once, each from what its channel's slot has read already.

Every decode takes one token of each reply that is being written and, with what is left of the
batch, prompts: the one with the least left to read first, and reading ahead last. It computes with
one adapter; those that have replies to make take turns.
"""

import collections
import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence

import llama_cpp
from llama_cpp import Llama
from llama_cpp._internals import LlamaSampler

from model import context, drawing
from model.inference import Sampling
from model.kv_cache import SPILL_BYTES, KVCache, Owner, Slot

PLACES = 4  # replies in progress: with eight rows and more llama.cpp is slower than with six
CHUNK = 64  # tokens a decode: what somebody else has to wait for
TURN = 8  # tokens with one adapter: a change costs the small model the time of one
_ABORTED = 2


@dataclasses.dataclass(eq=False)
class Job:
    """A reply to make; without `sampling` only a prompt to read ahead. `number` is the caller's."""

    number: int
    channel_id: int
    prompt: Sequence[int]
    sampling: Sampling | None
    seed: int = 0
    adapter: str | None = None  # by its name in `context.add_adapter`
    evaluated: int = 0  # tokens of the prompt that had to be read
    said: list[int] = dataclasses.field(default_factory=list)
    slot: Slot | None = None
    sampler: LlamaSampler | None = None

    @property
    def is_reading_ahead(self) -> bool:
        return self.sampling is None

    @property
    def owner(self) -> Owner:
        """Whose keys and values it goes on from."""
        return self.channel_id, self.adapter

    @property
    def unread(self) -> int:
        """How many tokens must be read before the next can be drawn."""
        assert self.slot
        return len(self.prompt) + len(self.said) - len(self.slot.tokens)


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A token of a job; None: the job is over."""

    job: Job
    token: int | None


class Scheduler:
    """Call `add`, then `step` for as long as it `is_busy`. Not for several threads.

    `length` is of a prompt with its reply, in tokens. `is_cancelled` is asked for a job's number,
    also in the middle of a decode.
    """

    def __init__(
        self,
        model: Llama,
        length: int,
        places: int = PLACES,
        chunk: int = CHUNK,
        is_cancelled: Callable[[int], bool] = lambda number: False,
        spill_bytes: int = SPILL_BYTES,
    ) -> None:
        self._model, self._length, self._chunk = model, length, chunk
        self._is_cancelled = is_cancelled
        self._waiting: collections.deque[Job] = collections.deque()
        self._jobs: list[Job] = []
        self._reading: list[tuple[Job, list[int]]] = []  # what the decode that goes on reads
        self._dropped: list[Job] = []  # of which nobody was told
        self._adapter: str | None = None  # whose turn it is
        self._turn, self._turn_tokens = 0, 0
        self._turns: dict[str | None, int] = {}  # the last of each adapter
        self._holding = contextlib.ExitStack()
        size = chunk + places
        self._context = self._holding.enter_context(context.context(model, length, places, size))
        self._batch = self._holding.enter_context(context.batch(size))
        self.cache = KVCache(self._context, places, spill_bytes)
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._must_abort())
        self._never = llama_cpp.ggml_abort_callback(0)

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._jobs or self._dropped)

    def waiting(self, adapter: str | None) -> int:
        """How many replies of an adapter wait for a slot."""
        return sum(job.adapter == adapter and not job.is_reading_ahead for job in self._waiting)

    def add(self, job: Job) -> None:
        """Take a job. Reading ahead in a channel gives way to anything newer in that channel.

        Raises `ValueError` for a prompt that leaves no room for the reply, and an unknown adapter.
        """
        if not context.has_adapter(self._model, job.adapter):
            raise ValueError(f"the adapter {job.adapter} was not loaded")
        room = self._length - (job.sampling.max_tokens if job.sampling else 0)
        if not 0 < len(job.prompt) <= room:
            raise ValueError(f"a prompt of {len(job.prompt)} tokens does not fit into {room}")
        for other in [*self._waiting, *self._jobs]:
            if other.owner == job.owner and other.is_reading_ahead:
                self._drop(other)
        self._waiting.append(job)

    def step(self) -> Iterator[Drawn]:
        """One decode; the tokens that were drawn, and the jobs that are over.

        Raises `RuntimeError` when llama.cpp fails; `give_up` then.
        """
        for job in [*self._waiting, *self._jobs]:
            if self._is_cancelled(job.number):
                self._drop(job)
        self._admit()
        ready = self._decode()
        while self._dropped:
            yield Drawn(self._dropped.pop(), None)
        for job, row in ready:
            if job.sampling and job.sampler:
                token = llama_cpp.llama_sampler_sample(job.sampler.sampler, self._context, row)
                if not drawing.is_end(self._model, token):
                    job.said.append(token)
                    yield Drawn(job, token)
                    if len(job.said) < job.sampling.max_tokens:
                        continue
            self._finish(job)
            yield Drawn(job, None)

    def give_up(self) -> list[int]:
        """Drop every job, and what was read; their numbers."""
        for job in [*self._waiting, *self._jobs]:
            self._drop(job)
        self.cache.forget()
        given_up, self._dropped = self._dropped, []
        return [job.number for job in given_up]

    def close(self) -> None:
        """Free the context."""
        self.give_up()
        self._holding.close()

    def _admit(self) -> None:
        """Give free slots to those that wait: one to a channel."""
        for job in self._in_turn():
            if any(other.owner == job.owner for other in self._jobs):
                continue
            if len(self._jobs) == len(self.cache.slots) and not job.is_reading_ahead:
                self._make_room(job)
            slot = self.cache.take(job.owner, [*job.prompt, *job.said])
            if slot is None:
                return
            self._waiting.remove(job)
            self._jobs.append(job)
            job.slot = slot
            if job.sampling and not job.sampler:
                job.sampler = drawing.sampler(self._model, job.sampling, job.seed)

    def _in_turn(self) -> list[Job]:
        """Those that wait: replies first, and of no adapter a second one before another's first."""
        replies = collections.Counter(job.adapter for job in self._jobs if job.sampling)
        places: dict[Job, int] = {}
        for job in self._waiting:
            places[job] = replies[job.adapter]
            replies[job.adapter] += not job.is_reading_ahead
        return sorted(self._waiting, key=lambda job: (job.is_reading_ahead, places[job]))

    def _make_room(self, job: Job) -> None:
        """Free a slot for a reply: of what is read ahead, else of an adapter that has many."""
        if ahead := [one for one in self._jobs if one.is_reading_ahead]:
            self._drop(ahead[0])
            return
        replies = collections.Counter(one.adapter for one in self._jobs)
        ((adapter, most),) = replies.most_common(1)
        if most > replies[job.adapter] + 1:
            self._pause([one for one in self._jobs if one.adapter == adapter][-1])

    def _pause(self, job: Job) -> None:
        """Have a reply wait for a slot again; it goes on where it was."""
        assert job.slot
        self._jobs.remove(job)
        self.cache.give_back(job.slot)
        job.slot = None
        self._waiting.appendleft(job)

    def _decode(self) -> list[tuple[Job, int]]:
        """Read what fits into a batch; the jobs that have nothing left to read, with their rows."""
        batch, self._reading = self._batch, []
        batch.n_tokens = 0
        ready: list[tuple[Job, int]] = []
        jobs = self._next_jobs()
        room = self._chunk + sum(bool(job.said) for job in jobs)
        for job in sorted(jobs, key=lambda job: (job.is_reading_ahead, job.unread)):
            if self._reading and job.is_reading_ahead:
                break  # it must not delay a reply
            count = min(job.unread, room - batch.n_tokens)
            if count <= 0:
                continue
            is_last = count == job.unread
            if not is_last and any(not other.said for other, _ in ready):
                break  # nor a part of a prompt a first word
            self._put(job, count)
            if is_last:
                batch.logits[batch.n_tokens - 1] = True
                ready.append((job, batch.n_tokens - 1))
        is_long = batch.n_tokens > len(jobs)  # llama.cpp asks a thousand times a decode
        abort = self._abort if is_long else self._never
        llama_cpp.llama_set_abort_callback(self._context, abort, None)
        code = llama_cpp.llama_decode(self._context, batch) if batch.n_tokens else 0
        if code:
            for job, _ in self._reading:  # of which a part may be in the cache
                assert job.slot
                self.cache.cut(job.slot, len(job.slot.tokens))
            if code == _ABORTED:
                return []
            raise RuntimeError(f"llama_decode failed with {code}")
        self._turn_tokens += batch.n_tokens
        for job, tokens in self._reading:
            assert job.slot
            job.evaluated += max(0, min(len(tokens), len(job.prompt) - len(job.slot.tokens)))
            job.slot.tokens += tokens
        return ready

    def _next_jobs(self) -> list[Job]:
        """The jobs of the adapter whose turn it is: of one with replies to make, if any has."""
        jobs = [job for job in self._jobs if job.sampling] or self._jobs
        others = [job for job in jobs if job.adapter != self._adapter]
        is_awaited = any(not job.said for job in others)  # a first word
        is_over = is_awaited or self._turn_tokens >= TURN or len(others) == len(jobs)
        if others and is_over:
            first = min(others, key=lambda job: self._turns.get(job.adapter, 0))
            self._adapter, self._turn_tokens = first.adapter, 0
            self._turn += 1
            self._turns[self._adapter] = self._turn
            context.adapt(self._model, self._context, self._adapter)
        return [job for job in self._jobs if job.adapter == self._adapter]

    def _put(self, job: Job, count: int) -> None:
        """Add the next tokens of a job to the batch."""
        assert job.slot
        batch, begin = self._batch, len(job.slot.tokens)
        said = job.said[max(0, begin - len(job.prompt)) :]
        tokens = [*job.prompt[begin:], *said][:count]
        for place, token in enumerate(tokens, begin):
            row = batch.n_tokens
            batch.token[row], batch.pos[row] = token, place
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, job.slot.place
            batch.logits[row] = False
            batch.n_tokens += 1
        self._reading.append((job, tokens))

    def _must_abort(self) -> bool:
        """Whether the decode that goes on is of no use: all that it reads was cancelled."""
        return bool(self._reading) and all(
            self._is_cancelled(job.number) for job, _ in self._reading
        )

    def _drop(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        self._finish(job)
        self._dropped.append(job)

    def _finish(self, job: Job) -> None:
        if job.sampler:
            job.sampler.close()
            job.sampler = None
        if job in self._jobs:
            assert job.slot
            self._jobs.remove(job)
            self.cache.give_back(job.slot)
