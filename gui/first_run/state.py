"""What a page of the first run shows, and what is known so far. Everything is frozen."""

import dataclasses
from pathlib import Path

from data.discord_setup import Application, Named, Server

CONNECT, DEMO = "connect", "demo"
STAGES = ("Welcome", "Bot", "Server", "Permission", "Model", "Start")


@dataclasses.dataclass(frozen=True)
class Folders:
    """Where things lie on this machine, and where Discord answers."""

    env_path: Path
    data_dir: Path
    models_dir: Path
    api_base: str

    @property
    def database_path(self) -> Path:
        return self.data_dir / "database" / "bot.sqlite3"


@dataclasses.dataclass(frozen=True)
class Known:
    """What was answered and found out. `channel_ids` empty: every channel the bot may read."""

    purpose: str = CONNECT
    token: str = dataclasses.field(default="", repr=False)
    application: Application | None = None
    servers: tuple[Named, ...] = ()
    server_id: int = 0
    server: Server | None = None
    channel_ids: tuple[int, ...] = ()
    admin_ids: tuple[int, ...] = ()
    is_permitted: bool = False
    model: str = ""
    base_model: str = ""  # as `.env` has it
    is_seeded: bool = False  # `.env` was there already


@dataclasses.dataclass(frozen=True)
class Field:
    """A line to fill in."""

    label: str
    hint: str
    value: str = ""
    is_secret: bool = False


@dataclasses.dataclass(frozen=True)
class Choice:
    """A row to pick: its name for the program, and its cells for people."""

    key: str
    cells: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Download:
    """Bytes here and in all, and the seconds left where one can tell."""

    done: int
    total: int
    seconds_left: float | None = None


@dataclasses.dataclass(frozen=True)
class View:
    """A page. `chosen` are keys of `choices`; `mend` names the step that mends `error`."""

    step: str
    stage: str
    title: str
    sentence: str
    notes: tuple[str, ...] = ()
    field: Field | None = None
    columns: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    chosen: tuple[str, ...] = ()
    takes_many: bool = False
    link: str = ""
    link_text: str = ""
    action: str = ""
    name: str = ""  # the bot's, once the token is known
    picture: bytes | None = dataclasses.field(default=None, repr=False)
    download: Download | None = None
    next_text: str = "Next"
    error: str = ""
    mend: str = ""
    can_go_on: bool = True
    can_go_back: bool = True
    is_busy: bool = False


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How the first run ended: `kind` is CONNECT or DEMO; `env_path` was written for CONNECT."""

    kind: str
    env_path: Path
