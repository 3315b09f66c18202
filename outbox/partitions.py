"""The log's days: made ahead, and dropped once everybody has read them.

A day is dropped by what its readers have seen, never by its age alone: a transaction that was open for
long may have written into it after every reader had passed that position. Dropping needs the whole log
for a moment. It asks for a fifth of a second, since writers queue behind the request, and leaves the
day to the next call where somebody holds the log for longer. (DETACH CONCURRENTLY, which would not ask,
is refused by PostgreSQL beside a default partition.)
"""

import logging
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from outbox.baseline import readers_of
from outbox.database import sqlstate_of, transaction

logger = logging.getLogger(__name__)

# The day's own partition, which is written to no more: only another call for the same day waits behind it.
FREEZING = {"lock_timeout": "2s", "statement_timeout": "60s", "enable_seqscan": "off", "jit": "off"}
_DROPPING = text("SET LOCAL lock_timeout = '200ms'")

_LOCK_NOT_GRANTED = {"55P03", "40P01"}  # lock_not_available, deadlock_detected
_GONE = "42P01"  # undefined_table: another process dropped it first


class PartitionKept(Exception):
    """The partition must not be dropped yet; the message says who needs it."""


@dataclass(slots=True)
class Dropped:
    """What one call did: partitions by name, those kept with the reason."""

    dropped: list[str] = field(default_factory=list)
    kept: dict[str, str] = field(default_factory=dict)


async def ensure_partitions(connection: AsyncConnection, schema: str, *, days_ahead: int) -> None:
    """See Outbox.ensure_partitions."""
    await connection.execute(text(f"SELECT {schema}.outbox_make_partitions(:days)"), {"days": days_ahead})
    overflow = await connection.scalar(text(f"SELECT EXISTS (SELECT FROM {schema}.outbox_event_default)"))
    if overflow:
        logger.error("the default partition of %s.outbox_event is in use", schema)


async def drop_partitions(
    engine: AsyncEngine, schema: str, *, retention_days: int, consumers: Collection[str]
) -> Dropped:
    """See Outbox.drop_partitions."""
    log = f"{schema}.outbox_event"
    result = Dropped()
    for name in await expired(engine, log, retention_days=retention_days):
        async with reported(result, name), frozen(engine, f"{schema}.{name}") as connection:
            await _check_begun(connection, schema, consumers)
            await _check_readers(connection, schema, name)
            await lock_whole(connection, log)
            # Last, for a comparison that was under way may have found something missing.
            await _check_gaps(connection, schema, name)
            await connection.execute(text(f"SELECT {schema}.outbox_event_drop_day(:name)"), {"name": name})
    return result


async def expired(engine: AsyncEngine, table: str, *, retention_days: int) -> list[str]:
    """The table's partitions of days (UTC) that ended at least so many days ago, oldest first."""
    if retention_days < 1:
        raise ValueError("a log keeps at least one day")
    async with transaction(engine) as connection:
        names = await connection.scalars(
            text(
                """
                SELECT child.relname FROM pg_inherits AS i
                JOIN pg_class AS child ON child.oid = i.inhrelid
                JOIN pg_class AS parent ON parent.oid = i.inhparent
                WHERE i.inhparent = to_regclass(:table)
                    AND child.relname ~ ('^' || parent.relname || '_[0-9]{8}$')
                    AND right(child.relname, 8) < to_char(
                        CAST(clock_timestamp() AT TIME ZONE 'UTC' AS date) - CAST(:days AS integer), 'YYYYMMDD'
                    )
                ORDER BY child.relname
                """
            ),
            {"table": table, "days": retention_days},
        )
        return list(names)


@asynccontextmanager
async def reported(result: Dropped, name: str) -> AsyncIterator[None]:
    """Tells what became of this partition; one that must wait does not hold up the next."""
    try:
        yield
    except PartitionKept as kept:
        result.kept[name] = str(kept)
        logger.warning("partition %s is kept beyond its retention: %s", name, kept)
    except DBAPIError as error:
        code = sqlstate_of(error)
        if code == _GONE:
            return
        if code not in _LOCK_NOT_GRANTED:
            raise
        result.kept[name] = "its lock was not granted in time"
        logger.info("partition %s is dropped next time: its lock was not granted", name)
    else:
        result.dropped.append(name)
        logger.info("partition %s is dropped", name)


