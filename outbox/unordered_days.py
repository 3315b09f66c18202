"""How an unordered inbox forgets its oldest days."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from outbox.database import transaction
from outbox.partitions import Dropped, expired, frozen, lock_whole, reported
from outbox.unordered_sql import TELLS_TIME, UnorderedSql

_MOVED = "inbox_event_moved"  # a temporary table


async def forget_days(engine: AsyncEngine, schema: str, sql: UnorderedSql, *, retention_days: int) -> Dropped:
    """See UnorderedInbox.drop_partitions."""
    table = f"{schema}.inbox_event"
    names = await expired(engine, table, retention_days=retention_days)
    # Committed before any id is gone: whoever waits for the table while a day is dropped sees it afterwards.
    async with transaction(engine) as connection:
        await connection.execute(sql.move_horizon, {"days": retention_days})
    result = Dropped()
    for name in names:
        async with reported(result, name), frozen(engine, f"{schema}.{name}") as connection:
            await connection.execute(
                text(
                    f"""
                    CREATE TEMPORARY TABLE {_MOVED} ON COMMIT DROP AS
                    SELECT * FROM {schema}.{name}
                    WHERE done_at IS NULL OR NOT {TELLS_TIME.format(id="id")}
                    """
                )
            )
            await lock_whole(connection, table)
            await connection.execute(text(f"SELECT {schema}.inbox_event_drop_day(:name)"), {"name": name})
            # No partition is for them any more, so they go to the default one.
            await connection.execute(text(f"INSERT INTO {table} SELECT * FROM {_MOVED}"))
    async with transaction(engine) as connection:
        await connection.execute(sql.forget_in_default)
    return result
