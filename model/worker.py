"""The process that owns the GGUF: reads calls from stdin, writes answers to stdout, JSON lines.

    python -m model.worker [--model PATH] [--adapter PATH]... [--embedder-dir DIR]
                           [--embedder NAME] [--context-length N] [--threads N]

Adapters are loaded beside the base of the model, and used by the calls that name them. Without a
model it makes vectors only. One thread reads stdin so that a cancel is seen in the middle of a
reply; the main thread owns the model, which is not thread-safe, and takes all replies a step
further at a time (`model/scheduler.py`). The process ends when stdin closes.
"""

import argparse
import base64
import collections
import dataclasses
import json
import logging
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from llama_cpp import Llama

from bot.config import UserError
from model import catalog, embeddings, pins, prompts, resident, speed
from model.drawing import Spelling
from model.inference import BUSY, QUEUE, Sampling
from model.kv_cache import SPILL_BYTES
from model.prompts import Prompt, Turn
from model.scheduler import PLACES, Drawn, Job, Scheduler

BEAT_SECONDS = 1.0
FEW = 4  # texts to make vectors of, before replies go on
OVERHEAD_BYTES = 600_000_000  # Python, the libraries, the embedder, buffers of a decode
_NO_CONTEXT = 16  # tokens: the scheduler has a context of its own


def main() -> int:
    arguments = _arguments()
    answers = _claim_stdout()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        started = time.monotonic()
        model = _load(arguments) if arguments.model else None
        embedder = _embedder(arguments.embedder_dir, arguments.embedder)
        worker = Worker(model, arguments.context_length, embedder, answers)
        most_bytes = _most_bytes(arguments, model)
    except UserError as error:
        print(json.dumps({"error": str(error)}), file=answers, flush=True)
        return 78
    facts: dict[str, Any] = {"ready": time.monotonic() - started, "most_bytes": most_bytes}
    facts["embedder"] = embedder.facts if embedder else None
    print(json.dumps(facts), file=answers, flush=True)
    worker.run()
    return 0


def _load(arguments: argparse.Namespace) -> Llama:
    """The base and its adapters, run as is best here; with a graphics card llama.cpp decides."""
    path, folder = arguments.model, arguments.embedder_dir
    if folder:
        pins.check(path, folder)
    way = speed.way(path, folder, arguments.threads) if folder and not arguments.gpu else None
    base = catalog.base_of(path) or path
    model = resident.load(base, _NO_CONTEXT, arguments.threads, arguments.gpu, way)
    for adapter in arguments.adapters:
        resident.add_adapter(model, base, adapter)
    speed.spare_memory(model, PLACES * arguments.context_length)
    return model


def _most_bytes(arguments: argparse.Namespace, model: Llama | None) -> int:
    """What this process takes at most, if nothing is wrong with it."""
    files: set[Path] = set(arguments.adapters)
    cached = 0
    if model:
        files.add(catalog.base_of(arguments.model) or arguments.model)
        cached = speed.kv_bytes(model, PLACES * arguments.context_length)
    return sum(file.stat().st_size for file in files) + cached + SPILL_BYTES + OVERHEAD_BYTES


def _embedder(models_dir: Path | None, choice: str) -> embeddings.Embedder | None:
    """The embedder; without it the bot still talks, it only recalls nothing."""
    if models_dir is None:
        return None
    try:
        return embeddings.Embedder(embeddings.file(models_dir, choice))
    except UserError as error:
        print(f"recall is off: {error}", file=sys.stderr, flush=True)
        return None


@dataclasses.dataclass
class Texts:
    """What is left of the texts of a call to make vectors of, and the vectors there are."""

    number: int
    left: list[str]
    vectors: list[str] = dataclasses.field(default_factory=list)


