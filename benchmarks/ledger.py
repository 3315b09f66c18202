"""What the ledger costs a capture, and how long its questions take over a million postings.

`python -m benchmarks.ledger [--postings 1000000] [--captures 2000]`. A capture is the statement that saves the
payment with its event, as a webhook's transaction sends it, with its ledger entry and without, in turn, on a PostgreSQL of its own with its defaults.
"""

import argparse
import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import psutil
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.engine import make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.system.ids import SystemIds
from benchmarks.machine import Machine, a_machine
from domain.payments.gateway import CaptureMethod, IntentSnapshot, IntentStatus
from domain.payments.ledger import Account
from domain.payments.ledger_ports import EntryFilter
from domain.payments.payment import Occasion, Payment
from domain.payments.use_cases.read_ledger import ReadLedgerHandler
from domain.shared.payment_events import CardMethod
from entrypoints.data_keys import vault_of_settings
from outbox import Outbox

IDS = SystemIds()
NOW = datetime(2026, 11, 1, tzinfo=UTC)
UnitOfWork = Callable[[], PostgresPaymentsUnitOfWork]

# Captures of four postings and fees of two; the sums of each are zero, and are not checked again here.
FILL_ENTRIES = """
    INSERT INTO payments.ledger_entry (entry_id, kind, source, gateway, gateway_object, payment_id, order_id, posted_at)
    SELECT gen_random_uuid(), 'CAPTURE', 'fill-' || n, 'stripe', 'ch_' || n, 'pay_' || n, 'ord_' || n,
        timestamptz '2026-01-01' + n * interval '20 seconds'
    FROM generate_series(1, :entries) AS n
"""
FILL_POSTINGS = """
    INSERT INTO payments.ledger_posting (entry_id, number, account, gateway, currency, amount, posted_at)
    SELECT entry_id, number, account, gateway, 'EUR', amount, posted_at FROM payments.ledger_entry
    CROSS JOIN (VALUES (1, 'customer_receivable', 1000), (2, 'revenue', -1000),
                       (3, 'gateway_clearing', 1000), (4, 'customer_receivable', -1000)) AS p (number, account, amount)
    WHERE source LIKE 'fill-%'
"""


def a_snapshot(payment_id: str) -> IntentSnapshot:
    return IntentSnapshot(
        intent_id=f"pi_{payment_id}",
        status=IntentStatus.SUCCEEDED,
        amount=1000,
        currency="EUR",
        amount_capturable=0,
        amount_captured=1000,
        client_secret="secret",
        next_action=None,
        last_error=None,
        failed_charge_id=None,
        charge_id=f"ch_{payment_id}",
        method=CardMethod("visa", "4242"),
        capture_before=None,
        multicapture=None,
        cancellation_reason=None,
        customer_id=None,
        payment_id=payment_id,
        order_id=payment_id,
    )


async def capture(uow: UnitOfWork, *, posts: bool) -> float:
    """Seconds of the transaction that saves a captured payment."""
    payment_id = IDS.new("pay")
    payment = Payment(
        payment_id=payment_id,
        order_id=payment_id,
        amount=1000,
        currency="EUR",
        capture_method=CaptureMethod.AUTOMATIC,
        gateway="stripe",
        created_at=NOW,
        updated_at=NOW,
    )
    async with uow() as work:
        await work.payments.add(payment)
        await work.commit()
    async with uow() as work:
        locked = await work.payments.lock(payment_id)
        assert locked is not None
        locked.record_intent(a_snapshot(payment_id), Occasion(NOW, IDS.event_id))
        if not posts:
            locked.take_entries()
        begun = time.perf_counter()
        await work.payments.save(locked)
        await work.commit()
        return time.perf_counter() - begun


