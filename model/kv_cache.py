"""What a context of llama.cpp has read, channel by channel.

Each channel has a *slot*, a sequence of the KV cache. One that another channel needs is copied out
to memory, and comes back as fast as it can be copied in: 2 ms for 640 tokens of the small model.
What was computed with one adapter is of no use to another.
"""

import ctypes
import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import llama_cpp

KEEP_SECONDS = 600.0  # after it was last used
SPILL_BYTES = 256 << 20
WORTH_SPILLING = 16  # tokens

Owner = tuple[int, str | None]  # a channel, and the adapter that its keys were computed with


@dataclasses.dataclass(eq=False)
class Slot:
    """A sequence: whose it is, and the tokens that it holds."""

    place: int
    owner: Owner | None = None
    tokens: list[int] = dataclasses.field(default_factory=list)
    used_at: float = 0.0
    is_taken: bool = False


@dataclasses.dataclass(frozen=True)
class Spilled:
    """A slot's content in memory."""

    tokens: list[int]
    state: Any
    used_at: float


class KVCache:
    """The slots of a context, and what was spilled of them: at most `spill_bytes`."""

    def __init__(self, context: Any, places: int, spill_bytes: int = SPILL_BYTES) -> None:
        self._context, self._spill_bytes = context, spill_bytes
        self._memory = llama_cpp.llama_get_memory(context)
        self._spilled: dict[Owner, Spilled] = {}
        self.slots = [Slot(place) for place in range(places)]

    @property
    def spilled_bytes(self) -> int:
        """What the spilled slots take."""
        return sum(len(one.state) for one in self._spilled.values())

    def take(self, owner: Owner, prompt: Sequence[int]) -> Slot | None:
        """A free slot that holds as much of the beginning of a prompt as is known.

        The prompt's last token is never among it: it must be read for what comes next.
        """
        self._expire()
        free = [slot for slot in self.slots if not slot.is_taken]
        slot = next((one for one in free if one.owner == owner), None)
        if slot is None:
            if not free:
                return None
            slot = min(free, key=lambda one: (one.owner is not None, one.used_at))
            self._spill(slot)
            self._clear(slot)
            slot.owner = owner
            self._restore(slot)
        self.cut(slot, min(_common(slot.tokens, prompt), len(prompt) - 1))
        slot.is_taken = True
        return slot

    def give_back(self, slot: Slot) -> None:
        """Leave a slot with what it holds to whoever comes next."""
        slot.is_taken, slot.used_at = False, time.monotonic()

    def cut(self, slot: Slot, length: int) -> None:
        """Keep the beginning of what a slot holds; nothing, where the model cannot do that."""
        if not llama_cpp.llama_memory_seq_rm(self._memory, slot.place, length, -1):
            llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)
            length = 0
        del slot.tokens[length:]

    def forget(self) -> None:
        """Let go of what was read for every channel whose slot is not taken."""
        self._spilled.clear()
        for slot in self.slots:
            if not slot.is_taken:
                self._clear(slot)

    def _clear(self, slot: Slot) -> None:
        llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)
        slot.tokens, slot.owner = [], None

    def _spill(self, slot: Slot) -> None:
        """Copy what a slot holds out to memory, and let the oldest of that go where it is full."""
        if not self._spill_bytes or len(slot.tokens) < WORTH_SPILLING:
            return
        assert slot.owner is not None
        size = llama_cpp.llama_state_seq_get_size(self._context, slot.place)
        state = (ctypes.c_uint8 * size)()
        if not llama_cpp.llama_state_seq_get_data(self._context, state, size, slot.place):
            return
        self._spilled[slot.owner] = Spilled(slot.tokens, state, slot.used_at)
        while self.spilled_bytes > self._spill_bytes:
            del self._spilled[min(self._spilled, key=lambda key: self._spilled[key].used_at)]

    def _restore(self, slot: Slot) -> None:
        """Copy back what was spilled for the slot's channel."""
        assert slot.owner is not None
        kept = self._spilled.pop(slot.owner, None)
        if kept is None:
            return
        size = len(kept.state)
        if llama_cpp.llama_state_seq_set_data(self._context, kept.state, size, slot.place):
            slot.tokens = kept.tokens
        else:
            llama_cpp.llama_memory_seq_rm(self._memory, slot.place, -1, -1)

    def _expire(self) -> None:
        before = time.monotonic() - KEEP_SECONDS
        for owner in [key for key, one in self._spilled.items() if one.used_at < before]:
            del self._spilled[owner]
        for slot in self.slots:
            if not slot.is_taken and slot.owner is not None and slot.used_at < before:
                self._clear(slot)


def _common(ours: Sequence[int], theirs: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    for place, (one, other) in enumerate(zip(ours, theirs, strict=False)):
        if one != other:
            return place
    return min(len(ours), len(theirs))
