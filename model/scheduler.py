"""Several replies from one model at once, in one context of llama.cpp.

Each channel has a *slot*: a sequence in the KV cache that remembers what was read, so that only
what is new at the end of a prompt is read again. Every decode takes one token of each reply that is
being written and, with what is left of the batch, prompts: the one with the least left to read
first, and reading ahead (`sampling` None) last. A slot that another channel needs is copied out to
memory and comes back as fast as it can be copied in.
"""

import codecs
import collections
import contextlib
import ctypes
import dataclasses
import os
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import Llama
from llama_cpp._internals import LlamaSampler

from model.inference import Sampling

PLACES = 4  # replies in progress: with eight rows and more llama.cpp is slower than with six
CHUNK = 64  # tokens a decode: what somebody else has to wait for
KEEP_SECONDS = 600.0  # a channel's cache after it was last used
SPILL_BYTES = 256 << 20
WORTH_SPILLING = 16  # tokens
UBATCH = 512

_ABORTED = 2


@dataclasses.dataclass
class Job:
    """A reply to make; without `sampling` only a prompt to read ahead. `number` is the caller's."""

    number: int
    channel_id: int
    prompt: Sequence[int]
    sampling: Sampling | None
    seed: int = 0
    evaluated: int = 0  # tokens of the prompt that had to be read
    said: list[int] = dataclasses.field(default_factory=list)
    slot: "Slot | None" = None
    sampler: LlamaSampler | None = None

    @property
    def is_reading_ahead(self) -> bool:
        return self.sampling is None

    @property
    def unread(self) -> int:
        """How many tokens must be read before the next can be drawn."""
        assert self.slot
        return len(self.prompt) + len(self.said) - len(self.slot.tokens)


@dataclasses.dataclass
class Slot:
    """A sequence of the KV cache: whose it is, and the tokens that it holds."""

    place: int
    channel_id: int | None = None
    tokens: list[int] = dataclasses.field(default_factory=list)
    used_at: float = 0.0
    job: Job | None = None


