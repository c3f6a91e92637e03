"""Related older messages, found by meaning, and the quiet work of indexing them."""

import asyncio
import concurrent.futures
import logging
import sqlite3
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeVar

from typing_extensions import TypeVarTuple, Unpack

from data import privacy
from model.catalog import EMBEDDER, EMBEDDING_DIMENSION
from model.inference import AnyEngine, EngineError
from storage import database, messages, vectordb
from storage.messages import Message

log = logging.getLogger(__name__)

BATCH = 64
SIMILAR = 0.35  # below this cosine a "related" message of chat is noise
REST_SECONDS = 20.0

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Recall:
    """Owns LanceDB on a thread of its own, so that the event loop never waits for a disk."""

    def __init__(self, engine: AnyEngine, database_path: Path, embeddings_dir: Path) -> None:
        self._engine = engine
        self._places = database_path, embeddings_dir
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "recall")
        self._open: tuple[vectordb.VectorStore, sqlite3.Connection] | None = None

    async def related(self, text: str, known: Collection[int], limit: int) -> list[Message]:
        """Up to `limit` messages close to `text` in meaning and not among `known`, oldest first.

        Empty while the index is still opening, or when the embedder fails.
        """
        if self._open is None or not text.strip():
            return []
        try:
            (vector,) = await self._engine.embed([text])
        except EngineError as error:
            log.warning("nothing recalled: %s", error)
            return []
        found = await self._run(self._search, vector, limit + len(known))
        fresh = [message for message in found if message.id not in known][:limit]
        return sorted(fresh, key=lambda message: message.id)

    async def index_forever(self) -> None:
        """Give every message a vector, the newest first, a batch at a time."""
        await self._run(self._open_store)
        while True:
            try:
                indexed = await self._index_batch()
            except EngineError as error:
                log.warning("indexing waits: %s", error)
                indexed = 0
            await asyncio.sleep(0.2 if indexed == BATCH else REST_SECONDS)

    async def _index_batch(self) -> int:
        batch = await self._run(self._pending)
        if batch:
            vectors = await self._engine.embed([message.content for message in batch])
            await self._run(self._add, [message.id for message in batch], vectors)
        return len(batch)

    def close(self) -> None:
        """Let the thread finish what it is doing."""
        self._thread.shutdown(cancel_futures=True)

    async def _run(self, call: Callable[[Unpack[Ts]], T], *arguments: Unpack[Ts]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _open_store(self) -> None:
        database_path, embeddings_dir = self._places
        connection = database.connect(database_path)
        store = vectordb.VectorStore(embeddings_dir, EMBEDDING_DIMENSION, EMBEDDER)
        log.info("recall ready: %d messages", store.sync(connection))
        self._open = store, connection

    def _search(self, vector: vectordb.Vector, limit: int) -> list[Message]:
        assert self._open
        store, connection = self._open
        try:
            close = [number for number, cosine in store.search(vector, limit) if cosine >= SIMILAR]
        except vectordb.DAMAGE as error:
            log.warning("recall index damaged (%s)", type(error).__name__)
            store.sync(connection)
            return []
        audience = privacy.audience(connection)
        return [m for m in messages.by_ids(connection, close) if audience.allows(m.author_id)]

    def _pending(self) -> list[Message]:
        assert self._open
        return vectordb.pending(self._open[1], EMBEDDER, BATCH)

    def _add(self, ids: list[int], vectors: list[vectordb.Vector]) -> None:
        assert self._open
        store, connection = self._open
        store.add(connection, ids, vectors)
