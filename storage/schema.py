"""The shape of the SQLite file, as an ordered list of migrations."""

import sqlite3

APPLICATION_ID = 0x44504231  # "DPB1"

MIGRATIONS = [
    """
    CREATE TABLE channels (
        channel_id INTEGER PRIMARY KEY,
        parent_id INTEGER,
        name TEXT NOT NULL,
        kind TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'forbidden', 'gone')),
        fetched_through INTEGER NOT NULL DEFAULT 0,
        fetched_at REAL
    ) STRICT;

    CREATE TABLE users (
        user_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL
    ) STRICT;

    CREATE TABLE messages (
        message_id INTEGER PRIMARY KEY,
        channel_id INTEGER NOT NULL,
        author_id INTEGER NOT NULL,
        author_kind TEXT NOT NULL CHECK (author_kind IN ('member', 'bot', 'webhook', 'self')),
        kind INTEGER NOT NULL,
        content TEXT NOT NULL,
        reply_to INTEGER,
        mentions TEXT NOT NULL DEFAULT '[]',
        attachments TEXT NOT NULL DEFAULT '[]',
        edited_at REAL,
        deleted_at REAL
    ) STRICT;
    CREATE INDEX messages_by_channel ON messages (channel_id, message_id);
    CREATE INDEX messages_by_author ON messages (author_id);

    CREATE TABLE reactions (
        message_id INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        count INTEGER NOT NULL CHECK (count > 0),
        PRIMARY KEY (message_id, emoji)
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE excluded_users (
        user_id INTEGER PRIMARY KEY,
        excluded_at REAL NOT NULL,
        excluded_by INTEGER,
        reason TEXT NOT NULL DEFAULT ''
    ) STRICT;

    CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE replies (
        message_id INTEGER PRIMARY KEY,
        trigger_id INTEGER NOT NULL,
        channel_id INTEGER NOT NULL,
        model TEXT NOT NULL,
        seconds REAL NOT NULL,
        sent_at REAL NOT NULL
    ) STRICT;
    CREATE INDEX replies_by_time ON replies (sent_at);

    CREATE TABLE heartbeats (
        process TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        started_at REAL NOT NULL,
        beat_at REAL NOT NULL,
        memory_mb REAL NOT NULL,
        model TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE embeddings (
        message_id INTEGER PRIMARY KEY,
        embedder TEXT NOT NULL,
        vector BLOB NOT NULL
    ) STRICT;

    CREATE TABLE models (
        name TEXT PRIMARY KEY,
        path TEXT NOT NULL,
        base TEXT NOT NULL,
        data_hash TEXT NOT NULL,
        metrics TEXT NOT NULL,
        created_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID;

    CREATE TABLE deployments (
        deployment_id INTEGER PRIMARY KEY,
        model TEXT NOT NULL REFERENCES models (name),
        deployed_at REAL NOT NULL
    ) STRICT;

    CREATE TABLE confirmations (
        confirmed_at REAL NOT NULL,
        statement TEXT NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE consents (
        user_id INTEGER PRIMARY KEY,
        is_given INTEGER NOT NULL CHECK (is_given IN (0, 1)),
        decided_at REAL NOT NULL
    ) STRICT;

    ALTER TABLE models ADD COLUMN erased_people INTEGER NOT NULL DEFAULT 0;
    """,
    """
    CREATE TABLE trimmed (
        message_id INTEGER PRIMARY KEY
    ) STRICT;
    """,
    """
    CREATE TABLE judgements (
        reply_id INTEGER PRIMARY KEY,
        verdict TEXT NOT NULL CHECK (verdict IN ('good', 'bad')),
        judged_at REAL NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE explanations (
        reply_id INTEGER PRIMARY KEY,
        reason TEXT NOT NULL,
        probability REAL NOT NULL,
        context_count INTEGER NOT NULL,
        recalled_count INTEGER NOT NULL,
        sampling TEXT NOT NULL
    ) STRICT;

    CREATE TABLE quiet (
        channel_id INTEGER PRIMARY KEY,
        until REAL
    ) STRICT;

    CREATE TABLE requests (
        request_id INTEGER PRIMARY KEY AUTOINCREMENT,
        step TEXT NOT NULL CHECK (step IN ('fetch', 'train', 'deploy')),
        argument TEXT NOT NULL,
        channel_id INTEGER NOT NULL,
        answer_id INTEGER NOT NULL,
        asked_at REAL NOT NULL,
        is_told INTEGER NOT NULL DEFAULT 0 CHECK (is_told IN (0, 1))
    ) STRICT;

    CREATE TABLE request_progress (
        request_id INTEGER PRIMARY KEY,
        state TEXT NOT NULL CHECK (state IN ('running', 'done', 'failed')),
        text TEXT NOT NULL,
        changed_at REAL NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE deleted_replies (
        message_id INTEGER PRIMARY KEY,
        trigger_id INTEGER NOT NULL,
        content TEXT NOT NULL
    ) STRICT;
    CREATE INDEX deleted_replies_by_trigger ON deleted_replies (trigger_id);
    """,
    """
    CREATE TABLE embedders (
        embedder_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        dimension INTEGER NOT NULL CHECK (dimension > 0),
        UNIQUE (name, sha256, dimension)
    ) STRICT;

    DROP TABLE embeddings;
    CREATE TABLE embeddings (
        message_id INTEGER PRIMARY KEY,
        embedder_id INTEGER NOT NULL REFERENCES embedders (embedder_id),
        vector BLOB NOT NULL
    ) STRICT;
    """,
    """
    CREATE TABLE shadow (
        trigger_id INTEGER PRIMARY KEY,
        channel_id INTEGER NOT NULL,
        reason TEXT NOT NULL,
        probability REAL NOT NULL,
        texts TEXT NOT NULL,
        model TEXT NOT NULL,
        seconds REAL NOT NULL,
        written_at REAL NOT NULL
    ) STRICT;
    """,
]


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the file up to the newest version, in one transaction.

    Raises `ValueError` when the file was written by a newer release; it is left untouched.
    """
    if connection.execute("PRAGMA user_version").fetchone()[0] == len(MIGRATIONS):
        return  # without waiting for whoever writes
    connection.execute("BEGIN IMMEDIATE")  # a second process that starts now waits for this one
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise ValueError(f"it has schema {version} and this release knows {len(MIGRATIONS)}")
        for script in MIGRATIONS[version:]:
            for statement in script.split(";"):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
