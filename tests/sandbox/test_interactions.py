"""Subcommands, suggestions and buttons, as a real client answers them; and what is refused."""

import asyncio
from typing import Any

import discord
import pytest
from discord import app_commands

from sandbox.interactions import Interaction
from sandbox.server import Sandbox
from sandbox.world import World
from tests.sandbox.conftest import ALICE, SECONDS, Caller, Client, online

COMMAND: dict[str, Any] = {"id": "1", "name": "pick", "options": []}


class Buttons(discord.ui.View):
    @discord.ui.button(label="press", custom_id="here")
    async def pressed(self, interaction: discord.Interaction, _: Any) -> None:
        await interaction.response.send_message(f"by {interaction.user.id}", ephemeral=True)


class Picking(Client):
    """A bot with a group of commands, one of which suggests and shows a button."""

    async def setup_hook(self) -> None:
        group = app_commands.Group(name="pick", description="x")

        @group.command(name="one", description="x")
        async def one(interaction: discord.Interaction, fruit: str) -> None:
            await interaction.response.send_message(fruit, view=Buttons(timeout=None))

        @one.autocomplete("fruit")
        async def suggest(_: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
            return [app_commands.Choice(name=typed * 2, value=typed * 3)]

        tree = app_commands.CommandTree(self)
        tree.add_command(group)
        await tree.sync()


async def answered(interaction: Interaction) -> Interaction:
    await asyncio.wait_for(interaction.answered.wait(), SECONDS)
    return interaction


async def test_a_subcommand_its_suggestions_and_its_button(
    sandbox: Sandbox, world: World, place_id: int
) -> None:
    async with online(sandbox, Picking()):
        (command,) = world.commands
        options = {"one": {"fruit": "fig"}}
        typing = await answered(
            await sandbox.actions.complete(place_id, ALICE, command, options, "fruit")
        )
        assert typing.choices == [{"name": "figfig", "value": "figfigfig"}]
        used = await answered(await sandbox.actions.invoke(place_id, ALICE, command, options))
        (post,) = used.answers
        assert post.content == "fig" and post.components
        pressed = await answered(await sandbox.actions.press(post, world.owner_id, "here"))
        assert pressed.answers[0].content == f"by {world.owner_id}"


@pytest.mark.parametrize(
    "body",
    [
        {"type": 4, "data": {"content": "no suggestions"}},
        {"type": 8, "data": {"choices": "x"}},
        {"type": 8, "data": {"choices": [{"name": "n", "value": "v"}] * 26}},
        {"type": 8},
    ],
)
async def test_what_is_typed_is_answered_with_suggestions_only(
    sandbox: Sandbox, call: Caller, place_id: int, body: dict[str, Any]
) -> None:
    typing = await sandbox.actions.complete(place_id, ALICE, COMMAND, {"x": "y"}, "x")
    path = f"/interactions/{typing.id}/{typing.token}/callback"
    status, _ = await call("POST", path, json=body)
    assert status == 400 and not typing.is_acknowledged
    good = {"type": 8, "data": {"choices": []}}
    assert (await call("POST", path, json=good))[0] == 204
    assert (await call("POST", path, json=good))[0] == 400  # once is enough


async def test_a_command_is_not_answered_with_suggestions(
    sandbox: Sandbox, call: Caller, place_id: int
) -> None:
    used = await sandbox.actions.invoke(place_id, ALICE, COMMAND, {})
    path = f"/interactions/{used.id}/{used.token}/callback"
    status, _ = await call("POST", path, json={"type": 8, "data": {"choices": []}})
    assert status == 400
    body = {"type": 4, "data": {"content": "x", "components": "x"}}
    assert (await call("POST", path, json=body))[0] == 400