@asynccontextmanager
async def frozen(engine: AsyncEngine, partition: str) -> AsyncIterator[AsyncConnection]:
    """A transaction in which nobody else writes to this partition; readers and other days go on."""
    async with transaction(engine, **FREEZING) as connection:
        await connection.execute(text(f"LOCK TABLE {partition} IN SHARE ROW EXCLUSIVE MODE"))
        yield connection


async def lock_whole(connection: AsyncConnection, table: str) -> None:
    """Wait for everybody who uses the table, and let nobody in until the transaction ends."""
    await connection.execute(_DROPPING)
    await connection.execute(text(f"LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE"))


async def _check_begun(connection: AsyncConnection, schema: str, consumers: Collection[str]) -> None:
    """Raises PartitionKept where anti-entropy has never compared one of these consumers with the log."""
    readers = {reader: consumer for consumer in consumers for reader in readers_of(consumer)}
    begun = await connection.scalars(
        text(f"SELECT DISTINCT publisher FROM {schema}.outbox_lane WHERE publisher = ANY (:readers)"),
        {"readers": list(readers)},
    )
    for reader in begun:
        del readers[reader]
    if readers:
        raise PartitionKept(f"never compared with {', '.join(sorted(set(readers.values())))}")


async def _check_readers(connection: AsyncConnection, schema: str, name: str) -> None:
    """Raises PartitionKept unless each reader has, in each lane, seen all that the partition holds.

    Any entry of a cursor proves it, not only the newest: a sweep starts again from the beginning, and
    what it had compared before stays compared. Rows that came with a dump of another cluster carry
    that cluster's transaction ids; they have been read once no part of them is being read any more.
    """
    behind = await connection.scalars(
        text(
            f"""
            SELECT DISTINCT l.publisher FROM {schema}.outbox_lane AS l
            WHERE NOT EXISTS (
                SELECT FROM {schema}.outbox_cursor AS c
                WHERE c.publisher = l.publisher AND c.lane = l.lane AND c.restored_base IS NULL
                    AND c.system_identifier = (SELECT system_identifier FROM pg_control_system())
                    AND NOT EXISTS (
                        SELECT FROM {schema}.{name} AS e
                        WHERE e.lane = c.lane AND e.xid >= pg_snapshot_xmin(c.base)
                            AND NOT pg_visible_in_snapshot(e.xid, c.base)
                            AND e.position > c.restored_position
                    )
            )
            ORDER BY l.publisher
            """
        )
    )
    names = list(behind)
    if names:
        raise PartitionKept(f"not yet passed by {', '.join(names)}")
    nobody = text(
        f"SELECT EXISTS (SELECT FROM {schema}.{name}) AND NOT EXISTS (SELECT FROM {schema}.outbox_lane)"
    )
    if await connection.scalar(nobody):
        raise PartitionKept("no publisher has ever read this log")


async def _check_gaps(connection: AsyncConnection, schema: str, name: str) -> None:
    """Raises PartitionKept where a consumer lacks an event that only this partition can give it."""
    lacking = await connection.scalars(
        text(
            f"""
            SELECT DISTINCT g.consumer FROM {schema}.outbox_gap AS g
            WHERE EXISTS (SELECT FROM {schema}.{name} AS e WHERE e.lane::integer = g.lane AND e.position = g.position)
            ORDER BY g.consumer
            """
        )
    )
    names = list(lacking)
    if names:
        raise PartitionKept(f"holds events that {', '.join(names)} lacks")


async def retire_publisher(connection: AsyncConnection, schema: str, publisher: str) -> bool:
    """See Outbox.retire_publisher."""
    # Waits for whoever is at work in a lane, so that its last entry goes too.
    asked = {"publisher": publisher}
    lanes = await connection.execute(
        text(f"DELETE FROM {schema}.outbox_lane WHERE publisher = :publisher"), asked
    )
    await connection.execute(text(f"DELETE FROM {schema}.outbox_cursor WHERE publisher = :publisher"), asked)
    return lanes.rowcount > 0


async def retire_consumer(connection: AsyncConnection, schema: str, consumer: str) -> bool:
    """See Outbox.retire_consumer."""
    was_read = False
    for reader in readers_of(consumer):
        was_read |= await retire_publisher(connection, schema, reader)
    for table in ("outbox_gap", "outbox_marker", "outbox_baseline", "outbox_round"):
        await connection.execute(
            text(f"DELETE FROM {schema}.{table} WHERE consumer = :consumer"), {"consumer": consumer}
        )
    return was_read