async def captures(engine: AsyncEngine, uow: UnitOfWork, count: int) -> None:
    """With the ledger and without, in turn, by tens: the clock, and the processors of both sides."""
    async with engine.connect() as connection:
        backend = psutil.Process(await connection.scalar(text("SELECT pg_backend_pid()")))
    took: dict[bool, list[float]] = {True: [], False: []}
    server: dict[bool, float] = {True: 0.0, False: 0.0}
    client: dict[bool, float] = {True: 0.0, False: 0.0}
    for number in range(count // 5):
        posts = number % 2 == 0
        before = sum(backend.cpu_times()[:2]), time.process_time()
        for _ in range(10):
            took[posts].append(await capture(uow, posts=posts))
        server[posts] += sum(backend.cpu_times()[:2]) - before[0]
        client[posts] += time.process_time() - before[1]
    for posts, name in ((False, "without the ledger"), (True, "with its entry")):
        each = 1e6 / len(took[posts])
        print(
            f"{name:>20}: {statistics.median(took[posts]) * 1e6:6.0f} µs for the statement; processor for the whole"
            f" payment: {server[posts] * each:6.0f} µs of PostgreSQL's, {client[posts] * each:6.0f} of ours"
        )


async def questions(engine: AsyncEngine, uow: UnitOfWork, postings: int) -> None:
    async with engine.begin() as connection:
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(
            text("ALTER TABLE payments.ledger_posting DISABLE TRIGGER ledger_entry_balances")
        )
        await connection.execute(text(FILL_ENTRIES), {"entries": postings // 4})
        await connection.execute(text(FILL_POSTINGS))
        await connection.execute(
            text("ALTER TABLE payments.ledger_posting ENABLE ALWAYS TRIGGER ledger_entry_balances")
        )
    autocommit = engine.execution_options(isolation_level="AUTOCOMMIT")
    async with autocommit.connect() as connection:
        await connection.execute(text("SET statement_timeout = 0"))
        await connection.execute(text("VACUUM ANALYZE payments.ledger_entry, payments.ledger_posting"))
        size = await connection.scalar(
            text(
                "SELECT pg_total_relation_size('payments.ledger_entry')"
                " + pg_total_relation_size('payments.ledger_posting')"
            )
        )
    print(f"{postings} postings, {size / 2**20:.0f} MB with their indexes")
    read = ReadLedgerHandler(uow)
    a_month = NOW - timedelta(days=270)
    for name, work in (
        ("all balances", read.balances),
        ("one account's balance", partial(read.balances, account=Account.REVENUE)),
        ("all balances at a day", partial(read.balances, before=a_month)),
        ("a payment's entries", partial(read.page, EntryFilter(payment_id="pay_77"), after=None, limit=20)),
        (
            "a page of a statement",
            partial(read.page, EntryFilter(account=Account.REVENUE, since=a_month), after=None, limit=100),
        ),
        ("the whole export", partial(_export, read)),
    ):
        print(f"{name:>22}: {await _timed(work) * 1000:9.1f} ms")
    print(f"{psutil.Process().memory_info().rss / 2**20:.0f} MB in this process")


async def _export(read: ReadLedgerHandler) -> None:
    async for _ in read.entries(EntryFilter()):
        pass


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    begun = time.perf_counter()
    await work()
    return time.perf_counter() - begun


async def run(machine: Machine, postings: int, count: int) -> None:
    engine = make_engine(
        machine.database_url, pool_size=1, application="benchmark", vault=vault_of_settings(machine.settings)
    )
    encode = partial(payment_events.encode, traceparent=lambda: None)
    uow = partial(PostgresPaymentsUnitOfWork, engine, Outbox("payments"), encode, lambda: None)
    try:
        await captures(engine, uow, count)
        await questions(engine, uow, postings)
    finally:
        await engine.dispose()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--postings", type=int, default=1_000_000)
    parser.add_argument("--captures", type=int, default=2_000)
    asked = parser.parse_args()
    with a_machine() as machine:
        asyncio.run(run(machine, asked.postings, asked.captures))


if __name__ == "__main__":
    main()
