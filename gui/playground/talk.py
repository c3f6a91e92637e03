"""Talking to the bot without Discord: one or two models, the same message. Without a widget.

All of it is forgotten with the window; only the counts of blind picks are kept.
"""

import itertools
import random
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from gui.playground import helper
from gui.playground.exchange import (
    DONE,
    FAILED,
    LOADING,
    STOPPED,
    WRITING,
    Exchange,
    Model,
    Reply,
)
from gui.playground.helper import ENDED, Answer, Helper

LONGEST = 2000  # characters, as on Discord
SEEDS = 2**31
IDLE_SECONDS = 600.0
TIGHT = 0.8  # of the free memory; above it somebody must say yes


class Playground:
    """Call `tick` with every beat and `close` at the end.

    The fields may be set at any time and count from the next message: `name` is who speaks, `seed`
    None draws one, `recalls` has older messages looked up. `version` counts what changed.
    """

    def __init__(
        self,
        env_path: Path | None,
        command: Sequence[str] | None = None,
        free_bytes: Callable[[], int] = lambda: int(psutil.virtual_memory().available),
    ) -> None:
        self.name = "you"
        self.seed: int | None = None
        self.recalls = True
        self.can_recall = False
        self.is_blind = False
        self.models: list[Model] = []
        self.chosen: list[Model] = []
        self.exchanges: list[Exchange] = []
        self.problem = ""
        self.prompt = ""
        self.tally = ""
        self.picks = 0
        self.version = 0
        self._helper = Helper(command or helper.command(env_path))
        self._free_bytes = free_bytes
        self._dice = random.Random()
        self._numbers = itertools.count(1)
        self._pending: dict[int, Callable[[Answer], None]] = {}
        self._writing: dict[int, Reply] = {}
        self._loaded: set[str] = set()
        self._used_at: float | None = None

    @property
    def is_busy(self) -> bool:
        """Whether a reply is under way."""
        return bool(self._writing)

    @property
    def is_ready(self) -> bool:
        """Whether there is a model to talk to."""
        return bool(self.chosen)

    def refresh(self) -> None:
        """Look again which models there are."""
        self.problem = ""
        self._ask({"call": "models"}, self._list)

    def choose(self, *names: str) -> None:
        """Talk to one model, or to two; without any that is there, to the bot's."""
        by_name = {model.name: model for model in self.models}
        wanted = [by_name[name] for name in names[:2] if name in by_name]
        is_pair = len({model.path for model in wanted}) == 2
        self.chosen = wanted if is_pair else (wanted or self.models)[:1]
        self.is_blind = self.is_blind and len(self.chosen) == 2
        self._ask_tally()
        self._change()

    def set_blind(self, is_blind: bool) -> None:
        """Hide which model is which, or show it."""
        self.is_blind = is_blind and len(self.chosen) == 2
        self._change()

    @property
    def room(self) -> str:
        """What the models still take, of the memory that is free; "" when they are loaded."""
        missing = [m for m in self.chosen if m.bytes and m.path not in self._loaded]
        if not missing:
            return ""
        need, free = sum(model.bytes for model in missing), max(1, self._free_bytes())
        names = " and ".join(model.name for model in missing)
        said = (
            f"Loading {names} takes up to {need / 1e9:.1f} GB, "
            f"{100 * need / free:.0f} % of the {free / 1e9:.1f} GB that are free."
        )
        if any(model.is_running for model in missing):
            said += (
                " The bot has the same file in memory: what llama.cpp only maps is shared, what it "
                "rearranges for this processor (most of a Q4 file) is there twice."
            )
        return said

    @property
    def is_tight(self) -> bool:
        """Whether so little would be left that somebody should say yes first."""
        need = sum(model.bytes for model in self.chosen if model.path not in self._loaded)
        return need > TIGHT * self._free_bytes()

    def say(self, text: str) -> bool:
        """Say something to the chosen models; False if that cannot be now."""
        text = text.strip()[:LONGEST]
        if not text or self.is_busy or not self.chosen:
            return False
        self._speak(self.name.strip()[:32] or "you", text, self._draw())
        return True

    def again(self) -> bool:
        """Have the last message answered anew, with another seed."""
        if self.is_busy or not self.exchanges or not self.chosen:
            return False
        last = self.exchanges.pop()
        other = last.replies[0].seed + self._dice.randrange(1, SEEDS)
        self._speak(last.name, last.text, other % SEEDS)
        return True

    def stop(self) -> None:
        """Have the replies end where they are."""
        for number in self._writing:
            self._send({"id": number, "call": "cancel"})

    def clear(self) -> None:
        """Forget what was said."""
        self.stop()
        self._writing.clear()
        self.exchanges.clear()
        self.prompt = ""
        self._change()

    def pick(self, place: int | None) -> None:
        """Call the reply at a place, as they are shown, the better one of the last two.

        None: they are alike.
        """
        last = self.exchanges[-1] if self.exchanges else None
        if last is None or not last.can_be_judged:
            return
        last.picked, last.is_alike = last.order[place or 0], place is None
        names = [reply.model.name for reply in last.replies]
        winner = None if last.is_alike else names[last.picked]
        self._ask({"call": "tally", "models": names, "winner": winner}, self._count)
        self._change()

    def ask_prompt(self, reply: Reply) -> None:
        """Have `prompt` be the very text that a model was given for a reply."""
        self.prompt = ""
        if reply.given:
            call = {"call": "prompt", "model": reply.model.path, "given": reply.given}
            self._ask(call, self._show_prompt)

    def tick(self, now: float) -> None:
        """Take in what was answered. Models that nobody talks to for long leave the memory."""
        if self._pending or self._used_at is None:
            self._used_at = now
        if self._loaded and now - self._used_at > IDLE_SECONDS:
            self.unload()
        for answer in self._helper.take():
            if ENDED in answer:
                self._mourn(answer[ENDED])
            elif "problem" in answer:
                self.problem = str(answer["problem"])
                self._change()
            else:
                self._hear(answer)

    def unload(self) -> None:
        """Take the models out of the memory; the next message reads the settings anew."""
        self._helper.close()
        self._fail("Stopped.")

    def close(self) -> None:
        """End the process and its models."""
        self._helper.close()

    def _speak(self, name: str, text: str, seed: int) -> None:
        order = list(range(len(self.chosen)))
        if self.is_blind:
            self._dice.shuffle(order)
        replies = [Reply(model, seed) for model in self.chosen]
        exchange = Exchange(name, text, time.time(), replies, tuple(order), self.is_blind)
        said = [self._past(place) for place in range(len(replies))]
        self.exchanges.append(exchange)
        self.problem = ""
        kept = [model.path for model in self.chosen]
        self._loaded &= set(kept)
        asked = {"name": name, "text": text, "at": exchange.at}
        for place in order:  # the first to be shown is the first to be written
            call = {
                "call": "reply",
                "model": replies[place].model.path,
                "kept": kept,
                "said": [*said[place], asked],
                "seed": seed,
                "recalls": self.recalls,
            }
            self._ask_reply(call, replies[place])
        self._change()

    def _past(self, place: int) -> list[dict[str, Any]]:
        """All that was said before, as one of the models remembers it."""
        return [
            one
            for exchange in self.exchanges
            for one in exchange.said(min(place, len(exchange.replies) - 1))
        ]

    def _draw(self) -> int:
        return self._dice.randrange(SEEDS) if self.seed is None else self.seed

    def _ask_reply(self, call: Answer, reply: Reply) -> None:
        def note(answer: Answer) -> None:
            _note(reply, answer)
            if reply.state == WRITING:
                self._loaded.add(reply.model.path)
            if reply.is_over:
                self._writing.pop(number, None)

        number = self._ask(call, note)
        if number in self._pending:
            self._writing[number] = reply
        else:
            _note(reply, {"error": self.problem})

    def _ask(self, call: Answer, then: Callable[[Answer], None]) -> int:
        """Send a call; `then` gets each answer to it."""
        number = next(self._numbers)
        if self._send({**call, "id": number}):
            self._pending[number] = then
        return number

    def _send(self, call: Answer) -> bool:
        try:
            self._helper.ask(call)
        except OSError as error:
            self.problem = f"The playground cannot be started: {error.strerror or error}."
            self._change()
            return False
        return True

    def _hear(self, answer: Answer) -> None:
        then = self._pending.get(answer.get("id", 0))
        if then is None:
            return
        if "done" in answer or "error" in answer:
            del self._pending[answer["id"]]
        then(answer)
        self._change()

    def _mourn(self, code: int) -> None:
        """The process is gone, and the next call starts another."""
        self.problem = self.problem or (
            f"The playground's process ended (exit code {code}). Your next message starts it again."
        )
        self._fail(self.problem)

    def _fail(self, reason: str) -> None:
        """What was asked stays unanswered."""
        pending, self._pending = self._pending, {}
        self._loaded.clear()
        for then in pending.values():
            then({"error": reason})
        self._change()

    def _list(self, answer: Answer) -> None:
        if "error" in answer:
            self.problem = str(answer["error"])
            return
        self.models = [Model(**fields) for fields in answer["models"]]
        self.can_recall = bool(answer["can_recall"])
        self.choose(*[model.name for model in self.chosen])

    def _ask_tally(self) -> None:
        self.tally, self.picks = "", 0
        if len(self.chosen) == 2:
            names = [model.name for model in self.chosen]
            self._ask({"call": "tally", "models": names}, self._count)

    def _count(self, answer: Answer) -> None:
        if "error" in answer:
            self.problem = str(answer["error"])
        elif "done" in answer:
            self.tally, self.picks = str(answer["sentence"]), int(answer["picks"])

    def _show_prompt(self, answer: Answer) -> None:
        self.prompt = str(answer.get("text") or answer.get("error"))

    def _change(self) -> None:
        self.version += 1


def seed_of(text: str) -> int | None:
    """The seed that somebody wrote, None for an empty field. Raises `ValueError`, a sentence."""
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 11 and int(text) < SEEDS):
        raise ValueError(f"A seed is a whole number from 0 to {SEEDS - 1}; leave it empty for any.")
    return int(text)


def _note(reply: Reply, answer: Answer) -> None:
    """Bring a reply up to what was heard of it."""
    if "error" in answer:
        reply.state, reply.problem = FAILED, str(answer["error"])
    elif "done" in answer:
        reply.state = STOPPED if answer.get("is_stopped") else DONE
        reply.messages = tuple(answer.get("messages", ()))
        reply.seconds, reply.tokens = answer.get("seconds", 0.0), answer.get("tokens", 0)
        reply.rate = answer.get("rate")
    elif "given" in answer:
        reply.state, reply.given = WRITING, answer["given"]
    elif "text" in answer:
        reply.text = str(answer["text"])
    elif "is_loading" in answer:
        reply.state = LOADING
