"""Where Alembic connects: as the owner, with `PAYONCE_MIGRATION_DATABASE_URL`, else `PAYONCE_DATABASE_URL`.

Our own code hands it a URL instead."""

import asyncio
import os

from alembic import context
from sqlalchemy import Connection, pool, text
from sqlalchemy.ext.asyncio import create_async_engine

from adapters.postgres.engine import UNPREPARED
from adapters.postgres.migrations.roles import grant

LOCK_SECONDS = 5
"""A migration that waits longer for a lock gives up, rather than queue the whole service behind it."""

_MIGRATION_LOCK = 7_203_118_524


def _url() -> str:
    url = (
        context.config.attributes.get("url")
        or os.environ.get("PAYONCE_MIGRATION_DATABASE_URL")
        or os.environ.get("PAYONCE_DATABASE_URL")
    )
    if not url:
        raise SystemExit("PAYONCE_DATABASE_URL is not set: it names the database to migrate.")
    return str(url).replace("postgresql://", "postgresql+asyncpg://", 1)


def _migrate(connection: Connection) -> None:
    context.configure(connection=connection, transaction_per_migration=False)
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'"))
        context.run_migrations()
        grant(connection)


async def _run() -> None:
    engine = create_async_engine(_url(), poolclass=pool.NullPool, connect_args=UNPREPARED)
    async with engine.connect() as connection:
        await connection.run_sync(_migrate)
        await connection.commit()
    await engine.dispose()


if context.is_offline_mode():
    raise SystemExit("Migrations run on a live database.")
asyncio.run(_run())
