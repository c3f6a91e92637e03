"""What everybody may ask, on a real client in the sandbox."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from bot.commands import sync
from bot.member_commands import MemberCommands
from bot.servers import Servers
from data import privacy
from sandbox.interactions import Interaction
from sandbox.world import Post
from storage import database, messages, people
from storage.messages import Message
from tests.bot.room import Bot, Room
from tests.bot.room import room as open_room
from tests.sandbox.conftest import ALICE, SECONDS
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

BOB = ALICE + 1
TEXT = "the heron stands in the cold river"


def cog(bot: Bot, servers: Servers) -> MemberCommands:
    return MemberCommands(bot, servers)


@contextlib.asynccontextmanager
async def room(folder: Path, mode: str = privacy.OPT_OUT) -> AsyncIterator[Room]:
    """A server in which Alice and Bob have written something; the commands are synced."""
    async with open_room(folder, cog) as here:
        privacy.set_consent_mode(here.database, mode)
        here.sandbox.world.add_person(BOB, "bob")
        said = [
            Message(10**18, 1, ALICE, "amber", TEXT, reactions={"+": 2}),
            Message(10**18 + 1, 1, BOB, "bob", "indeed", reply_to=10**18),
        ]
        with database.transaction(here.database):
            messages.save(here.database, said)
        await sync(here.bot, here.servers)
        yield here


def button(post: Post, label: str) -> str:
    """The custom id of a button below a post."""
    rows = [row["components"] for row in post.components]
    found = [one for row in rows for one in row if one["label"] == label]  # type: ignore[attr-defined]
    return str(found[0]["custom_id"])


async def press(here: Room, post: Post, label: str, person: int) -> Interaction:
    pressed = await here.sandbox.actions.press(post, person, button(post, label))
    await asyncio.wait_for(pressed.answered.wait(), SECONDS)
    return pressed


async def test_about_tells_everybody_what_it_is(tmp_path: Path) -> None:
    for mode, way in ((privacy.ADMIN, "ask an admin"), (privacy.OPT_IN, "/privacy")):
        folder = tmp_path / mode
        folder.mkdir()
        async with room(folder, mode) as here:
            (answer,) = (await here.use("about", ALICE)).answers
            assert answer.is_private and answer.content.startswith("I'm a bot: ")
            assert "not trained on this server" in answer.content and way in answer.content
            assert f"<@{here.sandbox.world.owner_id}>" in answer.content
            here.database.close()


async def test_where_admins_decide_there_is_no_privacy_command(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        command = here.command("privacy")
        assert command["default_member_permissions"] is None  # for everybody
        privacy.set_consent_mode(here.database, privacy.ADMIN)
        await sync(here.bot, here.servers)
        assert {c["name"] for c in here.sandbox.world.commands} == {"about"}
        late = await here.sandbox.actions.invoke(here.place.id, ALICE, command, {})
        with contextlib.suppress(asyncio.TimeoutError):  # discord.py knows it no more
            await asyncio.wait_for(late.answered.wait(), 0.5)
        assert not [post for post in late.answers if post.components]


async def test_what_is_stored_is_told_in_counts_alone(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (answer,) = (await here.use("privacy", ALICE)).answers
        assert "messages: 1, attachments' names: 0, reactions to them: 2" in answer.content
        assert "You said: nothing yet. So it may learn from your messages." in answer.content
        assert answer.is_private and "heron" not in answer.content


async def test_who_presses_a_button_decides_for_themselves_alone(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (answer,) = (await here.use("privacy", ALICE)).answers
        pressed = await press(here, answer, "Do not learn from them", BOB)
        assert pressed.answers[0].is_private and "will not learn" in pressed.answers[0].content
        assert people.consents(here.database) == {BOB: False}
        await press(here, answer, "Do not learn from them", ALICE)
        await press(here, answer, "Learn from my messages", BOB)
        assert people.consents(here.database) == {BOB: True, ALICE: False}
        (answer,) = (await here.use("privacy", ALICE)).answers
        assert "You said: no. So it does not learn" in answer.content


async def test_erasing_asks_once_more_and_takes_everything(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (answer,) = (await here.use("privacy", ALICE)).answers
        sure = await press(here, answer, "Erase everything of mine", ALICE)
        assert "cannot be undone" in sure.answers[0].content
        assert people.written(here.database, ALICE).texts
        done = await press(here, sure.answers[0], "Yes, erase all of it", ALICE)
        assert done.answers[0].is_private and done.answers[0].content.startswith("Erased.")
        assert not people.written(here.database, ALICE).texts
        assert people.written(here.database, BOB).texts
        (listed,) = people.exclusions(here.database)
        assert (listed.user_id, listed.reason) == (ALICE, "asked for it with /privacy")
        (told,) = (await here.use("privacy", ALICE)).answers
        assert "exclusion list" in told.content
        again = await press(here, answer, "Learn from my messages", ALICE)
        assert "exclusion list" in again.answers[0].content
        assert people.consents(here.database) == {}


async def test_buttons_of_an_earlier_run_work_on(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (answer,) = (await here.use("privacy", ALICE)).answers
        here.database.close()
    async with room(tmp_path) as here:  # another client, which never sent that message
        answer.place_id = here.place.id
        await press(here, answer, "Do not learn from them", ALICE)
        assert people.consents(here.database) == {ALICE: False}


async def test_buttons_do_nothing_once_admins_decide(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        (answer,) = (await here.use("privacy", ALICE)).answers
        privacy.set_consent_mode(here.database, privacy.ADMIN)
        pressed = await press(here, answer, "Learn from my messages", ALICE)
        assert "the admins decide" in pressed.answers[0].content
        assert people.consents(here.database) == {}


async def test_nothing_of_it_is_heard_by_the_channel(tmp_path: Path) -> None:
    async with room(tmp_path) as here:
        await here.use("privacy", ALICE)
        await here.use("about", ALICE)
        await here.say("!privacy", ALICE)
        await here.say("!about")
        assert not here.said
