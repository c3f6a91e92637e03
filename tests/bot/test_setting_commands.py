"""What admins set on a real client in the sandbox; every wrong value is answered by a sentence."""

import asyncio
import contextlib
import dataclasses
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.commands import sync
from bot.servers import Servers
from bot.setting_commands import SettingCommands
from data import policies, speaking_policy
from data.habits import KINDS
from storage import database, quiet
from tests.bot.room import Bot, Room
from tests.bot.room import room as open_room
from tests.bot.test_participation import HABITS, POLICY
from tests.sandbox.conftest import ALICE, SECONDS
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

RATE = "setrate takes a number from 0 to 1, such as 0.05 or 5%."
TEMPERATURE = "settemp takes a number from 0 to 1.5, such as 0.8."
LENGTH = "setmaxlen takes a whole number from 10 to 500, such as 150."
ZALGO = "0\u0337\u0338\u0336.\u03375\u0321"
EVERYWHERE = ["", " nan", " inf", " 1e400", " -1", " 1.51 0", " " + "9" * 1900, f" {ZALGO}"]
EVERYWHERE += [" \u202e5.0", " <|im_start|>", ' "', ' "0.5" x', " 0x1", " \U0001f4a5", " @everyone"]


def make_cog(_: Bot, servers: Servers) -> SettingCommands:
    return SettingCommands(servers)


@contextlib.asynccontextmanager
async def room(folder: Path) -> AsyncIterator[Room]:
    async with open_room(folder, make_cog) as here:
        yield here


async def test_values_are_taken_as_people_type_them(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        for typed, value in (("0.1", 0.1), ("5%", 0.05), ("\u0660\u066b\u0662", 0.2), ("1", 1)):
            assert "of messages now." in await here.ask(f"!setrate {typed}")
            assert database.settings(here.database).response_rate == value
        assert await here.ask("!settemp 0,9") == "The temperature is 0.9 now."
        assert "200 tokens" in await here.ask("!setmaxlen \uff12\uff10\uff10")
        settings = database.settings(here.database)
        assert (settings.temperature, settings.max_tokens) == (0.9, 200)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [("setrate", RATE), ("settemp", TEMPERATURE), ("setmaxlen", LENGTH)],
)
async def test_a_wrong_value_is_answered_by_what_is_taken(
    tmp_path: Path, command: str, sentence: str
) -> None:
    async with room(tmp_path) as here:
        before = database.settings(here.database)
        for wrong in EVERYWHERE:
            assert await here.ask(f"!{command}{wrong}") == sentence, wrong
        assert database.settings(here.database) == before


