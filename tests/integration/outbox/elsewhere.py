"""A log as it looks once its dump was restored into another cluster, a million transactions behind."""

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_LATER = "CAST(CAST(CAST(CAST({xid} AS text) AS bigint) + 1000000 AS text) AS xid8)"


def _moved(snapshot: str) -> str:
    end = f"CAST({_LATER.format(xid=f'pg_snapshot_xmax({snapshot})')} AS text)"
    return f"system_identifier = 1, {snapshot} = CAST({end} || ':' || {end} || ':' AS pg_snapshot)"


async def restore_elsewhere(engine: AsyncEngine) -> None:
    """Rows and cursors speak of another system's transactions from here; nothing must be open."""
    async with engine.begin() as connection:
        await connection.execute(text(f"UPDATE shop.outbox_event SET xid = {_LATER.format(xid='xid')}"))
        await connection.execute(text(f"UPDATE shop.outbox_cursor SET {_moved('base')}"))
        await connection.execute(text(f"UPDATE shop.outbox_baseline SET {_moved('snapshot')}"))
