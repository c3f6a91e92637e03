"""What Discord says of how to connect, whatever it answers."""

from pathlib import Path
from typing import Any

import pytest

from bot import config, gateway
from bot.config import Config, UserError
from data import discord_rest
from data.discord_rest import Refused, Unreachable
from sandbox.server import Sandbox
from sandbox.settings import write_env
from sandbox.world import World

GOOD = {"shards": 2, "session_start_limit": {"remaining": 1000, "reset_after": 0}}


@pytest.fixture
def settings(tmp_path: Path) -> Config:
    return config.load(write_env(tmp_path, Sandbox(World()), DISCORD_API_BASE=""))


def discord_says(patch: pytest.MonkeyPatch, *answers: Any) -> None:
    """Answer as told, one after the other, and at once."""
    left = list(answers)

    async def answer(*_: object) -> Any:
        said = left.pop(0)
        if isinstance(said, Exception):
            raise said
        return said

    patch.setattr(discord_rest, "answer", answer)
    patch.setattr(gateway, "RETRY_SECONDS", (0.0,))


@pytest.mark.parametrize(
    "wrong",
    [
        Unreachable("no network"),
        Refused(429, "slow down"),
        Refused(503, "down"),
        *(None, 7, [], {}, {"shards": "many"}, {**GOOD, "shards": 0}, {**GOOD, "shards": 1e9}),
        *({**GOOD, "shards": float("inf")}, {**GOOD, "session_start_limit": 5}),
        {**GOOD, "session_start_limit": {"remaining": 0, "reset_after": float("nan")}},
    ],
)
async def test_what_makes_no_sense_is_asked_again(
    settings: Config, monkeypatch: pytest.MonkeyPatch, wrong: Any
) -> None:
    discord_says(monkeypatch, wrong, wrong, GOOD)
    assert await gateway.shards(settings) == 2


async def test_a_refused_token_ends_it(settings: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    discord_says(monkeypatch, Unreachable("no network"), Refused(401, "no"))
    with pytest.raises(UserError, match="refused the token"):
        await gateway.shards(settings)


async def test_too_few_logins_are_waited_for(
    settings: Config, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    spent = {**GOOD, "session_start_limit": {"remaining": 1, "reset_after": 20}}
    discord_says(monkeypatch, spent, GOOD)
    assert await gateway.shards(settings) == 2
    assert "1 of the day's are left, 2 are needed" in caplog.text
