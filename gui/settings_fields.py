"""What can be set in the settings window: names, words and choices."""

import dataclasses

from data.policies import LEARNED, RATE
from data.privacy import MODES

ENV, LAUNCHER, DATABASE, SYSTEM = "env", "launcher", "database", "system"
TEXT, SECRET, FILE, CHOICE, SWITCH = "text", "secret", "file", "choice", "switch"
YES, NO = "yes", "no"

Choices = tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class Field:
    """One setting; every value is a text. `choices` are values and what is shown for them."""

    name: str
    home: str  # where it is kept
    kind: str
    label: str
    help: str = ""
    choices: Choices = ()


def _numbers(unit: str, *values: int, zero: str = "") -> Choices:
    return tuple((str(value), f"{value:,} {unit}" if value else zero) for value in values)


_NOTICES = (("all", "Everything"), ("errors", "Errors only"), ("none", "Nothing"))
_APPEARANCES = (("auto", "As the system"), ("light", "Light"), ("dark", "Dark"))
_SCALES = (("0", "As the screen"), *((str(n), f"{n} %") for n in range(75, 301, 25)))
_LEVELS = (
    ("INFO", "Info"),
    ("WARNING", "Warnings"),
    ("ERROR", "Errors"),
    ("DEBUG", "Debug: everything"),
)
_EMBEDDERS = (("minilm", "MiniLM"), ("bge-small", "bge-small: 133 MB more to fetch"))
_POLICIES = ((LEARNED, "When members would"), (RATE, "At an even rate"))
_CONSENT = ("The admins decide", "Members can opt out", "Only members who opted in")
_CONTEXTS = _numbers("tokens", 1024, 2048, 4096, 8192, 16384, 32768)
_DAYS = _numbers("days", 0, 30, 90, 180, 365, 730, zero="Forever")
_HOURS = tuple((str(hour), f"{hour}:00") for hour in range(24))
_SHARES = (
    ("0", "It never speaks unasked"),
    *((f"{percent / 100:g}", f"{percent} % of the talk") for percent in (5, 10, 15, 25, 50)),
    ("1", "No limit"),
)
_LOG_DAYS = _numbers("days", 7, 14, 30, 90, 365)

SECTIONS: dict[str, tuple[Field, ...]] = {
    "Start-up": (
        Field("starts_bot", LAUNCHER, SWITCH, "Start the bot when this window opens"),
        Field("at_login", SYSTEM, SWITCH, "Open this window when I log in"),
        Field("starts_minimised", LAUNCHER, SWITCH, "Begin in the tray"),
        Field(
            "keeps_in_tray",
            LAUNCHER,
            SWITCH,
            "Closing the window keeps the bot in the tray",
            "Where there is no tray, closing ends the bot.",
        ),
    ),
    "Notifications": (
        Field("notices", LAUNCHER, CHOICE, "Tell me about", choices=_NOTICES),
        Field("sounds", LAUNCHER, SWITCH, "With a sound"),
    ),
    "Discord": (
        Field(
            "DISCORD_TOKEN",
            ENV,
            SECRET,
            "Bot token",
            "A password: it stays in the .env file and is never logged.",
        ),
        Field("SERVER_ID", ENV, TEXT, "Server id"),
        Field(
            "ADMIN_USERS",
            ENV,
            TEXT,
            "Admins",
            "Ids of the people who may command the bot, with commas between.",
        ),
        Field(
            "CHANNELS",
            ENV,
            TEXT,
            "Channels",
            "Ids, with commas between. Empty: every channel that the bot may read.",
        ),
    ),
    "Model": (
        Field(
            "BASE_MODEL",
            ENV,
            FILE,
            "Model until one is trained",
            "A GGUF file. Empty: the small one that comes by itself.",
        ),
        Field(
            "MODEL_PATH",
            ENV,
            FILE,
            "Always use this model",
            "A GGUF file that wins over whatever is deployed. Usually empty.",
        ),
        Field(
            "ENGINE_URL",
            ENV,
            TEXT,
            "Ask a server instead",
            "The address of llama-server, vLLM, Ollama or alike. What members write is sent there.",
        ),
        Field("ENGINE_MODEL", ENV, TEXT, "The server's model", "Empty: its first."),
        Field(
            "ENGINE_KEY",
            ENV,
            SECRET,
            "The server's key",
            "A password, kept like the token. Empty: it asks for none.",
        ),
        Field("CONTEXT_LENGTH", ENV, CHOICE, "Context", choices=_CONTEXTS),
        Field(
            "GPU_LAYERS",
            ENV,
            TEXT,
            "Layers on the graphics card",
            "0: the processor only. -1: all of them.",
        ),
    ),
    "Manners": (
        Field(
            "shadow",
            DATABASE,
            SWITCH,
            "Only listen (shadow)",
            "It decides and writes, sends nothing, and keeps what it would have said for 30 days. "
            "Step 4 with --shadow judges that.",
        ),
        Field(
            "policy",
            DATABASE,
            CHOICE,
            "Speaks unasked",
            "How often is up to the slider. Step 3 learns when members would; until then it speaks "
            "at an even rate.",
            _POLICIES,
        ),
        Field(
            "share_cap",
            DATABASE,
            CHOICE,
            "Unasked, it says at most",
            "Of the last 30 messages in a channel. Who asks it is always answered.",
            _SHARES,
        ),
        Field(
            "quiet_from",
            DATABASE,
            CHOICE,
            "Speaks only when asked from",
            "By this computer's clock. Twice the same hour: at no time.",
            _HOURS,
        ),
        Field("quiet_until", DATABASE, CHOICE, "Until", choices=_HOURS),
        Field(
            "hush_words",
            DATABASE,
            TEXT,
            "Kill words",
            "With commas between. Any member who says one to the bot has it be quiet in that "
            "channel for half an hour. Empty: hush, be quiet, shut up and the like.",
        ),
    ),
    "Appearance": (
        Field("appearance", LAUNCHER, CHOICE, "Colours", choices=_APPEARANCES),
        Field("scale", LAUNCHER, CHOICE, "Size", choices=_SCALES),
    ),
    "Data and privacy": (
        Field("backs_up_weekly", LAUNCHER, SWITCH, "Back up every week", "The newest four stay."),
        Field(
            "keep_messages_days",
            LAUNCHER,
            CHOICE,
            "Keep messages for",
            "Older ones are deleted from this computer, not from Discord. Training learns from "
            "what is kept.",
            _DAYS,
        ),
        Field("keep_logs_days", LAUNCHER, CHOICE, "Keep logs for", choices=_LOG_DAYS),
        Field(
            "consent_mode",
            DATABASE,
            CHOICE,
            "Whose messages are learned from",
            "The exclusion list counts in every case.",
            tuple(zip(MODES, _CONSENT, strict=True)),
        ),
    ),
    "Advanced": (
        Field("THREADS", ENV, TEXT, "Threads", "0: as many as the processor has cores."),
        Field(
            "EMBEDDER",
            ENV,
            CHOICE,
            "What finds older messages",
            "Another one reads all messages anew, in the background.",
            _EMBEDDERS,
        ),
        Field("LOG_LEVEL", ENV, CHOICE, "Log", choices=_LEVELS),
    ),
}
FIELDS = {field.name: field for fields in SECTIONS.values() for field in fields}
