"""Related older messages, found by meaning, and the quiet work of indexing them."""

import asyncio
import concurrent.futures
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

from bot.config import UserError
from data import privacy
from model import catalog
from model.inference import AnyEngine, EngineError
from storage import database, embeddings, messages, recall_trouble, vectordb
from storage.embeddings import Embedder, Vector
from storage.messages import Message

log = logging.getLogger(__name__)

BATCH = 64
SIMILAR = 0.35  # below this cosine a "related" message of chat is noise
SIMILAR_BGE = 0.6  # its cosines lie between 0.4 and 1
REST_SECONDS = 20.0
LOOK_SECONDS = 600.0  # between two comparisons of the index with the database

MOST = 5  # messages
TOKENS = 80  # of the prompt, which a slow laptop reads in four seconds
TURN_TOKENS = 8  # around each message: the turn's marks and its speaker
LETTERS = 4.0  # characters in a token
RECENT = 0.05  # of cosine, for a message of just now
HALF_LIFE_SECONDS = 30 * 86_400.0  # after which half of that is left

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Recall:
    """Owns LanceDB on a thread of its own, so that the event loop never waits for a disk."""

    def __init__(self, engine: AnyEngine, database_path: Path, embeddings_dir: Path) -> None:
        self._engine = engine
        self._places = database_path, embeddings_dir
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "recall")
        self._open: tuple[vectordb.VectorStore, sqlite3.Connection] | None = None
        self._looked_at = 0.0
        self._trouble: str | None = None  # as it was told last

    async def related(
        self, text: str, known: Collection[int], channels: Collection[int] | None = None
    ) -> list[Message]:
        """The few messages closest to `text` in meaning and not among `known`, oldest first.

        Only of these channels, where they are given. Empty while the index is still opening, or
        when the embedder fails.
        """
        if self._open is None or not text.strip():
            return []
        try:
            (vector,) = await self._engine.embed([text])
        except EngineError as error:
            log.warning("nothing recalled: %s", error)
            await self._run(self._tell, type(error).__name__)
            return []
        found = await self._run(self._search, vector, channels)
        fresh = [(message, cosine) for message, cosine in found if message.id not in known]
        return sorted(choose(fresh, time.time()), key=lambda message: message.id)

    async def index_forever(self) -> None:
        """Give every message a vector, the newest first, a batch at a time."""
        if self._engine.embedder is None:
            log.warning("no older messages are recalled: there is no embedder")
            await self._run(self._tell, "no embedder")
            return
        while True:
            try:
                if self._open is None:
                    await self._run(self._open_store)
                indexed = await self._index_batch()
            except (EngineError, UserError, sqlite3.Error, *vectordb.DAMAGE) as error:
                log.warning("indexing waits: %s", error)
                await self._run(self._tell, type(error).__name__)
                indexed = 0
            await asyncio.sleep(0.2 if indexed == BATCH else REST_SECONDS)

    async def _index_batch(self) -> int:
        batch = await self._run(self._pending)
        if batch:
            vectors = await self._engine.embed([message.content for message in batch])
            await self._run(self._add, [message.id for message in batch], vectors)
        else:
            await self._run(self._look)
        return len(batch)

    def close(self) -> None:
        """Let the thread finish what it is doing."""
        self._thread.shutdown(cancel_futures=True)

    async def _run(self, call: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _open_store(self) -> None:
        database_path, embeddings_dir = self._places
        self._embedder = Embedder(**self._engine.embedder or {})
        store = vectordb.VectorStore(embeddings_dir, self._embedder)
        connection = database.connect(database_path)
        log.info("recall ready: %d messages", store.sync(connection))
        self._looked_at = time.monotonic()
        self._open = store, connection
        self._tell("")

    def _search(
        self, vector: Vector, channels: Collection[int] | None
    ) -> list[tuple[Message, float]]:
        assert self._open
        store, connection = self._open
        try:
            allows = privacy.audience(connection).allows
            cosines = dict(store.search(connection, vector, vectordb.CANDIDATES, channels, allows))
        except vectordb.DAMAGE as error:
            log.warning("recall index damaged (%s)", type(error).__name__)
            self._tell(type(error).__name__)
            store.sync(connection)
            return []
        self._tell(store.trouble)
        is_bge = self._embedder.name == catalog.EMBEDDERS[catalog.BGE_SMALL]
        least = SIMILAR_BGE if is_bge else SIMILAR
        close = messages.by_ids(connection, [i for i, cosine in cosines.items() if cosine >= least])
        return [(message, cosines[message.id]) for message in close]

    def _pending(self) -> list[Message]:
        assert self._open
        return embeddings.pending(self._open[1], self._embedder, BATCH)

    def _add(self, ids: list[int], vectors: list[Vector]) -> None:
        assert self._open
        store, connection = self._open
        try:
            store.add(connection, ids, vectors)
            self._tell(store.trouble)
        except vectordb.DAMAGE as error:
            log.warning("recall index damaged (%s)", type(error).__name__)
            self._tell(type(error).__name__)
            store.sync(connection)

    def _look(self) -> None:
        """Now and then, with nothing else to do, see that the index is what the database says."""
        assert self._open
        store, connection = self._open
        if time.monotonic() - self._looked_at > LOOK_SECONDS:
            store.sync(connection)
            store.tidy(connection)
            self._looked_at = time.monotonic()

    def _tell(self, trouble: str) -> None:
        """Keep for others that recall fails, or works again, where that has changed."""
        if trouble == self._trouble:
            return
        with (
            contextlib.suppress(UserError, sqlite3.Error),  # the next failure tries again
            contextlib.closing(database.connect(self._places[0])) as connection,
        ):
            recall_trouble.note(connection, trouble, time.time())
            self._trouble = trouble


def choose(found: Iterable[tuple[Message, float]], now: float) -> list[Message]:
    """The best of some messages and their cosines that fit into the prompt, the best first.

    Score: cosine + RECENT * 0.5 ** (age / HALF_LIFE_SECONDS), so that of two that are about as
    close the newer one is told. Tokens are estimated by the characters.
    """
    chosen: list[Message] = []
    left = float(TOKENS)
    for message, _ in sorted(found, key=lambda pair: -_score(pair[0], pair[1], now)):
        tokens = TURN_TOKENS + len(message.content) / LETTERS
        if tokens <= left and len(chosen) < MOST:
            chosen.append(message)
            left -= tokens
    return chosen


def _score(message: Message, cosine: float, now: float) -> float:
    age = max(0.0, now - message.sent_at)
    return cosine + RECENT * float(0.5 ** (age / HALF_LIFE_SECONDS))
