"""What the application's role may do, on real PostgreSQL: all that the application does, and no more."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg
import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import make_engine
from adapters.postgres.readiness import only_triggers_protect
from domain.shared.audit import canonical
from entrypoints.cli import main
from entrypoints.operating.protection import ProtectionCheck
from outbox import Outbox, UnorderedInbox
from tests.contract.repositories.test_audit_contract import an_entry
from tests.support.logs import restored
from tests.support.roles import application_url
from tests.support.vault import VAULT

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

APPEND_ONLY = """
    SELECT tgrelid::regclass::text AS name FROM pg_trigger WHERE tgname = 'append_only' ORDER BY 1
"""
TABLES = """
    SELECT c.oid::regclass::text AS name,
        array(SELECT p FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER']) AS p
            WHERE has_table_privilege('payonce_app', c.oid, p)) AS allowed
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname IN ('payments', 'orders', 'reconciliation') AND c.relkind IN ('r', 'p')
"""

_restored = pytest.fixture(autouse=True)(restored)


@pytest.fixture
async def owner(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(database_url)
    yield connection
    await connection.close()


@pytest.fixture
async def application(database_url: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(await application_url(database_url))
    yield connection
    await connection.close()


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = make_engine(await application_url(database_url), pool_size=4, application="test", vault=VAULT)
    yield engine
    await engine.dispose()


async def append_only_tables(connection: Connection) -> Sequence[str]:
    return [row["name"] for row in await connection.fetch(APPEND_ONLY)]


async def first_column(connection: Connection, table: str) -> str:
    name: str = await connection.fetchval(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum = 1", table
    )
    return name


async def test_what_is_append_only_is_read_and_added_to_and_nothing_else(
    owner: Connection, application: Connection
) -> None:
    tables = await append_only_tables(owner)
    assert {"payments.audit", "orders.audit"} <= set(tables)
    for table in tables:
        for statement in (
            "UPDATE {} SET {} = NULL",
            "DELETE FROM {}",
            "TRUNCATE {}",
            "ALTER TABLE {} DISABLE TRIGGER append_only",
            "ALTER TABLE {} DISABLE TRIGGER ALL",
            "DROP TRIGGER append_only ON {}",
            "DROP TABLE {}",
            "ALTER TABLE {} RENAME TO gone",
            "CREATE OR REPLACE FUNCTION {}_made() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "SET session_replication_role = replica",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await application.execute(statement.format(table, await first_column(owner, table)))
    for table in ("payments.audit", "orders.audit"):
        await application.execute(
            f"INSERT INTO {table} (entry) VALUES ($1::text::json)", canonical(an_entry())
        )
        assert await application.fetchval(f"SELECT position FROM {table}") == 1


async def test_every_other_table_is_the_applications_to_write(owner: Connection) -> None:
    append_only = await append_only_tables(owner)
    rows = await owner.fetch(TABLES)
    assert len(rows) > 20
    for row in rows:
        wanted = (
            ["SELECT", "INSERT"] if row["name"] in append_only else ["SELECT", "INSERT", "UPDATE", "DELETE"]
        )
        assert row["allowed"] == wanted, row["name"]


async def test_the_application_makes_and_drops_the_days_of_the_logs(
    owner: Connection, application: Connection, engine: AsyncEngine
) -> None:
    days = {"payments.outbox_event": "timestamptz", "orders.outbox_event": "timestamptz"}
    old = datetime.now(UTC).date() - timedelta(days=90)
    for table in days:
        await owner.execute(
            f"CREATE TABLE {table}_{old:%Y%m%d} PARTITION OF {table} "
            f"FOR VALUES FROM ('{old} 00:00+00') TO ('{old + timedelta(days=1)} 00:00+00')"
        )
    await owner.execute(
        f"CREATE TABLE orders.inbox_event_{old:%Y%m%d} PARTITION OF orders.inbox_event "
        f"FOR VALUES FROM (orders.inbox_first_id('{old}')) TO (orders.inbox_first_id('{old + timedelta(days=1)}'))"
    )

    async def carry_out(_event: object, /) -> None:
        raise AssertionError("nothing is there")

    inbox = UnorderedInbox("orders", "customer", carry_out)
    for schema in ("payments", "orders"):
        log = Outbox(schema)
        async with engine.begin() as connection:
            await log.ensure_partitions(connection, days_ahead=12)
        dropped = await log.drop_partitions(engine, retention_days=30, consumers=[])
        assert dropped.dropped == [f"outbox_event_{old:%Y%m%d}"]
    async with engine.begin() as connection:
        await inbox.ensure_partitions(connection, days_ahead=12)
    forgotten = await inbox.drop_partitions(engine, retention_days=30)
    assert forgotten.dropped == [f"inbox_event_{old:%Y%m%d}"]

    ahead = f"{datetime.now(UTC).date() + timedelta(days=12):%Y%m%d}"
    for table in ("payments.outbox_event", "orders.outbox_event", "orders.inbox_event"):
        assert await application.fetchval(f"SELECT count(*) FROM {table}_{ahead}") == 0
        assert await application.fetchval("SELECT to_regclass($1)", f"{table}_{old:%Y%m%d}") is None
        for name in (f"{table.partition('.')[2]}_{ahead}", "audit", "outbox_event_default; DROP TABLE audit"):
            with pytest.raises(asyncpg.RaiseError, match="is not a day"):
                await application.execute(f"SELECT {table}_drop_day($1)", name)


async def test_a_system_that_runs_as_the_owner_says_so(database_url: str, engine: AsyncEngine) -> None:
    as_owner = make_engine(database_url, pool_size=1, application="test")
    try:
        assert await only_triggers_protect(as_owner)
        assert not await only_triggers_protect(engine)
        assert "by triggers only" in (await ProtectionCheck([engine, as_owner])() or "")
        assert await ProtectionCheck([engine])() is None
        async with as_owner.begin() as connection:
            await connection.execute(text("GRANT UPDATE ON orders.audit TO payonce_app"))
        assert await only_triggers_protect(engine)
    finally:
        await as_owner.dispose()


async def test_migrate_works_as_the_owner_and_warns_where_the_application_is_the_same(
    empty_database_url: str, database_url: str
) -> None:
    async def migrated(**settings: str) -> str:
        result = await asyncio.to_thread(
            CliRunner().invoke, main, ["migrate"], env=settings, prog_name="payonce"
        )
        assert result.exit_code == 0, result.output
        return result.output

    both = {"PAYONCE_MIGRATION_DATABASE_URL": empty_database_url}
    both["PAYONCE_DATABASE_URL"] = await application_url(empty_database_url)
    assert "append_only_by_triggers" not in await migrated(**both)
    connection = await asyncpg.connect(both["PAYONCE_DATABASE_URL"])
    assert await connection.fetchval("SELECT count(*) FROM orders.orders") == 0
    await connection.close()
    assert "append_only_by_triggers" in await migrated(PAYONCE_DATABASE_URL=database_url)
