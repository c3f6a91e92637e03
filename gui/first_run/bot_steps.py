"""The first steps: what for, whose token, and whether the bot may read messages."""

import dataclasses
from collections.abc import Sequence

from bot.config import UserError
from data import discord_setup
from gui.first_run.state import CONNECT, DEMO, Choice, Field, Known, View
from gui.first_run.step import Job, Step, application_of


class Welcome(Step):
    name, stage = "welcome", "Welcome"

    def view(self, known: Known) -> View:
        return View(
            self.name,
            self.stage,
            "Welcome",
            "This bot learns how your Discord server talks, and talks along. Everything stays on "
            "this computer.",
            choices=(
                Choice(CONNECT, ("Connect my server: about five minutes",)),
                Choice(DEMO, ("Look around first: a sample server on this computer",)),
            ),
            chosen=(known.purpose,),
            can_go_back=False,
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        return dataclasses.replace(known, purpose=DEMO if DEMO in chosen else CONNECT)


class Token(Step):
    name, stage = "token", "Bot"

    def view(self, known: Known) -> View:
        return View(
            self.name,
            self.stage,
            "Your bot's token",
            "A token is the bot's password. On Discord's page make a New Application, open Bot, "
            "press Reset Token, copy what appears and paste it here.",
            notes=("It is kept in a file that only you can read, and goes to Discord alone.",),
            field=Field("Token", "paste it here", known.token, is_secret=True),
            link=discord_setup.PORTAL,
            link_text="Open Discord's page",
        )

    def take(self, known: Known, field: str, chosen: Sequence[str]) -> Known:
        token = discord_setup.clean_token(field)
        if token == known.token:
            return known
        return dataclasses.replace(known, token=token, application=None, servers=(), server=None)

    def work(self, known: Known, job: Job) -> Known:
        found = discord_setup.application(self.here.api_base, known.token)
        return dataclasses.replace(known, application=found)


class Intents(Step):
    name, stage = "intents", "Bot"
    poll_seconds = 5.0

    def settle(self, known: Known) -> Known | None:
        return known if application_of(known).may_read_messages else None

    def view(self, known: Known) -> View:
        bot = application_of(known)
        return View(
            self.name,
            self.stage,
            "Let it read messages",
            f"{bot.name} may not read messages yet: Discord calls this the Message Content "
            "Intent. The button switches it on; or do it yourself on Discord's page, under Bot.",
            link=bot.intents_page,
            link_text="Open Discord's page",
            action="" if bot.may_read_messages else "Switch it on",
            next_text="Check again" if not bot.may_read_messages else "Next",
        )

    def work(self, known: Known, job: Job) -> Known:
        found = self.poll(known)
        if found is None:
            raise UserError(
                "Message Content Intent is still off. Switch it on at "
                f"{application_of(known).intents_page}, press Save Changes, and check again."
            )
        return found

    def act(self, known: Known, job: Job) -> Known:
        bot = application_of(known)
        found = discord_setup.switch_on_message_content(self.here.api_base, known.token, bot)
        return dataclasses.replace(known, application=found)

    def poll(self, known: Known) -> Known | None:
        found = discord_setup.application(self.here.api_base, known.token)
        if not found.may_read_messages:
            return None
        return dataclasses.replace(known, application=found)