@dataclasses.dataclass(frozen=True)
class Spilled:
    """A slot's content in memory."""

    tokens: list[int]
    state: Any
    used_at: float


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A token of a job; None: the job is done."""

    job: Job
    token: int | None


class Scheduler:
    """Call `add`, then `step` for as long as it `is_busy`. Not for several threads.

    `is_cancelled` is asked for a job's number, also in the middle of a decode. Raises
    `RuntimeError` when llama.cpp fails.
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
        self._is_cancelled, self._spill_bytes = is_cancelled, spill_bytes
        self._slots = [Slot(place) for place in range(places)]
        self._waiting: collections.deque[Job] = collections.deque()
        self._spilled: dict[int, Spilled] = {}
        self._holding = contextlib.ExitStack()
        size = chunk + places
        self._context = self._holding.enter_context(_context(model, length, places, size))
        self._batch = self._holding.enter_context(_batch(size))
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._reading: list[Job] = []
        self._dropped: list[Job] = []  # of which nobody was told
        self._abort = llama_cpp.ggml_abort_callback(lambda _: self._must_abort())
        llama_cpp.llama_set_abort_callback(self._context, self._abort, None)

    @property
    def is_busy(self) -> bool:
        return bool(self._waiting or self._jobs or self._dropped)

    @property
    def waiting(self) -> int:
        """How many replies wait for a slot."""
        return sum(not job.is_reading_ahead for job in self._waiting)

    @property
    def _jobs(self) -> list[Job]:
        return [slot.job for slot in self._slots if slot.job]

    def add(self, job: Job) -> None:
        """Take a job. Reading ahead in a channel gives way to anything newer in that channel.

        Raises `ValueError` for a prompt that leaves no room for the reply.
        """
        room = self._length - (job.sampling.max_tokens if job.sampling else 0)
        if not 0 < len(job.prompt) <= room:
            raise ValueError(f"a prompt of {len(job.prompt)} tokens does not fit into {room}")
        for other in [*self._waiting, *self._jobs]:
            if other.channel_id == job.channel_id and other.is_reading_ahead:
                self._drop(other)
        self._waiting.append(job)

    def close(self) -> None:
        """Free the context."""
        for job in self._jobs:
            self._finish(job)
        self._holding.close()

    def forget(self) -> None:
        """Let go of what was read for every channel that is not being answered."""
        self._spilled.clear()
        for slot in self._slots:
            if slot.job is None:
                self._clear(slot)

    def give_up(self) -> list[int]:
        """Drop every job, and what was read; their numbers."""
        for job in [*self._waiting, *self._jobs]:
            self._drop(job)
        self.forget()
        given_up, self._dropped = self._dropped, []
        return [job.number for job in given_up]

    def step(self) -> Iterator[Drawn]:
        """One decode; the tokens that were drawn and the jobs that ended."""
        for job in [*self._waiting, *self._jobs]:
            if self._is_cancelled(job.number):
                self._drop(job)
        self._admit()
        ready = self._decode()
        while self._dropped:
            yield Drawn(self._dropped.pop(), None)
        for job, row in ready:
            if job.sampling is None or job.sampler is None:
                self._finish(job)
                yield Drawn(job, None)
                continue
            token = llama_cpp.llama_sampler_sample(job.sampler.sampler, self._context, row)
            if not is_end(self._model, token):
                job.said.append(token)
                yield Drawn(job, token)
                if len(job.said) < job.sampling.max_tokens:
                    continue
            self._finish(job)
            yield Drawn(job, None)

    def _decode(self) -> list[tuple[Job, int]]:
        """Read what fits into a batch; the jobs that have nothing left to read, with their rows."""
        batch, ready = self._batch, []
        batch.n_tokens = 0
        self._reading = []
        order = sorted(self._jobs, key=lambda job: (job.is_reading_ahead, job.unread))
        room = self._chunk + sum(bool(job.said) for job in order)
        for job in order:
            if self._reading and job.is_reading_ahead:
                break  # it must not slow down a reply
            count = min(job.unread, room - batch.n_tokens)
            if count <= 0:
                continue
            self._put(job, count)
            self._reading.append(job)
            if count == job.unread:
                batch.logits[batch.n_tokens - 1] = True
                ready.append((job, batch.n_tokens - 1))
        if not batch.n_tokens:
            return []
        code = llama_cpp.llama_decode(self._context, batch)
        if code == _ABORTED:
            self._undo()
            return []
        if code:
            self._undo()
            raise RuntimeError(f"llama_decode failed with {code}")
        for job in self._reading:
            self._note(job)
        return ready

    def _put(self, job: Job, count: int) -> None:
        """Add the next tokens of a job to the batch."""
        assert job.slot
        batch, begin = self._batch, len(job.slot.tokens)
        whole = [*job.prompt[begin:], *job.said[max(0, begin - len(job.prompt)) :]]
        for place, token in enumerate(whole[:count]):
            row = batch.n_tokens
            batch.token[row], batch.pos[row] = token, begin + place
            batch.n_seq_id[row], batch.seq_id[row][0] = 1, job.slot.place
            batch.logits[row] = False
            batch.n_tokens += 1

    def _note(self, job: Job) -> None:
        """Take down what a decode has read of a job."""
        assert job.slot
        rows = range(self._batch.n_tokens)
        place = job.slot.place
        read = [self._batch.token[row] for row in rows if self._batch.seq_id[row][0] == place]
        job.evaluated += max(0, min(len(read), len(job.prompt) - len(job.slot.tokens)))
        job.slot.tokens += read

    def _undo(self) -> None:
        """Take out of the cache what a decode that ended half-way may have left there."""
        for job in self._reading:
            assert job.slot
            self._cut(job.slot, len(job.slot.tokens))

    def _must_abort(self) -> bool:
        """Whether the decode that is going on is of no use: all that it reads was cancelled."""
        return bool(self._reading) and all(self._is_cancelled(one.number) for one in self._reading)

    def _admit(self) -> None:
        """Give free slots to those that wait, replies first."""
        self._expire()
        for job in sorted(self._waiting, key=lambda job: job.is_reading_ahead):
            if any(other.channel_id == job.channel_id for other in self._jobs):
                continue  # one at a time in a channel
            if slot := self._slot_for(job):
                self._waiting.remove(job)
                self._begin(job, slot)

    def _slot_for(self, job: Job) -> Slot | None:
        """The channel's own slot, an unused one, or the one that was not used for longest."""
        free = [slot for slot in self._slots if slot.job is None]
        if own := next((slot for slot in free if slot.channel_id == job.channel_id), None):
            return own
        ahead = [one for one in self._jobs if one.is_reading_ahead]
        if not free and ahead and not job.is_reading_ahead:  # a reply need not wait for it
            self._drop(ahead[0])
            free = [slot for slot in self._slots if slot.job is None]
        if not free:
            return None
        slot = min(free, key=lambda slot: (slot.channel_id is not None, slot.used_at))
        self._spill(slot)
        self._clear(slot)
        slot.channel_id = job.channel_id
        self._restore(slot)
        return slot

    def _begin(self, job: Job, slot: Slot) -> None:
        common = 0
        for ours, theirs in zip(slot.tokens, job.prompt, strict=False):
            if ours != theirs:
                break
            common += 1
        self._cut(slot, min(common, len(job.prompt) - 1))  # the last is read for its logits
        slot.job, job.slot = job, slot
        if job.sampling:
            job.sampler = sampler(self._model, job.sampling, job.seed)

    def _finish(self, job: Job) -> None:
        if job.sampler:
            job.sampler.close()
            job.sampler = None
        if job.slot:
            job.slot.job, job.slot.used_at = None, time.monotonic()

    def _drop(self, job: Job) -> None:
        if job in self._waiting:
            self._waiting.remove(job)
        self._finish(job)
        self._dropped.append(job)

    def _cut(self, slot: Slot, length: int) -> None:
        """Keep the beginning of what a slot holds; nothing, where the model cannot do that."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, slot.place, length, -1):
            llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)
            length = 0
        del slot.tokens[length:]

    def _clear(self, slot: Slot) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)
        slot.tokens, slot.channel_id = [], None

    def _spill(self, slot: Slot) -> None:
        """Copy what a slot holds out to memory, and let the oldest of that go where it is full."""
        if not self._spill_bytes or len(slot.tokens) < WORTH_SPILLING:
            return
        assert slot.channel_id is not None
        size = llama_cpp.llama_state_seq_get_size(self._context, slot.place)
        state = (ctypes.c_uint8 * size)()
        written = llama_cpp.llama_state_seq_get_data(self._context, state, size, slot.place)
        if not 0 < written <= size:
            return
        self._spilled[slot.channel_id] = Spilled(slot.tokens, state, slot.used_at)
        while sum(len(one.state) for one in self._spilled.values()) > self._spill_bytes:
            del self._spilled[min(self._spilled, key=lambda key: self._spilled[key].used_at)]

    def _restore(self, slot: Slot) -> None:
        """Copy back what was spilled for the slot's channel."""
        assert slot.channel_id is not None
        kept = self._spilled.pop(slot.channel_id, None)
        if kept is None:
            return
        size = len(kept.state)
        if llama_cpp.llama_state_seq_set_data(self._context, kept.state, size, slot.place):
            slot.tokens = kept.tokens
        else:
            llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)

    def _expire(self) -> None:
        before = time.monotonic() - KEEP_SECONDS
        for channel_id in [key for key, one in self._spilled.items() if one.used_at < before]:
            del self._spilled[channel_id]
        for slot in self._slots:
            if slot.job is None and slot.channel_id is not None and slot.used_at < before:
                self._clear(slot)


