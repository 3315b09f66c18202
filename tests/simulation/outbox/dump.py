"""The producer's tables as a dump holds them, and what restoring it into another cluster does to them.

The rows come back as they were, but the transaction ids in them are another cluster's: here all of them are
moved by an offset, which leads to the same (tests/integration/outbox/test_restored_dump.py does it with a
second cluster). A large offset puts them far into the future, a small one lets the new cluster's counter run
through them, none is a cluster that is ahead.
"""

import itertools

import asyncpg

TABLES = (
    "public.fact",
    "public.counter",
    "shop.outbox_event",
    "shop.outbox_cursor",
    "shop.outbox_gap",
    "shop.outbox_marker",
)
SNAPSHOTS = ("base", "target", "restored_base")
POSITIONS = "shop.outbox_event_position"

_systems = itertools.count(1)


class Dump:
    """Taken once, to be loaded any number of times."""

    def __init__(self) -> None:
        self._schema = f"dump_{next(_systems)}"

    async def take(self, observer: asyncpg.Connection) -> None:
        async with observer.transaction(isolation="repeatable_read"):
            await observer.execute(f"CREATE SCHEMA {self._schema}")
            for table in TABLES:
                await observer.execute(f"CREATE TABLE {self._copy(table)} AS TABLE {table}")
            await observer.execute(
                f"CREATE TABLE {self._schema}.sequence AS SELECT last_value FROM {POSITIONS}"
            )

    async def load(self, observer: asyncpg.Connection, offset: int) -> None:
        async with observer.transaction():
            for table in TABLES:
                await observer.execute(f"TRUNCATE {table}")
                await observer.execute(f"INSERT INTO {table} SELECT * FROM {self._copy(table)}")
            await observer.execute(f"SELECT setval('{POSITIONS}', last_value) FROM {self._schema}.sequence")
            await observer.execute(
                f"UPDATE shop.outbox_event SET xid = (xid::text::bigint + {offset})::text::xid8"
            )
            await self._move_cursors(observer, offset)

    async def _move_cursors(self, observer: asyncpg.Connection, offset: int) -> None:
        columns = ", ".join(f"{name}::text" for name in SNAPSHOTS)
        for row in await observer.fetch(f"SELECT publisher, lane, entry, {columns} FROM shop.outbox_cursor"):
            await observer.execute(
                "UPDATE shop.outbox_cursor SET system_identifier = $4, base = $5::text::pg_snapshot,"
                " target = $6::text::pg_snapshot, restored_base = $7::text::pg_snapshot"
                " WHERE publisher = $1 AND lane = $2 AND entry = $3",
                row["publisher"],
                row["lane"],
                row["entry"],
                -next(_systems),
                *(moved(row[name], offset) for name in SNAPSHOTS),
            )

    def _copy(self, table: str) -> str:
        return f"{self._schema}.{table.split('.')[1]}"


def moved(snapshot: str | None, offset: int) -> str | None:
    """The snapshot with all its transaction ids moved, but one from before all time."""
    if snapshot is None or snapshot == "1:1:":
        return snapshot
    xmin, xmax, open_ones = snapshot.split(":")
    ids = ",".join(str(int(xid) + offset) for xid in open_ones.split(",") if xid)
    return f"{int(xmin) + offset}:{int(xmax) + offset}:{ids}"
