"""What the window is handed: a bot to look after, and how it gets there."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import memory_watch
from bot import config
from bot.config import ROOT
from bot.logs import LogLine, Progress
from bot_controller import BotController, heartbeats, logins

Report = Callable[[LogLine | Progress], None]


@dataclasses.dataclass(frozen=True)
class Session:
    """One bot, and what the pipeline's scripts are run with.

    Without an `env_path` they read `.env` and the environment, as the bot does. `chat_url` is a
    page to talk to the bot on, where there is one (the demo); `close` is called last, when the
    bot has stopped.
    """

    env_path: Path | None
    database_path: Path
    data_dir: Path
    python: str
    controller: BotController
    chat_url: str | None = None
    starts_at_once: bool = False
    scripts: Path = ROOT / "scripts"
    close: Callable[[], None] = lambda: None


Prepare = Callable[[Report], Session]


@dataclasses.dataclass(frozen=True)
class Way:
    """How to get to a `Session`; `prepare` reports which of the `steps` is on."""

    prepare: Prepare
    steps: tuple[str, ...] = ()


def session(env_path: Path | None) -> Session:
    """The bot of a settings file (None: `.env`). Raises `UserError` when the file is not right."""
    settings = config.load(env_path)
    command = [sys.executable, "-m", "bot.main", "--supervised"]
    return Session(
        env_path=env_path,
        database_path=settings.database_path,
        data_dir=settings.data_dir,
        python=sys.executable,
        controller=BotController(
            [*command, "--env", str(env_path)] if env_path else command,
            read_heartbeat=heartbeats(settings.database_path),
            count_logins=logins(settings.database_path),
            spawns_path=settings.data_dir / "spawns.json",
            memory=memory_watch.watch([settings]),
        ),
    )