def add_adapter(model: Llama, path: Path) -> None:
    """Have a model compute with an adapter, in every context. Raises `ValueError` if it cannot.

    `Llama` has a parameter for it, but goes on without a word if the file is damaged.
    """
    adapter = llama_cpp.llama_adapter_lora_init(model.model, os.fsencode(path))  # freed with it
    if not adapter:
        raise ValueError(f"{path} is no adapter for this model")
    _adapters[model] = adapter
    _adapt(model, model.ctx)


def _adapt(model: Llama, context: Any) -> None:
    if adapter := _adapters.get(model):
        pointers = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
        scales = (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(context, pointers, 1, scales):
            raise ValueError("llama.cpp does not take the adapter")


_adapters: "weakref.WeakKeyDictionary[Llama, Any]" = weakref.WeakKeyDictionary()


def sampler(model: Llama, sampling: Sampling, seed: int) -> LlamaSampler:
    """The chain that `Llama.generate` builds. Greedy at temperature 0."""
    made = LlamaSampler()
    made.add_penalties(
        n_vocab=model.n_vocab(),
        penalty_last_n=model.last_n_tokens_size,
        penalty_repeat=sampling.repeat_penalty,
        penalty_freq=0.0,
        penalty_present=0.0,
    )
    if sampling.temperature <= 0:
        made.add_greedy()
        return made
    made.add_top_k(sampling.top_k)
    made.add_top_p(sampling.top_p, 1)
    made.add_min_p(sampling.min_p, 1)
    made.add_temp(sampling.temperature)
    made.add_dist(seed)
    return made


def is_end(model: Llama, token: int) -> bool:
    """Whether a token ends a turn, as every control token does: none belongs inside of a reply."""
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    is_eog, is_control = llama_cpp.llama_vocab_is_eog, llama_cpp.llama_vocab_is_control
    return bool(is_eog(vocabulary, token) or is_control(vocabulary, token))


class Spelling:
    """Tokens into text, piece by piece, up to the text `stop`, which may take several tokens.

    `bytes_of` gives a token's bytes, which need not be whole characters.
    """

    def __init__(self, bytes_of: Callable[[int], bytes], stop: str) -> None:
        self._bytes_of, self._stop = bytes_of, stop
        self._decode = codecs.getincrementaldecoder("utf-8")("ignore").decode  # split characters
        self._held = ""
        self.is_over = False

    def add(self, token: int) -> str:
        """What can be said after one token more."""
        text = self._held + self._decode(self._bytes_of(token))
        said, found, _ = text.partition(self._stop)
        if found:
            self._held, self.is_over = "", True
            return said
        begun = next(n for n in range(len(self._stop) - 1, -1, -1) if said.endswith(self._stop[:n]))
        ready = len(said) - begun
        self._held = said[ready:]
        return said[:ready]

    def rest(self) -> str:
        """What looked like the beginning of `stop` and was not."""
        held, self._held = self._held, ""
        return held


@contextlib.contextmanager
def _context(model: Llama, length: int, places: int, batch: int) -> Iterator[Any]:
    """A context in which each sequence has its own cells, so that none reads another's."""
    parameters = type(model.context_params).from_buffer_copy(model.context_params)
    parameters.n_ctx, parameters.n_batch = places * length, batch
    parameters.n_ubatch = min(batch, UBATCH)
    parameters.n_seq_max, parameters.kv_unified = places, False
    context = llama_cpp.llama_init_from_model(model.model, parameters)
    if not context:
        raise RuntimeError("llama.cpp has no room for a context")
    try:
        _adapt(model, context)
        yield context
    finally:
        llama_cpp.llama_free(context)


@contextlib.contextmanager
def _batch(size: int) -> Iterator[Any]:
    batch = llama_cpp.llama_batch_init(size, 0, 1)
    try:
        yield batch
    finally:
        llama_cpp.llama_batch_free(batch)
