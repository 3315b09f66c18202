"""Migrations on real PostgreSQL: they make what the packages' own ddl() makes, and lose no row."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
import pytest

from adapters.postgres.idempotency import idempotency_ddl
from entrypoints.local import postgres
from entrypoints.local.postgres import EmbeddedPostgres
from outbox import Outbox
from outbox.ordered_sql import ordered_ddl
from outbox.unordered_sql import unordered_ddl
from tests.support.database import migrate
from tests.support.postgres import create_database, drop_database

OURS = ("outbox_", "inbox_", "idempotency_")
DATED = re.compile(r"_\d{8}")


@pytest.fixture
async def other_database_url(postgres_server: EmbeddedPostgres) -> AsyncIterator[str]:
    url = await create_database(postgres_server)
    yield url
    await drop_database(postgres_server, url)


def schema_of(url: str) -> dict[str, str]:
    """What pg_dump says of each object of the packages', by its name; the days' partitions aside."""
    dump = subprocess.run(
        [postgres._binaries() / "pg_dump", "--schema-only", "--no-owner", url],
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    objects: dict[str, str] = {}
    for block in dump.split("\n--\n-- Name: ")[1:]:
        name, _, body = block.partition("\n--\n")
        if name.startswith(OURS) and not DATED.search(name):
            objects[name] = re.sub(
                r"^(\\(un)?restrict |--|SET default_).*$", "", body, flags=re.MULTILINE
            ).strip()
    return objects


async def test_migrations_and_ddl_make_the_same_schema(
    empty_database_url: str, other_database_url: str
) -> None:
    await asyncio.to_thread(migrate, empty_database_url)
    connection = await asyncpg.connect(other_database_url)
    for schema in ("payments", "orders"):
        await connection.execute(f"CREATE SCHEMA {schema}")
        for statement in [*Outbox(schema).ddl(), *idempotency_ddl(schema)]:
            await connection.execute(statement)
    for statement in [*ordered_ddl("orders"), *unordered_ddl("orders")]:
        await connection.execute(statement)
    await connection.close()

    migrated, made = schema_of(empty_database_url), schema_of(other_database_url)
    assert any("outbox_make_partitions" in name and "FUNCTION" in name for name in made)
    assert sorted(migrated) == sorted(made)
    assert migrated == made


def uuid7(at: datetime) -> UUID:
    """An id of version 7 made at that time."""
    milliseconds = int(at.timestamp() * 1000)
    rest = uuid4().int & ((1 << 80) - 1)
    return UUID(int=(milliseconds << 80 | rest) & ~(0xF << 76) | (0x7 << 76))


async def rows(connection: asyncpg.Connection, table: str) -> list[str]:
    return sorted(row[0] for row in await connection.fetch(f"SELECT to_jsonb(t)::text FROM {table} AS t"))


OLD_STORE = """
    INSERT INTO orders.inbox_event (consumer, id, topic, stream, sequence, type, payload, headers)
    VALUES ('effects', $1, 'order.effects', 'o1', NULL, 'Notify', '{"n": 1}', '{}')
    ON CONFLICT DO NOTHING RETURNING id
"""


async def test_the_second_migration_keeps_every_row(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    now = datetime.now(UTC)
    ids = [uuid7(now - timedelta(days=days)) for days in (0, 1, 29, 400, -2, -30)] + [uuid4()]
    connection = await asyncpg.connect(empty_database_url)
    try:
        for event_id in ids:
            await connection.execute(OLD_STORE, event_id)
        await connection.execute(
            "UPDATE orders.inbox_event SET done_at = now(), due_at = NULL, payload = NULL WHERE id = $1",
            ids[1],
        )
        await connection.execute(
            "UPDATE orders.inbox_event SET parked_at = now(), due_at = NULL, attempts = 10, cause = 'no' "
            "WHERE id = $1",
            ids[2],
        )
        await connection.execute(
            "INSERT INTO payments.outbox_event (id, topic, stream, sequence, lane, type, payload, headers) "
            "VALUES ($1, 'payment.events', 'p1', 1, 3, 'PaymentSucceeded', '{}', '{}')",
            ids[0],
        )
        await connection.execute(
            "INSERT INTO orders.inbox_stream (consumer, stream, applied) VALUES ('orders', 'p1', 7)"
        )
        tables = ("orders.inbox_event", "payments.outbox_event", "orders.inbox_stream")
        before = {table: await rows(connection, table) for table in tables}

        await asyncio.to_thread(migrate, empty_database_url)

        await connection.reload_schema_state()
        after = {table: await rows(connection, table) for table in tables}
        assert after == before
        assert len(before["orders.inbox_event"]) == 7

        # A worker of the release before goes on: it knows its repeats, and stores what is new.
        for event_id in ids:
            assert await connection.fetchval(OLD_STORE, event_id) is None
        assert await connection.fetchval(OLD_STORE, uuid7(now)) is not None
    finally:
        await connection.close()


OLD_PAYMENT = """
    INSERT INTO payments.payment (payment_id, order_id, amount, currency, capture_method, gateway, intent_id, status,
        amount_capturable, amount_captured, amount_refunded, amount_refunding, operation_unknown, sequence,
        version, created_at, updated_at)
    VALUES ($1, $1, 1000, 'EUR', 'AUTOMATIC', $2, $3, 'SUCCEEDED', 0, 0, 0, 0, false, 0, 1, now(), now())
