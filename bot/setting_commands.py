"""What admins set while the bot runs: how often it answers, how it writes, where it is quiet."""

import logging
import time

import discord
from discord import app_commands
from discord.ext import commands

from bot import typed_numbers
from bot.admin_cog import AdminCog, Context, WrongValue, answer
from bot.servers import Server
from data import policies, speaking_policy
from storage import database, quiet, shadow

log = logging.getLogger(__name__)

OFF, EVERYWHERE = "off", "everywhere"
ON, STATUS = "on", "status"
LONGEST_MINUTES = 10_080  # a week
_QUIET = (
    f"quiet takes a number of minutes from 1 to {LONGEST_MINUTES:,}, or off; and everywhere, where "
    "it is not for this channel alone. Such as: quiet 30, quiet 30 everywhere, quiet off."
)
_SHADOW = "shadow takes on, off or status."
_POLICY = (
    "setpolicy takes learned or rate. learned: it speaks unasked when members would; rate: at an "
    "even rate."
)
_SUGGESTED = {"10 minutes": "10", "an hour": "60", "a day": "1440", "speak again": OFF}


class SettingValue(commands.Converter[float], app_commands.Transformer):
    """A value of one setting: typed within its limits as a slash command, else read from text."""

    def __init__(self, command: str, setting: str, example: str) -> None:
        self._setting, (self._low, self._high) = setting, database.LIMITS[setting]
        self._is_whole = isinstance(self._low, int)
        self._takes_percent = example.endswith("%")
        kind = "a whole number" if self._is_whole else "a number"
        limits = f"from {self._low:g} to {self._high:g}"
        self.sentence = f"{command} takes {kind} {limits}, such as {example}."

    @property
    def type(self) -> discord.AppCommandOptionType:
        kinds = discord.AppCommandOptionType
        return kinds.integer if self._is_whole else kinds.number

    @property
    def min_value(self) -> float:
        return self._low

    @property
    def max_value(self) -> float:
        return self._high

    async def convert(self, context: Context, argument: str) -> float:
        return self._checked(argument)

    async def transform(self, interaction: discord.Interaction, value: float) -> float:
        return self._checked(f"{value:.9f}" if isinstance(value, float) else str(value))

    def _checked(self, text: str) -> float:
        if self._is_whole:
            value: float | None = typed_numbers.whole(text)
        else:
            value = typed_numbers.read(text, takes_percent=self._takes_percent)
        if value is None or not self._low <= value <= self._high:
            raise WrongValue(self.sentence)
        return value


RATE = SettingValue("setrate", "response_rate", "0.05 or 5%")
TEMPERATURE = SettingValue("settemp", "temperature", "0.8")
LENGTH = SettingValue("setmaxlen", "max_tokens", "150")


