"""Contexts of llama.cpp beside the one that `Llama` makes, and the adapters they compute with."""

import contextlib
import ctypes
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import llama_cpp
from llama_cpp import Llama

UBATCH = 512


def add_adapter(model: Llama, path: Path, name: str | None = None) -> None:
    """Load an adapter, for every context or, by a name, for `adapt`. Raises `ValueError`.

    `Llama` has a parameter for it, but goes on without a word if the file is damaged.
    """
    adapter = llama_cpp.llama_adapter_lora_init(model.model, os.fsencode(path))  # freed with it
    if not adapter:
        raise ValueError(f"{path} is no adapter for this model")
    _adapters.setdefault(model, {})[name] = adapter
    if name is None:
        adapt(model, model.ctx)


def has_adapter(model: Llama, name: str | None) -> bool:
    """Whether `adapt` knows the name."""
    return name is None or name in _adapters.get(model, ())


def adapt(model: Llama, context: Any, name: str | None = None) -> None:
    """Have a context compute with the adapter of that name; None: as any context of the model.

    Nothing where it does so already. Else llama.cpp lays out its graphs anew with the next decode.
    """
    known = _adapters.get(model, {})
    adapters = [known[name]] if name is not None or None in known else []
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * len(adapters))(*adapters)
    scales = (ctypes.c_float * len(adapters))(*[1.0] * len(adapters))
    if llama_cpp.llama_set_adapters_lora(context, pointers, len(adapters), scales):
        raise ValueError("llama.cpp does not take the adapter")


_adapters: "weakref.WeakKeyDictionary[Llama, dict[str | None, Any]]" = weakref.WeakKeyDictionary()


@contextlib.contextmanager
def context(model: Llama, length: int, places: int, size: int) -> Iterator[Any]:
    """A context in which each sequence has its own cells, so that none reads another's."""
    parameters = type(model.context_params).from_buffer_copy(model.context_params)
    parameters.n_ctx, parameters.n_batch = places * length, size
    parameters.n_ubatch = min(size, UBATCH)
    parameters.n_seq_max, parameters.kv_unified = places, False
    made = llama_cpp.llama_init_from_model(model.model, parameters)
    if not made:
        raise RuntimeError("llama.cpp has no room for a context")
    try:
        adapt(model, made)
        yield made
    finally:
        llama_cpp.llama_free(made)


@contextlib.contextmanager
def batch(size: int) -> Iterator[Any]:
    made = llama_cpp.llama_batch_init(size, 0, 1)
    try:
        yield made
    finally:
        llama_cpp.llama_batch_free(made)


def fill(batch: Any, tokens: Sequence[int], begin: int) -> None:
    """Tokens of one sequence from a place on; only the last is asked for what follows."""
    batch.n_tokens = len(tokens)
    for row, token in enumerate(tokens):
        batch.token[row], batch.pos[row] = token, begin + row
        batch.n_seq_id[row], batch.seq_id[row][0] = 1, 0
        batch.logits[row] = row == len(tokens) - 1
