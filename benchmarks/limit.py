"""What can be had at most: the same work written by hand on asyncpg, without any of the guarantees' code.

The work is "an inbox row inserted and an order row updated" for each event, and for the latency
a LISTEN/NOTIFY loop.
"""

import asyncio
import time
from collections.abc import Sequence
from uuid import uuid4

import asyncpg

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
