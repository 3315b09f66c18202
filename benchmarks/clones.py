"""One order that the real system has made and paid, many times over: in PostgreSQL, and in the sandbox's store.

Each clone has ids and times of its own; everything else is what the system writes, so that what reads it
later finds nothing that it would not find after so many real orders.
"""

import json
import re
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg

AT_ONCE = 2_000
APART = timedelta(seconds=25)
"""Between one order and the next: 100,000 in a month."""
TABLES = {
    "orders.orders": "order_id",
    "orders.history": "order_id",
    "orders.attempt": "order_id",
    "orders.inbox_stream": "stream",
    "payments.payment": "payment_id",
    "payments.operation": "payment_id",
    "payments.webhook_event": "payment_id",
    "payments.outbox_event": "stream",
}
"""Each with the column that says which rows are the order's or its payment's; the ledger is not compared here."""
_DRAWN = {"payments.outbox_event": {"xid", "position", "created_at"}}
"""Columns that the database draws anew, and the day of the log with them."""
_ID = re.compile(
    r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{4}[0-9a-f]{8}"  # a UUID
    r"|(?<![A-Za-z0-9])(?:[a-z]{2,4}_)?[A-Za-z0-9]{16,18}[A-Za-z0-9]{8}(?![A-Za-z0-9])"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)")
_EPOCH = re.compile(r"(?<=[:,\[ ])1[78]\d{8}(?=[,}\]])")
_SUFFIX, _WHEN, _SECONDS = "\x01", "\x02", "\x03"


@dataclass(frozen=True, slots=True)
class Clone:
    number: int
    made_at: datetime

    @property
    def suffix(self) -> str:
        return f"{self.number:08d}"

    def of(self, template: str) -> str:
        seconds = str(int(self.made_at.timestamp()))
        text = template.replace(_SUFFIX, self.suffix).replace(_WHEN, self.made_at.isoformat())
        return text.replace(_SECONDS, seconds)


def clones(count: int) -> list[Clone]:
    """Oldest first, the last of them an hour ago."""
    newest = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return [Clone(number, newest - (count - number) * APART) for number in range(1, count + 1)]


def template_of(text: str) -> str:
    """With a mark in the place of each id's last eight characters, and of each time."""
    text = _ID.sub(lambda found: found[0][:-8] + _SUFFIX, text)
    return _EPOCH.sub(_SECONDS, _TIME.sub(_WHEN, text))


async def clone_rows(
    connection: "asyncpg.Connection[Any]", order_id: str, payment_id: str, count: int
) -> None:
    # Their triggers and foreign keys were kept by the row that they are made of.
    await connection.execute("SET session_replication_role = replica")
    keys = [order_id, payment_id]
    for table, column in TABLES.items():
        rows = await connection.fetch(
            f"SELECT to_jsonb(t)::text AS row FROM {table} AS t WHERE {column} = ANY ($1::text[])", keys
        )
        for row in rows:
            await _clone_row(connection, table, row["row"], count)
        await connection.execute(f"ANALYZE {table}")


async def _clone_row(connection: "asyncpg.Connection[Any]", table: str, row: str, count: int) -> None:
    drawn = _DRAWN.get(table, set())
    values = {name: value for name, value in json.loads(row).items() if name not in drawn}
    names = ", ".join(values)
    taken = ", ".join(f"(made.row).{name}" for name in values)
    statement = f"""
        INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE
        SELECT {taken} FROM (
            SELECT jsonb_populate_record(NULL::{table}, text::jsonb) AS row FROM unnest($1::text[]) AS text
        ) AS made
    """
    template = template_of(json.dumps(values))
    for some in _parts(clones(count)):
        await connection.execute(statement, [clone.of(template) for clone in some])


def clone_objects(store: Path, count: int) -> None:
    """Every object of the sandbox's store that belongs to a payment, its events included."""
    connection = sqlite3.connect(store)
    found = connection.execute(
        "SELECT id, account, kind, created, customer, payment_intent, charge, type, body, hidden FROM object"
        " WHERE kind NOT IN ('webhook_endpoint', 'customer', 'payment_method') ORDER BY seq"
    ).fetchall()
    templates = [
        [template_of(value) if isinstance(value, str) and len(value) > 20 else value for value in row]
        for row in found
    ]
    with connection:
        for clone in clones(count):
            seconds = int(clone.made_at.timestamp())
            connection.executemany(
                "INSERT INTO object (id, account, kind, created, customer, payment_intent, charge, type, body, hidden)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    [seconds if at == _CREATED else _filled(clone, value) for at, value in enumerate(row)]
                    for row in templates
                ],
            )
    connection.execute("ANALYZE")
    connection.close()


_CREATED = 3
"""The place of the time in an object's row."""


def _filled(clone: Clone, value: Any) -> Any:
    return clone.of(value) if isinstance(value, str) else value


def _parts(all_of_them: Sequence[Clone]) -> Iterator[Sequence[Clone]]:
    return (all_of_them[first : first + AT_ONCE] for first in range(0, len(all_of_them), AT_ONCE))
