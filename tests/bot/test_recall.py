"""Which of the related messages are told: the closest, rather new than old, and never too much."""

import asyncio
import contextlib
import sqlite3
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bot import recall
from bot.commands import Admin
from bot.recall import Recall, choose
from bot.servers import Servers
from data import privacy
from model.inference import Engine, EngineError
from storage import database, embeddings, messages, people, recall_trouble
from storage.embeddings import Embedder, Vector
from storage.messages import Message
from tests.bot.room import Bot, room
from tests.sandbox.conftest import own_address as own_address  # a fixture: it runs by itself

NOW = 1_700_000_000.0
DAY = 86_400.0


def said(days_ago: float, text: str = "so it was") -> Message:
    return Message(messages.snowflake_at(NOW - days_ago * DAY), 1, 2, "kim", text)


def test_the_closest_are_told_first() -> None:
    far, near = said(1), said(2)
    assert choose([(far, 0.4), (near, 0.7)], NOW) == [near, far]


def test_of_two_that_are_about_as_close_the_newer_is_told() -> None:
    old, new = said(700), said(1)
    assert choose([(old, 0.52), (new, 0.50)], NOW)[0] == new
    assert choose([(old, 0.60), (new, 0.50)], NOW)[0] == old


def test_after_thirty_days_half_of_the_advantage_is_left() -> None:
    half = recall.RECENT / 2
    old, new = said(30), said(0)
    assert choose([(old, 0.5 + half + 0.001), (new, 0.5)], NOW)[0] == old
    assert choose([(old, 0.5 + half - 0.001), (new, 0.5)], NOW)[0] == new


def test_a_message_of_tomorrow_gains_no_more_than_one_of_now() -> None:
    assert choose([(said(-9000), 0.5), (said(0), 0.51)], NOW)[0] == said(0)


def test_never_more_than_fits() -> None:
    many = [(said(day, "lol"), 0.5) for day in range(1, 20)]
    assert len(choose(many, NOW)) == recall.MOST
    long, short = said(1, "x" * 1000), said(2, "the heron again")
    assert choose([(long, 0.9), (short, 0.5)], NOW) == [short]
    told = choose([(said(day, "y" * 100), 0.5) for day in range(1, 9)], NOW)
    estimate = sum(recall.TURN_TOKENS + len(m.content) / recall.LETTERS for m in told)
    assert 1 < len(told) < recall.MOST and estimate <= recall.TOKENS


@pytest.mark.parametrize("found", [[], [(said(1, ""), 0.9)]])
def test_little_is_fine(found: list[tuple[Message, float]]) -> None:
    assert choose(found, NOW) == [message for message, _ in found]


class Vague(Engine):
    """Finds all texts alike, but for those that begin with "mine", which are farther away."""

    def __init__(self) -> None:
        super().__init__(Path("vague.gguf"))
        self.embedder = {"name": "vague", "sha256": "0" * 64, "dimension": 64}
        self.is_dead = False

    async def embed(self, texts: Sequence[str]) -> list[Vector]:
        if self.is_dead:
            raise EngineError("the worker ended")
        far = [0.8 if text.startswith("mine") else 0.0 for text in texts]
        drawn = np.zeros((len(texts), 64), np.float32)
        drawn[:, 0], drawn[:, 1] = np.sqrt(1 - np.square(far)), far
        return list(drawn)


@contextlib.asynccontextmanager
async def indexed(
    folder: Path, connection: sqlite3.Connection, engine: Vague
) -> AsyncIterator[Recall]:
    """Recall that has given every message a vector."""
    opened = Recall(engine, folder / "bot.sqlite3", folder / "embeddings")
    indexing = asyncio.create_task(opened.index_forever())
    try:
        while embeddings.pending(connection, Embedder(**engine.embedder or {}), 1):
            await asyncio.sleep(0.05)
        yield opened
    finally:
        indexing.cancel()
        opened.close()


async def test_who_opted_in_is_recalled_whatever_others_said_closer(tmp_path: Path) -> None:
    connection = database.connect(tmp_path / "bot.sqlite3")
    first = messages.snowflake_at(NOW)
    theirs = [Message(first + n, 1, 7, "kim", f"theirs of the heron {n}") for n in range(600)]
    mine = Message(first + 600, 1, 8, "lee", "mine of the heron")
    messages.save(connection, [*theirs, mine])
    people.decide(connection, 8, True)
    async with indexed(tmp_path, connection, Vague()) as opened:
        told = await opened.related("the heron", [])
        assert told and {message.author_id for message in told} == {7}
        privacy.set_consent_mode(connection, privacy.OPT_IN)
        assert await opened.related("the heron", []) == [mine]
        people.decide(connection, 8, False)
        assert await opened.related("the heron", []) == []


async def test_that_recall_fails_is_kept_until_it_works_again(tmp_path: Path) -> None:
    connection, engine = database.connect(tmp_path / "bot.sqlite3"), Vague()
    messages.save(connection, [Message(messages.snowflake_at(NOW), 1, 7, "kim", "of the heron")])
    async with indexed(tmp_path, connection, engine) as opened:
        assert await opened.related("the heron", []) and recall_trouble.find(connection) is None
        engine.is_dead = True
        assert await opened.related("the heron", []) == []
        kind, since = recall_trouble.find(connection) or ("", 0.0)
        assert kind == "EngineError" and time.time() - 60 < since < time.time() + 1
        engine.is_dead = False
        assert await opened.related("the heron", []) and recall_trouble.find(connection) is None


async def test_an_index_that_cannot_be_opened_is_told_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recall, "REST_SECONDS", 0.05)
    connection = database.connect(tmp_path / "bot.sqlite3")
    (tmp_path / "embeddings").touch()
    opened = Recall(Vague(), tmp_path / "bot.sqlite3", tmp_path / "embeddings")
    indexing = asyncio.create_task(opened.index_forever())
    try:
        while recall_trouble.find(connection) is None:
            await asyncio.sleep(0.05)
        (tmp_path / "embeddings").unlink()
        while recall_trouble.find(connection):
            await asyncio.sleep(0.05)
    finally:
        indexing.cancel()
        opened.close()


def make_admin(_: Bot, servers: Servers) -> Admin:
    return Admin(servers, is_supervised=False)


async def test_status_says_that_recall_fails(tmp_path: Path) -> None:
    async with room(tmp_path, make_admin) as here:
        assert "Recall" not in await here.ask("!status")
        recall_trouble.note(here.database, "OSError", NOW)
        assert f"fails since <t:{NOW:.0f}:f> (OSError)" in await here.ask("!status")
        for garbage in ("soon OSError", "17", " ", "OSError"):
            database.remember(here.database, "recall_trouble", garbage)
            assert "Recall" not in await here.ask("!status")
