"""What the window is handed: a bot to look after, and how it gets there."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from bot.config import ROOT
from bot.logs import LogLine, Progress
from bot_controller import BotController

Report = Callable[[LogLine | Progress], None]


@dataclasses.dataclass(frozen=True)
class Session:
    """One bot. `python` and `env_path` are what the pipeline's scripts are run with.

    `chat_url` is a page to talk to the bot on, where there is one (the demo); `close` is called
    last, when the bot has stopped.
    """

    env_path: Path
    database_path: Path
    data_dir: Path
    python: str
    controller: BotController
    chat_url: str | None = None
    starts_at_once: bool = False
    scripts: Path = ROOT / "scripts"
    close: Callable[[], None] = lambda: None


Prepare = Callable[[Report], Session]