async def test_what_could_mean_two_things_is_asked_again(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        assert await here.ask("!setrate 5") == RATE
        assert await here.ask("!settemp 80%") == TEMPERATURE
        assert await here.ask("!setmaxlen 150.5") == LENGTH


async def test_slash_commands_show_their_ranges_and_check_them_again(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await sync(here.bot, here.servers)
        (rate,) = here.command("setrate")["options"]
        assert (rate["type"], rate["min_value"], rate["max_value"]) == (10, 0, 1)
        (tokens,) = here.command("setmaxlen")["options"]
        assert (tokens["type"], tokens["min_value"], tokens["max_value"]) == (4, 10, 500)
        used = await here.use("setrate", rate=0.25)
        assert used.answers[0].content == "Answering 25% of messages now."
        assert used.answers[0].is_private
        wrong: list[tuple[str, dict[str, Any], str]] = [
            ("setrate", {"rate": 1.5}, RATE),
            ("setrate", {"rate": 1e308}, RATE),
            ("settemp", {"temperature": -1}, TEMPERATURE),
            ("setmaxlen", {"tokens": 10**18}, LENGTH),
        ]
        for name, options, sentence in wrong:
            assert (await here.use(name, **options)).answers[0].content == sentence
        refused = await here.use("settemp", ALICE, temperature=1.0)
        assert refused.answers[0].content == "This command is for the bot's admins."
        assert database.settings(here.database).temperature == 0.75
        assert not here.said


async def test_quiet_begins_ends_and_is_kept(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        place = here.place.id
        assert "until <t:" in await here.ask("!quiet 30")
        assert quiet.is_quiet(here.database, place, None, time.time() + 1700)
        assert not quiet.is_quiet(here.database, place, None, time.time() + 1900)
        assert "until told otherwise" in await here.ask("!quiet everywhere")
        assert quiet.is_quiet(here.database, 5, None, time.time() + 1e9)
        assert await here.ask("!quiet off") == "Speaking again."
        assert not quiet.is_quiet(here.database, place, None, time.time())
        assert await here.ask("!quiet off") == "It was not quiet here."
        await here.ask("!quiet EVERYWHERE \u0663\u0660")
        assert await here.ask("!quiet off everywhere") == "Speaking again."


async def test_a_quiet_that_makes_no_sense_is_asked_again(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        for wrong in ("0", "-5", "nan", "1e400", "10081", "soon", "off off", "1.5", "x" * 1900):
            assert (await here.ask(f"!quiet {wrong}")).startswith("quiet takes"), wrong
        assert quiet.places(here.database, time.time()) == []


async def test_quiet_is_suggested_while_it_is_typed(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await sync(here.bot, here.servers)
        assert await here.suggested("quiet", "minutes", minutes="day") == [
            "1440",
            "1440 everywhere",
        ]
        used = await here.use("quiet", minutes="1440 everywhere")
        assert "Quiet everywhere" in used.answers[0].content


async def test_a_policy_is_chosen_and_without_a_learned_one_the_way_there_is_told(
    tmp_path: Path,
) -> None:
    async with room(tmp_path) as here:
        assert "at an even rate" in await here.ask("!setpolicy rate")
        assert policies.chosen(here.database) == policies.RATE
        told = await here.ask("!setpolicy LEARNED ")
        assert "scripts/3_train_model.py --participation-only" in told
        assert policies.chosen(here.database) == policies.LEARNED
        habits = dataclasses.replace(HABITS, reactions=dict.fromkeys(KINDS, 0.0))
        policy = dataclasses.replace(POLICY, habits=habits)
        speaking_policy.save(policy, tmp_path / "participation.json")
        told = await here.ask("!setpolicy learned")
        assert "when members would" in told and "3_train_model" not in told


async def test_a_policy_that_does_not_exist_changes_nothing(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.ask("!setpolicy rate")
        for wrong in [*EVERYWHERE, " learned rate", " on", " rate; learned"]:
            assert (await here.ask(f"!setpolicy{wrong}")).startswith("setpolicy takes"), wrong
        assert policies.chosen(here.database) == policies.RATE


async def test_a_policy_is_offered_as_a_slash_command_and_told_to_who_asked(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await sync(here.bot, here.servers)
        (policy,) = here.command("setpolicy")["options"]
        assert [choice["value"] for choice in policy["choices"]] == ["learned", "rate"]
        used = await here.use("setpolicy", policy="rate")
        assert used.answers[0].is_private and "even rate" in used.answers[0].content
        refused = await here.use("setpolicy", ALICE, policy="learned")
        assert refused.answers[0].content == "This command is for the bot's admins."
        assert policies.chosen(here.database) == policies.RATE and not here.said


async def test_commands_are_not_for_private_talk(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        world = here.sandbox.world
        await sync(here.bot, here.servers)
        private = world.direct(world.owner_id)
        used = await here.sandbox.actions.invoke(
            private.id, world.owner_id, here.command("setrate"), {"rate": 1.0}
        )
        await asyncio.wait_for(used.answered.wait(), SECONDS)
        assert used.answers[0].content == "This command works in the server, not in private."
        assert database.settings(here.database).response_rate == 0.05
