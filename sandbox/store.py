"""The sandbox's memory: one SQLite file, written by one thread, surviving a killed process.

Objects are kept as the JSON that the API returns, beside the columns that lists filter by.
What the sandbox must know and Stripe would not show (a test card's behaviour, a pending
challenge) is kept in `hidden`.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

Json = dict[str, Any]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS object (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    account TEXT NOT NULL,
    kind TEXT NOT NULL,
    created INTEGER NOT NULL,
    customer TEXT,
    payment_intent TEXT,
    charge TEXT,
    type TEXT,
    body TEXT NOT NULL,
    hidden TEXT NOT NULL DEFAULT '{}'
);
DROP INDEX IF EXISTS object_by_kind;
DROP INDEX IF EXISTS object_by_type;
CREATE INDEX IF NOT EXISTS object_by_creation ON object (account, kind, created, seq);
CREATE INDEX IF NOT EXISTS object_by_type_and_creation ON object (account, kind, type, created, seq)
    WHERE type IS NOT NULL;
CREATE INDEX IF NOT EXISTS object_by_intent ON object (payment_intent, kind) WHERE payment_intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS object_by_charge ON object (charge, kind) WHERE charge IS NOT NULL;
CREATE INDEX IF NOT EXISTS object_by_customer ON object (customer, kind) WHERE customer IS NOT NULL;
CREATE TABLE IF NOT EXISTS searchable (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL,
    account TEXT NOT NULL,
    visible_at REAL NOT NULL,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS searchable_by_id ON searchable (id, visible_at);
CREATE TABLE IF NOT EXISTS idempotency (
    account TEXT NOT NULL,
    key TEXT NOT NULL,
    path TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created REAL NOT NULL,
    request_id TEXT NOT NULL,
    status INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY (account, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS later (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    due REAL NOT NULL,
    account TEXT NOT NULL,
    action TEXT NOT NULL,
    object_id TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS later_by_due ON later (due);
CREATE UNIQUE INDEX IF NOT EXISTS later_payout ON later (account, object_id) WHERE action = 'pay_out';
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    event TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    first_due REAL NOT NULL,
    due REAL NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS delivery_by_due ON delivery (due);
CREATE INDEX IF NOT EXISTS delivery_by_event ON delivery (event);
CREATE TABLE IF NOT EXISTS mail (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    recipient TEXT NOT NULL COLLATE NOCASE,
    body TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS mail_by_recipient ON mail (recipient, seq);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_DATA_TABLES = ("object", "searchable", "idempotency", "later", "delivery", "mail")


class Store:
    """Every method is to be called from the thread that made the store."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        # WAL without a flush per commit: a killed process loses nothing, a power cut may.
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.execute("PRAGMA synchronous = NORMAL")
        self.connection.execute("PRAGMA wal_autocheckpoint = 4000")
        self.connection.executescript(_SCHEMA)

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside is kept, or nothing where it raises."""
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """A part of a transaction that can be undone alone."""
        self.connection.execute("SAVEPOINT part")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK TO part")
            raise
        finally:
            self.connection.execute("RELEASE part")

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.connection.execute(sql, values).fetchall()

    def run(self, sql: str, *values: Any) -> None:
        self.connection.execute(sql, values)

    def setting(self, name: str) -> str | None:
        rows = self.rows("SELECT value FROM setting WHERE name = ?", name)
        return rows[0][0] if rows else None

    def set_setting(self, name: str, value: str) -> None:
        self.run("INSERT OR REPLACE INTO setting VALUES (?, ?)", name, value)

    def next_due(self, table: str) -> float | None:
        due: float | None = self.rows(f"SELECT min(due) FROM {table}")[0][0]
        return due

    def shift_times(self, seconds: float) -> None:
        """Move what waits along with a clock that is set, lest it wait for a time long past or far ahead."""
        self.run("UPDATE delivery SET first_due = first_due + ?1, due = due + ?1", seconds)
        self.run("UPDATE later SET due = due + ?", seconds)
        self.run("UPDATE idempotency SET created = created + ?", seconds)
        self.run("UPDATE searchable SET visible_at = visible_at + ?", seconds)

    def forget_data(self) -> None:
        for table in _DATA_TABLES:
            self.run(f"DELETE FROM {table}")


def encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def decode(text: str) -> Json:
    decoded: Json = msgspec.json.decode(text)
    return decoded
