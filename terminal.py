"""The launcher without a window: supervising the bot, or showing the demo, in a terminal."""

import dataclasses
import json
import signal
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.live import Live
from rich.text import Text

import single_instance
from bot import config, logs
from bot.config import UserError
from bot.logs import LogLine, Progress
from bot_controller import BotController, State
from gui import preferences
from gui.presenter import Presenter
from gui.session import Session, Way, session
from gui.snapshot import Snapshot
from sandbox.demo import Demo
from single_instance import AlreadyRunning
from storage import database, messages

REPLAYED = 6
REPLY_SECONDS = 120.0


def supervise(env_path: Path | None) -> int:
    """Keep the bot running until Ctrl-C; its log goes by above a line with its state."""
    try:
        instance = single_instance.acquire(config.data_dir(env_path), "a terminal")
        prepared = session(env_path)
    except UserError as error:
        return config.exit_with(error)
    except AlreadyRunning as other:
        return config.exit_with(UserError(f"{other} Stop it first."))
    presenter = Presenter(Way(lambda report: dataclasses.replace(prepared, starts_at_once=True)))
    presenter.preferences = preferences.read(config.data_dir(env_path))
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a service manager stops us so
    with _Live() if sys.stdout.isatty() else _Lines() as screen:
        try:
            while not _is_over(presenter):
                _turn(presenter, screen)
        except KeyboardInterrupt:
            presenter.close()
            while not presenter.is_quiet:
                _turn(presenter, screen)
        finally:
            presenter.end()
            instance.close()
    reason = presenter.setup.error or (
        prepared.controller.reason if prepared.controller.state is State.FAILED else ""
    )
    return config.exit_with(UserError(reason)) if reason else 0


def demo(max_steps: int) -> int:
    """Set the demo up, replay held-out messages to the bot, and print the figures as JSON."""
    show = Demo(max_steps=max_steps, response_rate=1.0)
    prepared: Session | None = None
    try:
        prepared = show.prepare(_Terminal())
        facts = _facts(prepared)
        print("Starting the bot. It answers every message in this replay.", flush=True)
        prepared.controller.start()
        _wait_until_connected(prepared.controller)
        seconds = list(_replay(show.sandbox, prepared))
    except UserError as error:
        return config.exit_with(error)
    except KeyboardInterrupt:
        print("\nStopped.")
        return 130
    finally:
        if prepared:
            _stop(prepared.controller)
        show.close()
    print(json.dumps({**facts, **_figures(seconds), **_likeness(prepared)}), flush=True)
    return 0 if seconds else 1


def _is_over(presenter: Presenter) -> bool:
    """Whether the bot has ended for good, or cannot even begin."""
    if not presenter.session:
        return bool(presenter.setup.error)
    return presenter.session.controller.state in (State.STOPPED, State.FAILED)


def _turn(presenter: Presenter, screen: "_Lines") -> None:
    """One beat, as in the window."""
    now = time.time()
    lines = presenter.tick(now)
    screen.show(lines, presenter.snapshot(now))
    time.sleep(0.1)


def _stop(controller: BotController) -> None:
    controller.stop()
    while controller.state is not State.STOPPED:
        controller.tick(time.time())
        time.sleep(0.05)


def _wait_until_connected(controller: BotController) -> None:
    """Raises `UserError` when the bot says that it cannot run."""
    while True:
        controller.tick(time.time())
        if controller.state is State.FAILED:
            raise UserError(controller.reason)
        for event in controller.output.take():
            if isinstance(event, LogLine):
                print(f"  bot: {event.text}", flush=True)
                if event.text.startswith("connected as"):
                    return
        time.sleep(0.1)