"""
OLD_OPERATION = """
    INSERT INTO payments.operation (operation_id, payment_id, kind, request, status, checks, payment_version,
        created_at, next_check_at)
    VALUES ($1, $1, 'CREATE', '{}', 'STARTED', 0, 1, now(), now())
"""
OLD_WEBHOOK = """
    INSERT INTO payments.webhook_event (event_id, type, created_at, received_at, body)
    VALUES ($1, 'refund.created', now(), now(), '') ON CONFLICT DO NOTHING RETURNING event_id
"""


async def test_the_accounts_migration_gives_what_is_there_to_the_one_account_there_was(
    empty_database_url: str,
) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0002")
    connection = await asyncpg.connect(empty_database_url)
    try:
        await connection.execute(OLD_PAYMENT, "p1", "stripe", "pi_1")
        await connection.execute(OLD_OPERATION, "p1")
        assert await connection.fetchval(OLD_WEBHOOK, "evt_1") == "evt_1"

        await asyncio.to_thread(migrate, empty_database_url, "0003")

        await connection.reload_schema_state()
        # A process of the release before goes on, and knows its repeats.
        await connection.execute(OLD_PAYMENT, "p2", "stripe", "pi_2")
        await connection.execute(OLD_OPERATION, "p2")
        assert await connection.fetchval(OLD_WEBHOOK, "evt_1") is None
        assert await connection.fetchval(OLD_WEBHOOK, "evt_2") == "evt_2"
        for table in ("operation", "webhook_event"):
            gateways = await connection.fetch(f"SELECT gateway FROM payments.{table}")
            assert [row["gateway"] for row in gateways] == ["stripe", "stripe"]
        await connection.execute(OLD_PAYMENT, "p3", "other", "pi_1")
        with pytest.raises(asyncpg.UniqueViolationError):
            await connection.execute(OLD_PAYMENT, "p4", "stripe", "pi_1")
    finally:
        await connection.close()


async def test_a_migration_gives_up_where_a_lock_is_not_granted(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0001")
    connection = await asyncpg.connect(empty_database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE orders.inbox_event IN ACCESS SHARE MODE")
            with pytest.raises(Exception, match="lock timeout"):
                await asyncio.to_thread(migrate, empty_database_url)
        await asyncio.to_thread(migrate, empty_database_url)
    finally:
        await connection.close()


async def test_payments_that_waited_before_are_looked_at(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0010")
    connection = await asyncpg.connect(empty_database_url)
    try:
        for status, lapse in (("REQUIRES_CAPTURE", "now()"), ("PROCESSING", "NULL"), ("SUCCEEDED", "NULL")):
            await connection.execute(
                f"""
                INSERT INTO payments.payment (payment_id, order_id, amount, currency, capture_method, gateway,
                    status, amount_capturable, amount_captured, amount_refunded, amount_refunding,
                    operation_unknown, sequence, version, created_at, updated_at, capture_before)
                VALUES ($1, $1, 1000, 'EUR', 'MANUAL', 'stripe', $1, 0, 0, 0, 0, false, 0, 1, now(), now(), {lapse})
                """,
                status,
            )
        await asyncio.to_thread(migrate, empty_database_url)
        rows = await connection.fetch("SELECT status FROM payments.payment WHERE check_at IS NOT NULL")
        assert {row["status"] for row in rows} == {"REQUIRES_CAPTURE", "PROCESSING"}
    finally:
        await connection.close()


async def test_attentions_of_before_and_of_the_release_before_are_kept(empty_database_url: str) -> None:
    await asyncio.to_thread(migrate, empty_database_url, "0020")
    connection = await asyncpg.connect(empty_database_url)

    async def attentions(order_id: str) -> tuple[str | None, list[str]]:
        row = await connection.fetchrow(
            "SELECT attention, attentions::text FROM orders.orders WHERE order_id = $1", order_id
        )
        assert row is not None
        return row["attention"], json.loads(row["attentions"])

    try:
        for order_id, attention in (("before", "REFUND_FAILED"), ("quiet", None)):
            await connection.execute(OLD_ORDER, order_id, attention)

        await asyncio.to_thread(migrate, empty_database_url)

        assert await attentions("before") == ("REFUND_FAILED", ["REFUND_FAILED"])
        assert await attentions("quiet") == (None, [])
        # The release before goes on: it knows the first alone, and what stands behind it stays.
        await connection.execute(OLD_ORDER, "new", "DISPUTED")
        assert await attentions("new") == ("DISPUTED", ["DISPUTED"])
        both = '["DISPUTED", "REFUND_FAILED"]'
        await connection.execute("UPDATE orders.orders SET attention = 'DISPUTED', attentions = $1", both)
        for order_id, attention, after in (
            ("before", None, ["REFUND_FAILED"]),
            ("quiet", "DISPUTE_LOST", ["DISPUTE_LOST", "REFUND_FAILED"]),
            ("new", "REFUND_FAILED", ["REFUND_FAILED"]),
        ):
            await connection.execute(
                "UPDATE orders.orders SET attention = $2 WHERE order_id = $1", order_id, attention
            )
            assert (await attentions(order_id))[1] == after
    finally:
        await connection.close()


OLD_ORDER = """
    INSERT INTO orders.orders (order_id, currency, status, attention, shipping_amount, total_amount, amount_paid,
        amount_refunded, lines, metadata, payments, version, created_at, updated_at)
    VALUES ($1, 'EUR', 'PAID', $2, 0, 1000, 1000, 0, '[]', '{}', '[]', 1, now(), now())
"""
