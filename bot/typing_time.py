"""How long the bot seems to type: pure, handed the dice roll.

For the handler, while it shows that it types: sleep `typing_seconds(...)` before each message, the
first one with the time that is gone since the trigger settled, the rest of a burst without.
"""

import re

SLOWEST, FASTEST = 36.0, 64.0  # words a minute: most people's 40 to 60 and some to either side
LETTERS = 5  # a word, as typists count
LONGEST_SECONDS = 8.0
PROMPT_SECONDS = 3.0  # who addressed the bot looks at the screen
_SHORTEST_SECONDS = 0.5
_PASTED = re.compile(r"https?://\S+|<a?:\w{1,40}:\d{1,22}>")
_PASTE = "paste"  # a link or a server's emoji takes about a word's time


def typing_seconds(text: str, roll: float, spent: float = 0.0, is_prompt: bool = False) -> float:
    """How long to type on before a text is sent; `roll` is uniform in [0, 1).

    `spent` is how long it was in the making, which counts as typed. `is_prompt` is the first
    message to somebody who addressed the bot.
    """
    letters = len(_PASTED.sub(_PASTE, text[:2_000]))
    a_minute = LETTERS * (SLOWEST + (FASTEST - SLOWEST) * roll)
    longest = PROMPT_SECONDS if is_prompt else LONGEST_SECONDS
    whole = min(longest, max(_SHORTEST_SECONDS, 60 * letters / a_minute))
    return max(0.0, whole - spent)
