"""What the first run asks Discord, and the sentence for every answer that is none."""

import json
import random
import string
from collections.abc import Iterator
from typing import Any

import pytest

from bot.config import Config, UserError
from data import discord_api, discord_rest, discord_setup
from data.discord_setup import ADMINISTRATOR, HISTORY, SEND, VIEW
from sandbox.faults import Fault
from sandbox.server import Sandbox
from tests.loopback import running, small_world

TOKEN = "MTIzNDU2Nzg5MDEyMzQ1Njc4.GabcdE." + "x" * 38


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with running(Sandbox(small_world(), has_rate_limits=False)) as found:
        yield found


def ask(sandbox: Sandbox) -> discord_setup.Application:
    return discord_setup.application(sandbox.api, sandbox.world.token)


@pytest.mark.parametrize(
    "pasted",
    [
        TOKEN,
        f"  {TOKEN}\n",
        f'"{TOKEN}"',
        f"'{TOKEN}'",
        f"Bot {TOKEN}",
        f'"Bot {TOKEN}"',
        f"DISCORD_TOKEN={TOKEN}",
        f"DISCORD_TOKEN='{TOKEN}'",
        f"\u201c{TOKEN}\u201d",
        f"\u200b{TOKEN}\ufeff",
    ],
)
def test_a_token_is_found_in_what_people_paste(pasted: str) -> None:
    assert discord_setup.clean_token(pasted) == TOKEN


@pytest.mark.parametrize(
    ("pasted", "says"),
    [
        ("", "Paste the bot's token"),
        ("123456789012345678", "application's id"),
        ("a1B2" * 8, "client secret"),
        ("0f" * 32, "public key"),
        (TOKEN[:40], "three parts"),
        ("hunter2", "three parts"),
        (f"{TOKEN}\r\nX-Header: 1", "three parts"),
    ],
)
def test_what_is_no_token_is_said_to_be_what_it_is(pasted: str, says: str) -> None:
    with pytest.raises(UserError, match=says):
        discord_setup.clean_token(pasted)


def test_ten_thousand_garbage_tokens_are_refused() -> None:
    dice = random.Random(1)
    letters = string.printable + "äß💥\u202e\x00"
    for _ in range(10_000):
        text = "".join(dice.choices(letters, k=dice.randrange(120)))
        with pytest.raises(UserError):
            discord_setup.clean_token(text)


def test_a_token_says_whose_it_is_and_what_it_may(sandbox: Sandbox) -> None:
    found = ask(sandbox)
    assert (found.id, found.name) == (sandbox.world.bot_id, "persona")
    assert [one.id for one in found.owners] == [sandbox.world.owner_id]
    assert found.may_read_messages
    assert sandbox.world.token not in repr(found)


def test_the_invitation_is_the_one_that_the_bot_gives(sandbox: Sandbox) -> None:
    world = sandbox.world
    config = Config(
        env_path=discord_api.__file__,  # type: ignore[arg-type]
        token=world.token,
        server_id=1,
        admin_ids=frozenset(),
    )
    assert discord_api.PERMISSIONS.value == discord_setup.PERMISSIONS
    assert ask(sandbox).invite == discord_api.invite(config)


def test_message_content_is_switched_on_by_api(sandbox: Sandbox) -> None:
    sandbox.gateway.allow(1 << 15, False)
    before = ask(sandbox)
    assert not before.may_read_messages
    world = sandbox.world
    after = discord_setup.switch_on_message_content(sandbox.api, world.token, before)
    assert after.may_read_messages and world.shows_content


def test_where_the_api_refuses_the_page_to_open_is_named(sandbox: Sandbox) -> None:
    sandbox.gateway.allow(1 << 15, False)
    sandbox.world.may_switch_intents = False
    with pytest.raises(UserError, match=r"applications/\d+/bot, switch on Message Content"):
        discord_setup.switch_on_message_content(sandbox.api, sandbox.world.token, ask(sandbox))


def test_a_server_is_shown_as_the_bot_sees_it(sandbox: Sandbox) -> None:
    world = sandbox.world
    general, memes, secret = world.places.values()
    secret.is_hidden, memes.may_read_history = True, False
    (one,) = discord_setup.servers(sandbox.api, world.token)
    found = discord_setup.server(sandbox.api, world.token, one.id, world.bot_id)
    assert (found.name, found.owner.id) == ("Tea House", world.owner_id)
    assert [channel.name for channel in found.channels] == ["general", "memes"]
    assert [channel.id for channel in found.readable] == [general.id]


