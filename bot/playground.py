"""The process behind the playground: talks as the bot would, without Discord, and keeps nothing.

    python -m bot.playground [--env PATH]

Reads calls from stdin and writes answers to stdout, JSON lines; ends when stdin closes. The models
are in workers of their own, as the bot's is; that of the server in ENGINE_URL goes by its address.
What is said here is stored and logged nowhere.
"""

import argparse
import asyncio
import contextlib
import dataclasses
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from bot import config, playground_models
from bot.config import Config, UserError
from bot.lookup import Lookup
from bot.window import Windows
from bot.writing import SAMPLE, SEEN
from data import conversations, links
from model import picks, prompt_text, prompts, remote_engine
from model.inference import AnyEngine, Engine, EngineError, Sampling
from model.prompts import Prompt, Turn
from model.remote_engine import RemoteEngine
from storage import database, messages
from storage.messages import Message

CHANNEL = 0  # Discord has none by that number


def main() -> int:
    parser = argparse.ArgumentParser(description="The process behind the playground.")
    parser.add_argument("--env", type=Path, help="the settings file (default: .env)")
    arguments, answers = parser.parse_args(), _claim_stdout()
    try:
        settings = _settings(arguments.env)
        with contextlib.closing(database.connect(settings.database_path)) as connection:
            asyncio.run(Playground(settings, connection, answers).run())
    except UserError as error:
        print(json.dumps({"problem": str(error)}), file=answers, flush=True)
        return config.exit_with(error)
    return 0


def conversation(said: Sequence[dict[str, Any]], own_id: int) -> list[Message]:
    """What was said, as the messages that Discord would have made of it.

    Each has a `name` (None: the persona's), a `text` and the time `at`. The persona answers as one
    that was addressed: the first message of its burst is a reply.
    """
    people: dict[str, int] = {}
    made: list[Message] = []
    for place, one in enumerate(said):
        name, before = one["name"], made[-1] if made else None
        author = own_id if name is None else people.setdefault(name, own_id + 1 + len(people))
        answered = before.id if before and name is None and before.author_id != own_id else None
        made.append(
            Message(
                id=messages.snowflake_at(one["at"]) + place,
                channel_id=CHANNEL,
                author_id=author,
                author_name=name or "",
                content=one["text"],
                author_kind="self" if name is None else "member",
                reply_to=answered,
            )
        )
    return made


