"""The process that owns the GGUF: reads calls from stdin, writes answers to stdout, JSON lines.

    python -m model.worker --model PATH [--embedder-dir DIR] [--context-length N] [--threads N]

One thread reads stdin so that a cancel is seen in the middle of a reply; the main thread owns the
model, which is not thread-safe. The process ends when stdin closes.
"""

import argparse
import base64
import codecs
import ctypes
import dataclasses
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TextIO

import llama_cpp
import psutil
from llama_cpp import Llama

from bot.config import UserError
from model import catalog, embeddings, prompts, templates
from model.inference import Sampling
from model.prompts import Prompt, Turn

log = logging.getLogger(__name__)


def main() -> int:
    arguments = _arguments()
    answers = _claim_stdout()
    try:
        started = time.monotonic()
        model = load(arguments.model, arguments.context_length, arguments.threads, arguments.gpu)
        worker = Worker(model, _embedder(arguments.embedder_dir), answers)
    except UserError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return 78
    print(json.dumps({"ready": time.monotonic() - started}), file=answers, flush=True)
    worker.run()
    return 0


def load(path: Path, context_length: int, threads: int = 0, gpu_layers: int = 0) -> Llama:
    """The model, ready. Raises `UserError` for a file that llama.cpp cannot load."""
    base = catalog.base_of(path)
    for file in filter(None, (path, base)):
        catalog.check_gguf(file)
    cores = threads or psutil.cpu_count(logical=False) or os.cpu_count() or 1
    try:
        model = Llama(
            str(base or path),
            n_ctx=context_length,
            n_threads=cores,
            n_threads_batch=cores,
            n_gpu_layers=gpu_layers,
            verbose=False,
        )
        if base:
            _add_adapter(model, path)
        return model
    except ValueError:
        raise UserError(
            f"The model {path} is damaged or incomplete: llama.cpp cannot load it. "
            "Delete it and fetch or train it again."
        ) from None


def _add_adapter(model: Llama, path: Path) -> None:
    """Have a model compute with an adapter. Raises `ValueError` when llama.cpp cannot.

    `Llama` has a parameter for it, but goes on without a word if the file is damaged.
    """
    adapter = llama_cpp.llama_adapter_lora_init(model.model, os.fsencode(path))  # freed with it
    pointers = (llama_cpp.llama_adapter_lora_p_ctypes * 1)(adapter)
    scales = (ctypes.c_float * 1)(1.0)
    if not adapter or llama_cpp.llama_set_adapters_lora(model.ctx, pointers, 1, scales):
        raise ValueError(f"{path} is no adapter for this model")


def _embedder(models_dir: Path | None) -> embeddings.Embedder | None:
    """The embedder; without it the bot still talks, it only recalls nothing."""
    if models_dir is None:
        return None
    try:
        return embeddings.Embedder(embeddings.minilm(models_dir))
    except UserError as error:
        print(f"recall is off: {error}", file=sys.stderr, flush=True)
        return None


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


class Worker:
    """Takes calls one at a time and answers them."""

    def __init__(self, model: Llama, embedder: embeddings.Embedder | None, answers: TextIO) -> None:
        self._model, self._embedder, self._answers = model, embedder, answers
        self._encoder = encoder(model)
        self._calls: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._cancelled: set[int] = set()

    def run(self) -> None:
        """Answer calls until stdin closes."""
        threading.Thread(target=self._listen, daemon=True).start()
        while call := self._calls.get():
            number = call["id"]
            try:
                if number not in self._cancelled:
                    self._answer(call)
                self._say(number, done=True)
            except (ValueError, KeyError, TypeError, RuntimeError) as error:
                self._say(number, error=f"{type(error).__name__}: {error}")
            self._cancelled.discard(number)

    def _listen(self) -> None:
        for line in sys.stdin:
            call = json.loads(line)
            if call["call"] == "cancel":
                self._cancelled.add(call["id"])
            else:
                self._calls.put(call)
        os._exit(0)  # the bot is gone: do not finish a reply that nobody waits for

    def _answer(self, call: dict[str, Any]) -> None:
        if call["call"] == "embed":
            if self._embedder is None:
                raise ValueError("this worker was started without an embedder")
            vectors = [
                base64.b64encode(v.tobytes()).decode() for v in self._embedder(call["texts"])
            ]
            self._say(call["id"], vectors=vectors)
            return
        drawn = self._generate(_prompt(call["prompt"]), Sampling(**call["sampling"]))
        for piece in until(self._encoder.template.stop, drawn):
            self._say(call["id"], piece=piece)
            if call["id"] in self._cancelled:
                return

    def _generate(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        model = self._model
        room = max(1, model.n_ctx() - sampling.max_tokens - 1)
        tokens = prompts.encode(prompt, self._encoder, room)
        model.set_seed(sampling.seed if sampling.seed is not None else time.time_ns() % 2**32)
        decode = codecs.getincrementaldecoder("utf-8")("ignore").decode  # a character may be split
        drawn = model.generate(
            tokens,
            temp=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            min_p=sampling.min_p,
            repeat_penalty=sampling.repeat_penalty,
        )
        for count, token in enumerate(drawn):
            if count >= sampling.max_tokens or is_end(model, token):
                return
            if piece := decode(model.detokenize([token])):
                yield piece

    def _say(self, number: int, **answer: Any) -> None:
        print(json.dumps({"id": number, **answer}), file=self._answers, flush=True)


def is_end(model: Llama, token: int) -> bool:
    """Whether a token ends a turn, as every control token does: none belongs inside of a reply."""
    vocabulary = llama_cpp.llama_model_get_vocab(model.model)
    is_eog, is_control = llama_cpp.llama_vocab_is_eog, llama_cpp.llama_vocab_is_control
    return bool(is_eog(vocabulary, token) or is_control(vocabulary, token))


def until(stop: str, pieces: Iterable[str]) -> Iterator[str]:
    """The pieces before the text `stop`, for a model that spells it in several tokens."""
    held = ""
    for piece in pieces:
        said, found, _ = (held + piece).partition(stop)
        if found:
            yield said
            return
        begun = next(n for n in range(len(stop) - 1, -1, -1) if said.endswith(stop[:n]))
        ready = len(said) - begun
        held = said[ready:]
        if ready:
            yield said[:ready]
    if held:
        yield held


def _prompt(fields: dict[str, Any]) -> Prompt:
    turns, recalled = ([Turn(**turn) for turn in fields[name]] for name in ("turns", "recalled"))
    return prompts.build(turns, recalled)


def _claim_stdout() -> TextIO:
    """Keep stdout for answers; whatever native code prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--embedder-dir", type=Path)
    parser.add_argument("--context-length", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--gpu-layers", dest="gpu", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
