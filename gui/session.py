"""What the window is handed: a bot to look after, and how it gets there."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

import memory_watch
from bot import more_servers
from bot.config import ROOT, Config
from bot.logs import LogLine, Progress
from bot_controller import BotController, heartbeats, logins

Report = Callable[[LogLine | Progress], None]


@dataclasses.dataclass(frozen=True)
class Session:
    """One bot on one of its servers, and what the pipeline's scripts are run with there.

    Without an `env_path` they read `.env` and the environment, as the bot does. `others` are the
    same bot on its further servers. `chat_url` is a page to talk to the bot on, where there is one
    (the demo); `close` is called last, when the bot has stopped.
    """

    env_path: Path | None
    database_path: Path
    data_dir: Path
    python: str
    controller: BotController
    server_id: int = 0
    others: tuple["Session", ...] = ()
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
    """The bot of a settings file (None: `.env`). Raises `UserError` when a file is not right."""
    settings, *others = known = more_servers.load(env_path)
    command = [sys.executable, "-m", "bot.main", "--supervised"]
    first = Session(
        env_path=env_path,
        database_path=settings.database_path,
        data_dir=settings.data_dir,
        python=sys.executable,
        controller=BotController(
            [*command, "--env", str(env_path)] if env_path else command,
            read_heartbeat=heartbeats(settings.database_path),
            count_logins=logins(settings.database_path),
            spawns_path=settings.data_dir / "spawns.json",
            memory=memory_watch.watch(known),
        ),
        server_id=settings.server_id,
    )
    return dataclasses.replace(first, others=tuple(_there(first, one) for one in others))


def further(first: Session) -> tuple[Session, ...]:
    """The same bot on its further servers, as their files say now. Raises `UserError`."""
    _, *others = more_servers.load(first.env_path)
    return tuple(_there(first, one) for one in others)


def _there(first: Session, settings: Config) -> Session:
    return dataclasses.replace(
        first,
        env_path=settings.env_path,
        database_path=settings.database_path,
        data_dir=settings.data_dir,
        server_id=settings.server_id,
    )