def _replay(sandbox: dict[str, Any], prepared: Session) -> Iterator[float]:
    """Say held-out messages as the members who wrote them; the seconds until each reply."""
    connection = database.connect(prepared.database_path)
    future = _call(sandbox, "future")["messages"]
    for said in [entry for entry in future if len(entry["content"]) >= 12][:REPLAYED]:
        started = time.monotonic()
        posted = _call(sandbox, "say", said)
        print(f"\n  {said['author_name']}: {said['content']}", flush=True)
        reply = None
        while reply is None and time.monotonic() - started < REPLY_SECONDS:
            prepared.controller.tick(time.time())
            time.sleep(0.05)
            reply = messages.reply_for(connection, int(posted["id"]))
        if reply:
            seconds = time.monotonic() - started
            print(f"  [bot, {seconds:.1f} s]: {reply.content}", flush=True)
            yield seconds
        else:
            print("  [bot]: no reply", flush=True)


def _call(sandbox: dict[str, Any], route: str, body: dict[str, Any] | None = None) -> Any:
    """One of the sandbox's own routes; POST with a body, else GET."""
    request = urllib.request.Request(
        f"{sandbox['url']}/sandbox/{route}",
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


def _facts(prepared: Session) -> dict[str, Any]:
    """What was fetched and prepared."""
    settings = config.load(prepared.env_path)
    connection = database.connect(prepared.database_path)
    manifest = json.loads((settings.training_dir / "manifest.json").read_text("utf-8"))
    return {
        "messages_fetched": messages.count(connection),
        "examples": manifest["train"] + manifest["valid"],
    }


def _figures(seconds: list[float]) -> dict[str, Any]:
    ordered = sorted(seconds)
    return {
        "replies": len(ordered),
        "p50_seconds": round(statistics.median(ordered), 2) if ordered else None,
        "p95_seconds": round(ordered[int(0.95 * (len(ordered) - 1) + 0.5)], 2) if ordered else None,
    }


def _likeness(prepared: Session) -> dict[str, Any]:
    """The model that talked and, after a training, how well it predicts held-out replies."""
    connection = database.connect(prepared.database_path)
    beat, model = database.heartbeat(connection, "bot"), database.deployed_model(connection)
    measured = model.metrics if model else {}
    kept = {
        key: measured[key] for key in ("bits_per_char", "bits_per_char_base") if key in measured
    }
    return {"model": beat.model if beat else None} | kept


class _Lines:
    """The supervised bot as plain lines: its log, and its state whenever that changes."""

    def __init__(self) -> None:
        self._state = ""

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, lines: Sequence[LogLine], snapshot: Snapshot) -> None:
        for line in lines:
            print(f"{line.time} {line.level} {line.text}", flush=True)
        state = f"{snapshot.word}. {snapshot.reason}".strip()
        if state != self._state:
            self._state = state
            print(state, flush=True)


class _Live(_Lines):
    """The same on a terminal: the state stays in the last line and the log scrolls above it."""

    def __init__(self) -> None:
        super().__init__()
        self._live = Live(auto_refresh=False, transient=True)

    def __enter__(self) -> "_Live":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, lines: Sequence[LogLine], snapshot: Snapshot) -> None:
        for line in lines:
            moment = line.time[11:19]
            text = Text(f"{moment} {line.level:7} {line.text}", _STYLES.get(line.level, ""))
            self._live.console.print(text)
        facts = "   ".join(f"{name} {value}" for name, value in snapshot.facts)
        state = Text.assemble(
            (f" {snapshot.word} ", f"reverse {_TONES[snapshot.tone]}"),
            f"  {snapshot.reason or facts}   Ctrl-C stops the bot",
            overflow="ellipsis",
            no_wrap=True,
        )
        if lines or state.plain != self._state:
            self._state = state.plain
            self._live.update(state, refresh=True)


_STYLES = {"DEBUG": "dim", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "bold red"}
_TONES = {"good": "green", "busy": "yellow", "bad": "red", "idle": "white"}


class _Terminal:
    """Shows setup steps: a bar where the terminal can draw one, otherwise a line a step."""

    def __init__(self) -> None:
        self._step = ""

    def __call__(self, event: LogLine | Progress) -> None:
        if isinstance(event, LogLine):
            print(f"  {event.text}", flush=True)
        elif sys.stdout.isatty() and event.total:
            logs.report(event)
        elif event.step != self._step:
            print(f"{event.step} ...", flush=True)
            self._step = event.step
