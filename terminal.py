"""The launcher without a window: supervising the bot, or showing the demo, in a terminal."""

import json
import statistics
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bot import config, logs
from bot.config import NEEDS_A_PERSON, UserError
from bot.logs import LogLine, Progress
from bot_controller import BotController, State
from gui.session import Session, session
from sandbox.demo import Demo
from storage import database, messages

REPLAYED = 6
REPLY_SECONDS = 120.0


def supervise(env_path: Path | None) -> int:
    """Keep the bot running until Ctrl-C; its log lines go to the terminal."""
    try:
        controller = session(env_path).controller
    except UserError as error:
        return config.exit_with(error)
    controller.start()
    try:
        while controller.state is not State.FAILED and _turn(controller):
            pass
    except KeyboardInterrupt:
        print("Stopping.", flush=True)
    finally:
        _stop(controller)
    return NEEDS_A_PERSON if controller.state is State.FAILED else 0


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


def _turn(controller: BotController) -> bool:
    """One tick; whether the bot is still wanted. Its new lines are printed."""
    controller.tick(time.time())
    for event in controller.output.take():
        if isinstance(event, LogLine):
            print(f"{event.time} {event.level} {event.text}", flush=True)
    time.sleep(0.1)
    return controller.state is not State.STOPPED


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