def test_permissions_follow_discords_own_order() -> None:
    server, role, other, me = 1, 2, 3, 4
    roles = {server: VIEW | SEND, role: HISTORY, other: ADMINISTRATOR}

    def may(*changes: tuple[int, int, int, int], own: tuple[int, ...] = (role, me)) -> int:
        overwrites = [
            {"id": str(number), "type": kind, "allow": str(allow), "deny": str(deny)}
            for number, kind, allow, deny in changes
        ]
        channel = {"permission_overwrites": overwrites}
        return discord_setup.permissions(channel, server, roles, own)

    assert may() == VIEW | SEND | HISTORY
    assert may((server, 0, 0, VIEW)) == SEND | HISTORY
    assert may((server, 0, 0, VIEW), (role, 0, VIEW, 0)) == VIEW | SEND | HISTORY
    assert may((role, 0, 0, SEND), (me, 1, SEND, 0)) == VIEW | SEND | HISTORY
    assert may((me, 1, 0, VIEW), (role, 0, VIEW, 0)) == SEND | HISTORY
    assert may((99, 0, 0, VIEW), (98, 1, 0, VIEW)) == VIEW | SEND | HISTORY
    assert may((server, 0, 0, VIEW), own=(other, me)) & VIEW


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (Fault("status", status=500), "problem of its own"),
        (Fault("status", status=404), "does not know"),
        (Fault("status", status=403), "Invite it again"),
        (Fault("rate_limit", seconds=7.2), "wait 8 seconds"),
        (Fault("banned"), "in an hour"),
        (Fault("drop", times=9), "cannot be reached"),
    ],
)
def test_every_refusal_is_a_sentence(sandbox: Sandbox, fault: Fault, says: str) -> None:
    sandbox.faults.add(fault)
    with pytest.raises(UserError, match=says):
        ask(sandbox)


def test_a_wrong_token_is_refused_with_the_way_out(sandbox: Sandbox) -> None:
    with pytest.raises(UserError, match=r"refused the token.*Reset Token"):
        discord_setup.application(sandbox.api, TOKEN)


def test_without_a_network_there_is_a_sentence() -> None:
    with pytest.raises(UserError, match=r"cannot be reached.*network"):
        discord_setup.application("http://127.0.0.1:9/api/v10", TOKEN)


def _mangled(dice: random.Random, value: Any) -> Any:
    """A copy in which something is gone, or is something else."""
    junk: list[Any] = [None, -1, "", "x" * 300, [], {}, [[]], {"id": 5}, True, 1e308, "\ud800"]
    if dice.random() < 0.12:
        return dice.choice(junk)
    if isinstance(value, dict):
        return {key: _mangled(dice, one) for key, one in value.items() if dice.random() > 0.03}
    if isinstance(value, list):
        return [_mangled(dice, one) for one in value]
    return value


def test_a_damaged_answer_is_a_sentence_and_never_a_crash(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, dice, ask_really = sandbox.world, random.Random(2), discord_rest.ask
    kept: dict[str, Any] = {}

    def ask_badly(api: str, token: str, method: str, path: str, body: Any = None) -> Any:
        if path not in kept:
            kept[path] = ask_really(api, token, method, path, body)
        return _mangled(dice, json.loads(json.dumps(kept[path])))

    monkeypatch.setattr(discord_rest, "ask", ask_badly)
    ended = {"well": 0, "with a sentence": 0}
    for _ in range(1500):
        try:
            discord_setup.application(sandbox.api, world.token)
            discord_setup.servers(sandbox.api, world.token)
            discord_setup.server(sandbox.api, world.token, world.guild_id, world.bot_id)
            ended["well"] += 1
        except UserError:
            ended["with a sentence"] += 1
    assert all(ended.values()), ended


def test_an_answer_that_is_no_json_is_called_damaged(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fetch(*_: object) -> tuple[int, bytes]:
        return 200, b"<html>Log in to the hotel"

    monkeypatch.setattr(discord_rest, "_fetch", fetch)
    with pytest.raises(UserError, match="hotel"):
        ask(sandbox)
