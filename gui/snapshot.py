"""What the window shows at one moment, as one frozen value, and how its figures are written."""

import dataclasses

from gui.first_run import mending
from gui.pipeline import StepView
from gui.setup import Setup, SetupView
from storage.database import Settings
from storage.stats import Stats

NONE = "\u2013"  # an en dash, as in a table

Rows = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Snapshot:
    """`tone` is "good", "busy", "bad" or "idle"; `settings` is None before there is a bot."""

    word: str
    tone: str
    reason: str = ""
    facts: Rows = ()
    start_text: str = "Start"
    can_start: bool = False
    can_stop: bool = False
    can_restart: bool = False
    can_force_stop: bool = False
    can_run_steps: bool = False
    settings: Settings | None = None
    day: Rows = ()
    week: Rows = ()
    step: StepView = dataclasses.field(default_factory=StepView)
    setup: SetupView | None = None
    chat_url: str | None = None
    mend: str = ""  # the step of the first run, or the setting, that mends `reason`
    servers: tuple[str, ...] = ()  # their names
    server: int = 0  # the place among them of the one that is shown


def without_a_bot(setup: Setup) -> Snapshot:
    """What to show until there is a bot: how far its setup is, or why it ended."""
    return Snapshot(
        word="Not set up" if setup.error else "Setting up",
        tone="bad" if setup.error else "busy",
        reason=setup.error,
        facts=facts(None, 0.0, "", None),
        start_text="Retry" if setup.error else "Start",
        can_start=bool(setup.error) and not setup.is_running,
        day=day_rows(Stats(), 0),
        week=week_rows(Stats()),
        setup=setup.view(),
        mend=mending.place_for(setup.error),
    )


def facts(uptime: float | None, memory_mb: float, model: str, since_reply: float | None) -> Rows:
    """The line under the state's word. Times are in seconds."""
    return (
        ("Uptime", NONE if uptime is None else duration(uptime)),
        ("Memory", memory(memory_mb) if memory_mb else NONE),
        ("Model", model or NONE),
        ("Last reply", NONE if since_reply is None else ago(since_reply)),
    )


def day_rows(stats: Stats, errors: int) -> Rows:
    """The statistics of the last 24 hours."""
    share = "" if stats.reply_share is None else f" ({stats.reply_share:.1%})"
    return (
        ("Messages seen", f"{stats.messages_seen:,}"),
        ("Responses sent", f"{stats.replies:,}{share}"),
        ("Average response", seconds(stats.average_seconds)),
        ("Errors", f"{errors:,}"),
    )


def week_rows(stats: Stats) -> Rows:
    """The statistics of the last 7 days."""
    return (
        ("Responses sent", f"{stats.replies_in_week:,}"),
        ("Conversations", f"{stats.conversations_in_week:,}"),
        ("Fastest response", seconds(stats.fastest_seconds)),
        ("Slowest response", seconds(stats.slowest_seconds)),
    )


def seconds(value: float | None) -> str:
    """A response time such as `2.3 s`."""
    return NONE if value is None else f"{value:.1f} s"


def memory(mb: float) -> str:
    """`412 MB` or `2.9 GB`."""
    return f"{mb:.0f} MB" if mb < 1000 else f"{mb / 1024:.1f} GB"


def duration(total: float) -> str:
    """`42 s`, `5 min 12 s`, `3 h 05 min` or `2 d 4 h`."""
    minutes, rest = divmod(int(max(0.0, total)), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def ago(total: float) -> str:
    """A coarse `just now`, `5 min ago`, `3 h ago` or `2 d ago`."""
    minutes = int(total / 60)
    if minutes < 1:
        return "just now"
    if minutes < 60:
        return f"{minutes} min ago"
    return f"{minutes // 60} h ago" if minutes < 1440 else f"{minutes // 1440} d ago"
