"""Where an error is mended, by the sentence that tells of it: a step, or one of the settings."""

import re

from gui.settings_fields import ENV, FIELDS

# the first that fits counts; each step's own sentences, and those of the bot and the scripts
_STEPS = (
    ("token", r"DISCORD_TOKEN|refused the token|whole bot token|bot's token"),
    ("intents", r"may not read messages|Message Content Intent"),
    ("invite", r"is not a member of server|is on no server|Invite it again"),
    ("server", r"SERVER_ID|may read no channel|Choose the server"),
    ("channels", r"CHANNELS\b|at least one channel"),
    ("admin", r"ADMIN_USERS|at least one person|is no user id"),
    ("permission", r"--i-have-permission|needs permission"),
    (
        "model",
        r"MODEL_PATH|BASE_MODEL|There is no model at|Cannot read the model|is not a GGUF"
        r"|Git-LFS pointer|Choose another model|choose a smaller model|choose SmolLM2",
    ),
)
_SETTING = re.compile(rf"\b({'|'.join(n for n, field in FIELDS.items() if field.home == ENV)})\b")


def place_for(error: str) -> str:
    """The name of the step that mends an error, or else of the setting; "" where none does."""
    named = _SETTING.search(error)
    return step_for(error) or (named[1] if named else "")


def step_for(error: str) -> str:
    """The name of the step that mends an error; "" where none does."""
    return next((name for name, pattern in _STEPS if re.search(pattern, error)), "")
