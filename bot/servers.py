"""A Discord server that the bot serves, and what is its own: nothing of it is seen in another."""

import dataclasses
import sqlite3
from collections.abc import Mapping

import discord

from bot.config import Config
from bot.handlers import Handler
from bot.recall import Recall
from bot.writing import Writer
from data import speaking_policy
from model.inference import AnyEngine


@dataclasses.dataclass(frozen=True)
class Server:
    """One server's settings, data, memory, model and manners; its `id` is Discord's."""

    config: Config
    connection: sqlite3.Connection
    engine: AnyEngine
    recall: Recall
    writer: Writer
    answerer: Handler

    @property
    def id(self) -> int:
        return self.config.server_id

    def serves(self, channel: discord.abc.Snowflake) -> bool:
        """Whether this is one of the channels to read and talk in, or a thread of one."""
        chosen = self.config.channel_ids
        return not chosen or bool({channel.id, getattr(channel, "parent_id", None)} & chosen)


Servers = Mapping[int, Server]  # by their ids; the first is that of `.env`


def open_server(config: Config, connection: sqlite3.Connection, engine: AnyEngine) -> Server:
    """Put together what serves one server."""
    recall = Recall(engine, config.database_path, config.embeddings_dir)
    writer = Writer(connection, engine, recall, config.application_id)
    answerer = Handler(
        connection,
        engine,
        writer,
        config.application_id,
        speaking_policy.load(config.participation_path),
        cache_seconds=config.response_cache_seconds,
    )
    return Server(config, connection, engine, recall, writer, answerer)