class SettingCommands(AdminCog):
    """Every value is a row that the bot reads for each message, as the window does."""

    # mypy cannot match discord.py's two-shaped callback type against a method (arg-type)
    @commands.hybrid_command(description="Set the share of messages answered")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(rate="from 0 to 1; 0.05 is one message in twenty")
    async def setrate(
        self, context: Context, *, rate: float = commands.parameter(converter=RATE)
    ) -> None:
        """Set the response rate: 0.05 is one message in twenty."""
        self._keep("response_rate", rate, context)
        await answer(context, f"Answering {100 * rate:.4g}% of messages now.")

    @commands.hybrid_command(description="Set how daring the replies are")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(temperature="from 0 to 1.5; more of it is more surprising")
    async def settemp(
        self, context: Context, *, temperature: float = commands.parameter(converter=TEMPERATURE)
    ) -> None:
        """Set the temperature: more of it is more surprising."""
        self._keep("temperature", temperature, context)
        await answer(context, f"The temperature is {temperature:g} now.")

    @commands.hybrid_command(description="Set how long a reply may be, in tokens")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(tokens="from 10 to 500; 150 are some hundred words")
    async def setmaxlen(
        self, context: Context, *, tokens: int = commands.parameter(converter=LENGTH)
    ) -> None:
        """Set the most tokens of a reply: 150 are some hundred words."""
        self._keep("max_tokens", tokens, context)
        await answer(context, f"A reply has at most {tokens} tokens now.")

    @commands.hybrid_command(description="Have the bot say nothing, for a while or until off")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(minutes="for how long, or off; add everywhere for all channels")
    async def quiet(self, context: Context, *, minutes: str = "") -> None:
        """Be quiet here for some minutes, or until `off`; add `everywhere` for all channels."""
        how_long, is_everywhere = _span(minutes)
        if how_long == OFF:
            await answer(context, self._speak(context, is_everywhere))
            return
        until = time.time() + 60 * how_long if isinstance(how_long, int) else None
        place = quiet.EVERYWHERE if is_everywhere else context.channel.id
        quiet.begin(self._here(context).connection, place, until)
        log.info("quiet in %d for %s minutes by %d", place, how_long, context.author.id)
        where = EVERYWHERE if is_everywhere else "here"
        await answer(context, f"Quiet {where} {_words(until)}. !quiet off ends it.")

    @quiet.autocomplete("minutes")
    async def _suggest(
        self, interaction: discord.Interaction, typed: str
    ) -> list[app_commands.Choice[str]]:
        everywhere = {f"{text}, everywhere": f"{m} everywhere" for text, m in _SUGGESTED.items()}
        offered = {**_SUGGESTED, **everywhere}.items()
        fitting = [(text, m) for text, m in offered if typed.casefold() in f"{text} {m}"]
        return [app_commands.Choice(name=text, value=minutes) for text, minutes in fitting]

    @commands.hybrid_command(description="Have the bot only listen: it writes and sends nothing")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(state="on: nothing is sent; off: it speaks again")
    @app_commands.choices(state=[app_commands.Choice(name=s, value=s) for s in (ON, OFF, STATUS)])
    async def shadow(self, context: Context, *, state: str = STATUS) -> None:
        """Write replies and send none (`on`), speak again (`off`), or say which it is."""
        asked = state.strip().casefold()
        if asked not in (ON, OFF, STATUS):
            raise WrongValue(_SHADOW)
        if asked != STATUS:
            shadow.switch(self._here(context).connection, asked == ON)
            log.info("shadow mode %s by %d", asked, context.author.id)
        heard, written = shadow.count(self._here(context).connection)
        word = "Listening only" if shadow.is_on(self._here(context).connection) else "Speaking"
        await answer(
            context,
            f"{word}. In shadow mode it heard {heard:,} messages and would have answered "
            f"{written:,}; python scripts/4_evaluate_personality.py --shadow judges that.",
        )

    @commands.hybrid_command(description="Speak unasked when members would, or evenly")  # type: ignore[arg-type]
    @app_commands.default_permissions(manage_guild=True)
    @app_commands.describe(policy="learned: when members would; rate: at an even rate")
    @app_commands.choices(policy=[app_commands.Choice(name=p, value=p) for p in policies.POLICIES])
    async def setpolicy(self, context: Context, *, policy: str = "") -> None:
        """Speak unasked when members would (`learned`), or at an even rate (`rate`)."""
        asked = policy.strip().casefold()
        if asked not in policies.POLICIES:
            raise WrongValue(_POLICY)
        here = self._here(context)
        policies.choose(here.connection, asked)
        log.info("policy set to %s by %d", asked, context.author.id)
        await answer(context, f"{when_it_speaks(here)}.")

    def _keep(self, setting: str, value: float, context: Context) -> None:
        database.change_setting(self._here(context).connection, setting, value)
        log.info("%s set to %g by %d", setting.replace("_", " "), value, context.author.id)

    def _speak(self, context: Context, is_everywhere: bool) -> str:
        here = (context.channel.id, quiet.EVERYWHERE)
        was_quiet = quiet.end(self._here(context).connection, None if is_everywhere else here)
        log.info("quiet ended in %d by %d", context.channel.id, context.author.id)
        return "Speaking again." if was_quiet else "It was not quiet here."


def when_it_speaks(here: Server) -> str:
    """Which policy is in force for what nobody asked for; without a learned one, how to get it."""
    if policies.chosen(here.connection) == policies.RATE:
        return "Unasked, it speaks at an even rate"
    if speaking_policy.load(here.config.participation_path):
        return "Unasked, it speaks when members would, as learned before it was last started"
    return (
        "Unasked, it speaks at an even rate until it has learned when members do: run "
        "python scripts/3_train_model.py --participation-only, then !restart"
    )


def _span(text: str) -> tuple[int | str, bool]:
    """For how many minutes ("": until told otherwise; or `OFF`), and whether everywhere."""
    if len(text) > typed_numbers.LONGEST:
        raise WrongValue(_QUIET)
    words = text.casefold().split()
    is_everywhere = EVERYWHERE in words
    words = [word for word in words if word != EVERYWHERE]
    if not words or words == [OFF]:
        return "".join(words), is_everywhere
    minutes = typed_numbers.whole(" ".join(words))
    if minutes is None or not 1 <= minutes <= LONGEST_MINUTES:
        raise WrongValue(_QUIET)
    return minutes, is_everywhere


def _words(until: float | None) -> str:
    """Until when, in the clock of who reads it."""
    return "until told otherwise" if until is None else f"until <t:{until:.0f}:f>"
