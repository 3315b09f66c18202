"""What can be had at most: the same work written by hand on asyncpg, without any of the guarantees' code.

The work is "an inbox row inserted and an order row updated" for each event, and for the latency
a LISTEN/NOTIFY loop.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import stripe

from adapters.stripe.transport import Transport

CONNECTIONS = 4
BATCH = 500

_TABLES = """
    DROP SCHEMA IF EXISTS hand CASCADE;
    CREATE SCHEMA hand;
    CREATE TABLE hand.inbox (id uuid PRIMARY KEY);
    CREATE TABLE hand.orders (id bigint PRIMARY KEY, status text, amount bigint, payments jsonb);
"""
_UPDATE = "UPDATE hand.orders SET status = 'PAID', amount = $2, payments = $3 WHERE id = $1"
_PAYMENTS = '[{"payment_id": "pay_1", "status": "SUCCEEDED", "amount_captured": 1000}]'


async def one_per_transaction(url: str, count: int) -> float:
    """Events per second, one event in each transaction, on a few connections side by side."""
    pool = await _prepared(url, count)
    numbers = iter(range(count))

    async def work() -> None:
        async with pool.acquire() as connection:
            for number in numbers:
                async with connection.transaction():
                    await connection.execute(
                        "INSERT INTO hand.inbox VALUES ($1) ON CONFLICT DO NOTHING", uuid4()
                    )
                    await connection.execute(_UPDATE, number, 1000, _PAYMENTS)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - begun
    await pool.close()
    return count / seconds


async def in_batches(url: str, count: int) -> float:
    """Events per second, in transactions of 500 events, one statement of each kind."""
    pool = await _prepared(url, count)
    begun = time.perf_counter()
    async with pool.acquire() as connection:
        for first in range(0, count, BATCH):
            numbers = list(range(first, min(first + BATCH, count)))
            async with connection.transaction():
                await connection.execute(
                    "INSERT INTO hand.inbox SELECT unnest($1::uuid[]) ON CONFLICT DO NOTHING",
                    [uuid4() for _ in numbers],
                )
                await connection.execute(
                    """
                    UPDATE hand.orders AS o SET status = 'PAID', amount = 1000, payments = $2
                    FROM unnest($1::bigint[]) AS n (id) WHERE o.id = n.id
                    """,
                    numbers,
                    _PAYMENTS,
                )
    seconds = time.perf_counter() - begun
    await pool.close()
    return count / seconds


async def notified(url: str, pauses: Sequence[float]) -> list[float]:
    """Seconds from a commit to the effect's commit in a loop that LISTENs; one event after each pause."""
    pool = await _prepared(url, len(pauses))
    listener = await asyncpg.connect(url)
    told: asyncio.Queue[int] = asyncio.Queue()
    await listener.add_listener("hand", lambda *args: told.put_nowait(int(args[3])))
    latencies = []
    async with pool.acquire() as writer, pool.acquire() as worker:
        for number, pause in enumerate(pauses):
            await asyncio.sleep(pause)
            async with writer.transaction():
                await writer.execute("INSERT INTO hand.inbox VALUES ($1)", uuid4())
                await writer.execute("SELECT pg_notify('hand', $1)", str(number))
            begun = time.perf_counter()
            async with worker.transaction():
                await worker.execute(_UPDATE, await told.get(), 1000, _PAYMENTS)
            latencies.append(time.perf_counter() - begun)
    await listener.close()
    await pool.close()
    return latencies


async def _prepared(url: str, count: int) -> asyncpg.Pool:
    pool = await asyncpg.create_pool(url, min_size=CONNECTIONS, max_size=CONNECTIONS)
    await pool.execute(_TABLES)
    await pool.execute(
        "INSERT INTO hand.orders SELECT n, 'PENDING_PAYMENT', 0, '[]' FROM generate_series(0, $1 - 1) AS n",
        count,
    )
    return pool


_SHOP = """
    DROP SCHEMA IF EXISTS hand CASCADE;
    CREATE SCHEMA hand;
    CREATE TABLE hand.key (owner bytea, key text, answer bytea, PRIMARY KEY (owner, key));
    CREATE TABLE hand.orders (id text PRIMARY KEY, status text, lines jsonb, payments jsonb, amount bigint);
    CREATE TABLE hand.attempt (id text PRIMARY KEY, order_id text, status text);
    CREATE TABLE hand.payment (id text PRIMARY KEY, order_id text UNIQUE, intent text UNIQUE, status text);
    CREATE TABLE hand.operation (id text PRIMARY KEY, payment_id text, request jsonb, status text);
    CREATE TABLE hand.outbox (id uuid PRIMARY KEY, payload jsonb);
    CREATE TABLE hand.webhook (id text PRIMARY KEY, body bytea);
    CREATE TABLE hand.inbox (id uuid PRIMARY KEY);
"""
_WEBHOOKS_PER_ORDER = 1