class Worker:
    """Answers calls, several replies at a time, and makes vectors between their tokens."""

    def __init__(
        self, model: Llama | None, length: int, embedder: embeddings.Embedder | None, out: TextIO
    ) -> None:
        self._embedder, self._out = embedder, out
        self._calls: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._cancelled: set[int] = set()
        self._replies = Replies(model, length, self._cancelled, self._say) if model else None
        self._texts: collections.deque[Texts] = collections.deque()
        self._said_at = 0.0

    def run(self) -> None:
        """Answer calls until stdin closes."""
        threading.Thread(target=self._listen, daemon=True).start()
        while True:
            is_replying = self._replies is not None and self._replies.is_busy
            if not self._calls.empty() or not (is_replying or self._texts):
                self._take(self._calls.get())
                continue
            if self._replies and is_replying:
                self._replies.step()
            if self._texts and self._is_embedded(self._texts[0]):
                self._texts.popleft()
            if time.monotonic() - self._said_at > BEAT_SECONDS:
                self._say(0)  # neither a long prompt nor many texts are a stall

    def _listen(self) -> None:
        for line in sys.stdin:
            call = json.loads(line)
            if call["call"] == "cancel":
                self._cancelled.add(call["id"])
            else:
                self._calls.put(call)
        os._exit(0)  # the bot is gone: do not finish a reply that nobody waits for

    def _take(self, call: dict[str, Any]) -> None:
        number = call["id"]
        try:
            if call["call"] == "embed":
                texts = Texts(number, list(call["texts"]))
                if not self._is_embedded(texts):
                    self._texts.append(texts)
            elif self._replies is None:
                raise ValueError("this worker was started without a model")
            else:
                self._replies.begin(call)
        except (ValueError, KeyError, TypeError, RuntimeError) as error:
            self._say(number, error=f"{type(error).__name__}: {error}")

    def _is_embedded(self, texts: Texts) -> bool:
        """Make a few more vectors: the bytes of float32, in base64. Whether that was all."""
        if texts.number not in self._cancelled:
            some, texts.left = texts.left[:FEW], texts.left[FEW:]
            try:
                texts.vectors += map(_letters, self._vectors(some))
            except (ValueError, RuntimeError) as error:
                self._say(texts.number, error=f"{type(error).__name__}: {error}")
                return True
            if texts.left:
                return False
            self._say(texts.number, vectors=texts.vectors)
        self._cancelled.discard(texts.number)
        self._say(texts.number, done=True)
        return True

    def _vectors(self, texts: list[str]) -> list[embeddings.Vector]:
        if self._embedder is None:
            raise ValueError("this worker was started without an embedder")
        return self._embedder(texts)

    def _say(self, number: int, **answer: Any) -> None:
        self._said_at = time.monotonic()
        print(json.dumps({"id": number, **answer}), file=self._out, flush=True)


class Replies:
    """Replies in progress, and what is read ahead; `say` sends an answer to a call."""

    def __init__(
        self, model: Llama, length: int, cancelled: set[int], say: Callable[..., None]
    ) -> None:
        self._model, self._length = model, length
        self._cancelled, self._say = cancelled, say
        self._encoder = resident.encoder(model)
        self._spellings: dict[int, Spelling] = {}
        self._scheduler = Scheduler(model, length, is_cancelled=cancelled.__contains__)

    @property
    def is_busy(self) -> bool:
        return self._scheduler.is_busy

    def begin(self, call: dict[str, Any]) -> None:
        """Take a call. Raises `ValueError` where it makes no sense."""
        number, is_reply, adapter = call["id"], call["call"] == "reply", call["adapter"]
        if number in self._cancelled:
            self._end(number)
            return
        if is_reply and self._scheduler.waiting(adapter) >= QUEUE:
            self._say(number, error=BUSY)
            return
        prompt = _prompt(call["prompt"])
        sampling = Sampling(**call["sampling"])
        ids = prompts.encode(prompt, self._encoder, self._length - sampling.max_tokens - 1)
        seed = sampling.seed if sampling.seed is not None else time.time_ns() % 2**32
        drawn_by = sampling if is_reply else None
        self._scheduler.add(Job(number, call["channel"], ids, drawn_by, seed, adapter))
        if is_reply:
            stops = self._encoder.template.stops
            self._spellings[number] = Spelling(lambda one: self._model.detokenize([one]), stops)

    def step(self) -> None:
        """Take every reply a step further, and send what came of it."""
        try:
            for drawn in self._scheduler.step():
                self._show(drawn)
        except RuntimeError as error:
            for number in self._scheduler.give_up():
                self._spellings.pop(number, None)
                self._say(number, error=str(error))

    def _show(self, drawn: Drawn) -> None:
        number = drawn.job.number
        spelling = self._spellings.get(number)
        if spelling and not spelling.is_over:
            is_last = drawn.token is None
            piece = spelling.rest() if is_last else spelling.add(drawn.token or 0)
            if piece and number not in self._cancelled:
                self._say(number, piece=piece)
            if spelling.is_over:
                self._cancelled.add(number)  # what follows belongs to nobody's turn
        if drawn.token is None:
            self._end(number, evaluated=drawn.job.evaluated)

    def _end(self, number: int, **facts: Any) -> None:
        self._cancelled.discard(number)
        self._spellings.pop(number, None)
        self._say(number, done=True, **facts)


def _letters(vector: embeddings.Vector) -> str:
    return base64.b64encode(vector.tobytes()).decode()


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
    parser.add_argument("--model", type=Path)
    parser.add_argument("--adapter", dest="adapters", type=Path, action="append", default=[])
    parser.add_argument("--embedder-dir", type=Path)
    parser.add_argument("--embedder", default="", choices=["", *catalog.EMBEDDERS])
    parser.add_argument("--context-length", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--gpu-layers", dest="gpu", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
