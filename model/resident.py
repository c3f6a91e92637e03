"""A GGUF model in this process: how it is loaded, and how it reads."""

import contextlib
import dataclasses
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import llama_cpp
import psutil
from llama_cpp import Llama
from llama_cpp import llama_cpp as library

from bot.config import UserError
from model import catalog, context, prompts, templates

log = logging.getLogger(__name__)

KV_TYPES = {"f16": llama_cpp.GGML_TYPE_F16, "q8_0": llama_cpp.GGML_TYPE_Q8_0}


@dataclasses.dataclass(frozen=True)
class Way:
    """How a model is run; what is best differs from machine to machine (`model/speed.py`).

    `is_repacked`: the weights are copied into an order that suits the processor, instead of mapped
    from the file as they are. `kv` is the type of the cached keys and values.
    """

    threads: int = 0  # 0: as many as there are cores
    is_flash: bool = False
    is_repacked: bool = False
    kv: str = "f16"


def cores() -> int:
    """Physical cores: their hyperthreads bring a model nothing."""
    return psutil.cpu_count(logical=False) or os.cpu_count() or 1


def load(
    path: Path, context_length: int, threads: int = 0, gpu_layers: int = 0, way: Way | None = None
) -> Llama:
    """The model, ready. Raises `UserError` for a file that llama.cpp cannot load."""
    base = catalog.base_of(path)
    for file in filter(None, (path, base)):
        catalog.check_gguf(file)
    way = way or Way()
    count = threads or way.threads or cores()
    try:
        with _defaults(use_extra_bufts=way.is_repacked):
            model = Llama(
                str(base or path),
                n_ctx=context_length,
                n_threads=count,
                n_threads_batch=count,
                n_gpu_layers=gpu_layers,
                use_mmap=not way.is_repacked,  # both would hold the weights twice
                flash_attn=way.is_flash,
                type_k=KV_TYPES[way.kv],
                type_v=KV_TYPES[way.kv],
                verbose=False,
            )
        if base:
            context.add_adapter(model, path)
        return model
    except ValueError:
        raise _damaged(path) from None


def add_adapter(model: Llama, base: Path, path: Path) -> None:
    """Have an adapter at hand, by its path, beside `base` in a model. Raises `UserError`."""
    catalog.check_gguf(path)
    own = catalog.base_of(path)
    if own is None or not own.samefile(base):
        what = f"an adapter for {own}" if own else "a model of its own"
        raise UserError(
            f"{path} is {what}, and cannot share a process with {base}. Choose a model that was "
            f"trained on {base.name}, or give it a bot of its own."
        )
    try:
        context.add_adapter(model, path, str(path))
    except ValueError:
        raise _damaged(path) from None


def _damaged(path: Path) -> UserError:
    return UserError(
        f"The model {path} is damaged or incomplete: llama.cpp cannot load it. "
        "Delete it and fetch or train it again."
    )


@contextlib.contextmanager
def _defaults(**values: Any) -> Iterator[None]:
    """Other defaults of llama.cpp for a model while it loads: `Llama` hands not all of them on."""
    original = library.llama_model_default_params

    def changed() -> Any:
        parameters = original()
        for name, value in values.items():
            setattr(parameters, name, value)
        return parameters

    library.llama_model_default_params = changed
    try:
        yield
    finally:
        library.llama_model_default_params = original


def encoder(model: Llama) -> prompts.Encoder:
    """How the model reads: its own chat template, and its tokeniser.

    Raises `UserError` for a chat template that cannot be used.
    """

    def token_ids(text: str, is_markup: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        return model.tokenize(data, add_bos=False, special=is_markup) if data else []

    return prompts.Encoder(_template(model), token_ids)


def _template(model: Llama) -> prompts.Template:
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    bos, eos = (_token_text(vocabulary, token) for token in (model.token_bos(), model.token_eos()))
    source = model.metadata.get("tokenizer.chat_template")
    if not source:
        log.warning("the model has no chat template; it is shown plain lines of NAME: text")
    template = templates.from_jinja(source, bos, eos) if source else templates.plain(eos)
    if llama_cpp.llama_vocab_get_add_bos(vocabulary) and not template.before.startswith(bos):
        return dataclasses.replace(template, before=bos + template.before)
    return template


def _token_text(vocabulary: Any, token: int) -> str:
    """What a special token is called; "" where the model has no such token."""
    return llama_cpp.llama_vocab_get_text(vocabulary, token).decode() if token >= 0 else ""