class Gateway:
    """The two calls of a paid order by the gateway's own package, and nothing around them."""

    def __init__(self, base: str, key: str) -> None:
        self._http = Transport(base, timeout_seconds=20)
        self._client = stripe.StripeClient(key, base_addresses={"api": base}, http_client=self._http)

    async def create(self, order: str) -> str:
        fields = {"amount": 8174, "currency": "eur", "metadata": {"payment_id": order, "order_id": order}}
        made = await self._post("/v1/payment_intents", fields, f"{order}-create")
        return str(made["id"])

    async def confirm(self, intent: str) -> None:
        fields = {"payment_method": "pm_card_visa", "return_url": "https://shop.test/"}
        await self._post(f"/v1/payment_intents/{intent}/confirm", fields, f"{intent}-confirm")

    async def _post(self, path: str, fields: dict[str, Any], key: str) -> dict[str, Any]:
        response = await self._client.raw_request_async("post", path, **fields, idempotency_key=key)
        answer: dict[str, Any] = response.data
        return answer

    async def aclose(self) -> None:
        await self._http.close_async()


@asynccontextmanager
async def a_shop_by_hand(url: str) -> AsyncIterator[asyncpg.Pool]:
    """Its connections; what PostgreSQL spends on them can be read as long as they are open."""
    pool = await asyncpg.create_pool(url, min_size=2 * CONNECTIONS, max_size=2 * CONNECTIONS)
    await pool.execute(_SHOP)
    try:
        yield pool
    finally:
        await pool.close()


async def paid_orders(pool: asyncpg.Pool, count: int, gateway: Gateway | None = None) -> float:
    """Paid orders per second: the transactions that such an order takes, without what surrounds them.

    No HTTP and no broker: the same durable steps in the same order, on a few connections; with a `gateway`
    its two calls between them.
    """
    lines = '[{"sku": "OAK-120", "name": "Oak board", "quantity": 2, "unit_amount": 2490}]'
    request = '{"path": "/v1/payment_intents", "params": {"amount": 8174, "currency": "eur"}}'
    body = b"x" * 2500
    numbers = iter(range(count))

    async def work() -> None:
        async with pool.acquire() as connection:
            for number in numbers:
                await _pay_by_hand(connection, str(number), lines, request, body, gateway)

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(2 * CONNECTIONS)))
    return count / (time.perf_counter() - begun)


async def _pay_by_hand(
    connection: asyncpg.Connection, name: str, lines: str, request: str, body: bytes, gateway: Gateway | None
) -> None:
    run = connection.execute
    event = uuid4()
    for key in ("order", "confirm"):  # each call's idempotency key, before and after its work
        await run("INSERT INTO hand.key VALUES ($1, $2)", b"owner", key + name)
        if key == "order":
            await run("INSERT INTO hand.orders VALUES ($1, 'DRAFT', $2, '[]', 0)", name, lines)
            await run(
                "UPDATE hand.key SET answer = $2 WHERE key = $1 AND owner = $3", key + name, b"{}", b"owner"
            )
    async with connection.transaction():
        await run("SELECT 1 FROM hand.orders WHERE id = $1 FOR UPDATE", name)
        await run("UPDATE hand.orders SET status = 'PENDING_PAYMENT' WHERE id = $1", name)
        await run("INSERT INTO hand.attempt VALUES ($1, $1, 'STARTED')", name)
    async with connection.transaction():
        await run("INSERT INTO hand.payment VALUES ($1, $1, NULL, 'REQUIRES_PAYMENT_METHOD')", name)
        await run("INSERT INTO hand.operation VALUES ($1, $1, $2, 'STARTED')", f"{name}-1", request)
    intent = await gateway.create(name) if gateway else name
    async with connection.transaction():
        await run("SELECT 1 FROM hand.payment WHERE id = $1 FOR UPDATE", name)
        await run("UPDATE hand.payment SET intent = $1 WHERE id = $1", name)
        await run("UPDATE hand.operation SET status = 'SUCCEEDED' WHERE id = $1", f"{name}-1")
        await run("INSERT INTO hand.operation VALUES ($1, $2, $3, 'STARTED')", f"{name}-2", name, request)
    if gateway:
        await gateway.confirm(intent)
    async with connection.transaction():
        await run("SELECT 1 FROM hand.payment WHERE id = $1 FOR UPDATE", name)
        await run("UPDATE hand.payment SET status = 'SUCCEEDED' WHERE id = $1", name)
        await run("UPDATE hand.operation SET status = 'SUCCEEDED' WHERE id = $1", f"{name}-2")
        await run("INSERT INTO hand.outbox VALUES ($1, $2)", event, request)
    async with connection.transaction():
        await run("UPDATE hand.orders SET payments = $2 WHERE id = $1", name, _PAYMENTS)
        await run("UPDATE hand.attempt SET status = 'DONE' WHERE id = $1", name)
    await run(
        "UPDATE hand.key SET answer = $2 WHERE key = $1 AND owner = $3", "confirm" + name, b"{}", b"owner"
    )
    for number in range(_WEBHOOKS_PER_ORDER):
        await run("INSERT INTO hand.webhook VALUES ($1, $2)", f"{name}-{number}", body)
    async with connection.transaction():
        await run("INSERT INTO hand.inbox VALUES ($1)", event)
        await run("UPDATE hand.orders SET status = 'PAID', amount = 8174 WHERE id = $1", name)
