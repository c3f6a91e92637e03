"""Recall for a second reader, beside a bot that may be writing the index just now."""

import logging
import sqlite3
from typing import Any

from bot.recall import Recall
from storage import database, vectordb
from storage.embeddings import Embedder

log = logging.getLogger(__name__)


class Lookup(Recall):
    """Finds what the bot would find, and writes nothing: the index is the bot's."""

    async def open(self) -> None:
        """Open the index as the bot left it, unless it is open; nothing is recalled without."""
        if self._open is None and self._engine.embedder:
            try:
                await self._run(self._open_store)
            except vectordb.DAMAGE as error:
                log.warning("nothing recalled: %s", type(error).__name__)

    def _open_store(self) -> None:
        database_path, embeddings_dir = self._places
        self._embedder = Embedder(**self._engine.embedder or {})
        store = _Index(embeddings_dir, self._embedder)
        self._open = store, database.connect(database_path)

    def _tell(self, trouble: str) -> None:
        """Nothing: how the bot's own recall does is not known here."""


class _Index(vectordb.VectorStore):
    def sync(self, connection: sqlite3.Connection) -> int:
        return 0  # to rebuild it would pull it away from under the bot

    def _create(self) -> Any:
        raise OSError("the index is not there, not whole, or another embedder's")