class Playground:
    """Answers calls, and keeps the models that are in use."""

    def __init__(self, settings: Config, connection: sqlite3.Connection, answers: TextIO) -> None:
        self._settings, self._connection, self._answers = settings, connection, answers
        self._own_id = settings.application_id
        self._common = links.common_words(messages.sample(connection, SAMPLE))
        self._windows = Windows()
        self._engines: dict[str, tuple[AnyEngine, Lookup | None]] = {}
        self._turn = asyncio.Lock()
        self._calls: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Answer until stdin closes."""
        threading.Thread(
            target=self._listen, args=(asyncio.get_running_loop(),), daemon=True
        ).start()
        await asyncio.Event().wait()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for line in sys.stdin:
            if call := _call(line):
                loop.call_soon_threadsafe(self._take, call)
        os._exit(0)  # nobody listens any more; the workers see their stdin close, and end

    def _take(self, call: dict[str, Any]) -> None:
        number = call["id"]
        if call.get("call") == "cancel":
            if task := self._calls.get(number):
                task.cancel()
            return
        self._calls[number] = task = asyncio.get_running_loop().create_task(self._answer(call))
        task.add_done_callback(partial(self._finished, call))

    def _finished(self, call: dict[str, Any], task: asyncio.Task[None]) -> None:
        self._calls.pop(call["id"], None)
        if task.cancelled():
            self._say(call, done=True, is_stopped=True)

    async def _answer(self, call: dict[str, Any]) -> None:
        doing = {
            "models": self._models,
            "reply": self._reply,
            "prompt": self._prompt_text,
            "tally": self._tally,
        }
        try:
            await doing[call["call"]](call)
        except UserError as error:
            self._say(call, error=str(error))
        except EngineError as error:
            self._say(call, error=f"No reply: {error}.")
        except (OSError, sqlite3.Error) as error:
            self._say(call, error=f"That failed: {error}. Try again.")
        except (KeyError, TypeError, ValueError) as error:  # names the kind: the rest may be text
            self._say(call, error=f"The playground stumbled ({type(error).__name__}). Try again.")

    def _say(self, call: dict[str, Any], **answer: Any) -> None:
        print(json.dumps({"id": call["id"], **answer}), file=self._answers, flush=True)

    async def _models(self, call: dict[str, Any]) -> None:
        """Every model that can be talked to, the bot's own first."""
        self._say(
            call, **await asyncio.to_thread(playground_models.known, self._settings), done=True
        )

    async def _reply(self, call: dict[str, Any]) -> None:
        """Say what a model replies, as far as it has come, and at last as the bot would send it.

        One after the other: each has the machine to itself, and its figures are its own.
        """
        async with self._turn:
            engine, lookup = await self._load(call)
            said = conversation(call["said"], self._own_id)
            prompt = await self._prompt(said, lookup if call["recalls"] else None)
            settings = database.settings(self._connection)
            sampling = dataclasses.replace(Sampling.of(settings), seed=call["seed"])
            given = {"prompt": dataclasses.asdict(prompt), "max_tokens": sampling.max_tokens}
            self._say(call, given=given)
            await self._write(call, engine, prompt, sampling)

    async def _write(
        self, call: dict[str, Any], engine: AnyEngine, prompt: Prompt, sampling: Sampling
    ) -> None:
        started = first = time.monotonic()
        text, pieces, is_stopped = "", 0, False
        try:
            async with contextlib.aclosing(engine.reply(prompt, sampling, CHANNEL)) as drawn:
                async for piece in drawn:
                    first = first if pieces else time.monotonic()
                    pieces += 1
                    text += piece
                    self._say(call, text=prompts.clean(text))
        except asyncio.CancelledError:
            is_stopped = True
        now = time.monotonic()
        self._say(
            call,
            done=True,
            is_stopped=is_stopped,
            messages=prompts.split(prompts.clean(text)),
            seconds=now - started,
            tokens=pieces,
            rate=(pieces - 1) / (now - first) if pieces > 1 else None,
        )

    async def _load(self, call: dict[str, Any]) -> tuple[AnyEngine, Lookup | None]:
        """The engine of the model that is asked; those that nobody needs now make room."""
        wanted = call["model"]
        for path in [p for p in self._engines if p not in call["kept"]]:
            await self._unload(path)
        if wanted not in self._engines:
            self._say(call, is_loading=True)
            self._engines[wanted] = self._make(wanted)
        engine, lookup = self._engines[wanted]
        await asyncio.shield(engine.start())  # a worker that loads cannot be told to stop
        return engine, lookup

    async def _unload(self, path: str) -> None:
        engine, lookup = self._engines.pop(path)
        await engine.close()
        if lookup:
            lookup.close()

    def _make(self, model: str) -> tuple[AnyEngine, Lookup | None]:
        settings = self._settings
        can_recall = playground_models.can_recall(settings)
        common: Any = {
            "embedder_dir": settings.models_dir if can_recall else None,
            "embedder": settings.embedder,
            "context_length": settings.context_length,
            "threads": settings.threads,
        }
        engine: AnyEngine
        if self._is_on_server(model):
            asked, key = settings.engine_model, settings.engine_key
            engine = RemoteEngine(model, model=asked, key=key, is_patient=False, **common)
        else:
            engine = Engine(Path(model), gpu_layers=settings.gpu_layers, **common)
        if not can_recall:
            return engine, None
        return engine, Lookup(engine, settings.database_path, settings.embeddings_dir)

    def _is_on_server(self, model: str) -> bool:
        return bool(model) and model == self._settings.engine_url

    async def _prompt(self, said: list[Message], lookup: Lookup | None) -> Prompt:
        """What the bot would hand to the model, `bot/handlers.py` does it alike."""
        recent = self._windows.of(conversations.latest(said[-SEEN:], self._common))
        recalled: list[Message] = []
        if lookup:
            await lookup.open()
            known = {message.id for message in recent}
            recalled = await lookup.related(said[-1].content, known)
        mentioned = {user for message in recalled for user in message.mentions}
        names = messages.names(self._connection, mentioned)
        return prompts.build(
            prompts.turns(recent, names, self._own_id),
            [prompts.turn(message, names, self._own_id) for message in recalled],
        )

    async def _prompt_text(self, call: dict[str, Any]) -> None:
        """The very text that a model was given, read back from its tokens; a server has JSON."""
        given, length = call["given"], self._settings.context_length
        turns, recalled = ([Turn(**t) for t in given["prompt"][k]] for k in ("turns", "recalled"))
        prompt = prompts.build(turns, recalled)
        if self._is_on_server(call["model"]):
            room = remote_engine.room_for(length, given["max_tokens"])
            sent = prompts.api_messages(prompt, room)
            text = json.dumps(sent, indent=1, ensure_ascii=False)
        else:
            path, most = Path(call["model"]), given["max_tokens"]
            text = await asyncio.to_thread(prompt_text.given, path, prompt, length, most)
        self._say(call, text=text, done=True)

    async def _tally(self, call: dict[str, Any]) -> None:
        """How often each of two models was picked; with a `winner`, after one more pick."""
        one, other = call["models"]
        path = self._settings.data_dir / "reports" / picks.FILE
        if "winner" in call:
            tally = picks.add(path, one, other, call["winner"])
        else:
            tally = picks.find(path, one, other)
        self._say(call, picks=tally.picks, sentence=tally.sentence(), done=True)


def _settings(env_path: Path | None) -> Config:
    """As the bot has them; the token tells its own id, but nothing else is needed of Discord."""
    with contextlib.suppress(UserError):
        return config.load(env_path)
    return config.load(env_path, needs_discord=False)


def _call(line: str) -> dict[str, Any] | None:
    try:
        call = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return call if isinstance(call, dict) and isinstance(call.get("id"), int) else None


def _claim_stdout() -> TextIO:
    """Keep stdout for answers; whatever native code prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    sys.exit(main())
