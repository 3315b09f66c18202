"""What only the database can promise: a log in which nothing is committed before a place once passed."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.cloudevents import payment_events
from adapters.postgres.engine import DatabaseUnavailable, driver_under, make_engine
from adapters.postgres.payments import PostgresPaymentsUnitOfWork
from adapters.postgres.webhooks import _DROP_BODIES, _FORGET
from domain.payments.errors import PaymentInProgress
from domain.payments.payment import Occasion
from outbox import Outbox
from outbox.database import NotCommitted
from tests.contract.repositories.conftest import Payments, no_trace
from tests.contract.repositories.rows import a_payment, a_snapshot, ids, keep, pay
from tests.support.house import START
from tests.support.vault import VAULT

_KILL = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE state = 'idle in transaction' AND datname = current_database()
"""


def unit_of_work(engine: AsyncEngine, woken: list[str] | None = None) -> PostgresPaymentsUnitOfWork:
    woken = [] if woken is None else woken
    encode = partial(payment_events.encode, traceparent=no_trace)
    return PostgresPaymentsUnitOfWork(engine, Outbox("payments"), encode, lambda: woken.append("relay"))


async def _read_on(engine: AsyncEngine, cursor: str | None, seen: list[str]) -> str | None:
    async with unit_of_work(engine) as uow:
        events = await uow.events.list(after=cursor, type=None, order_id=None, limit=100)
    seen.extend(event.envelope["subject"] for event in events)
    return events[-1].cursor if events else cursor


async def test_the_log_waits_for_a_transaction_that_commits_late(engine: AsyncEngine) -> None:
    payments = Payments(partial(unit_of_work, engine), engine)
    await keep(payments, *(a_payment(f"pay_{n}", f"ord_{n}") for n in range(3)))
    await pay(payments, "pay_0")
    seen: list[str] = []
    async with unit_of_work(engine) as late:
        payment = await late.payments.lock("pay_1")
        assert payment is not None
        payment.record_intent(a_snapshot("pay_1"), Occasion(START, ids.event_id))
        await late.payments.save(payment)
        await pay(payments, "pay_2")  # begins later and commits earlier
        cursor = await _read_on(engine, None, seen)
        assert seen == ["pay_0"]
        await late.commit()
    await _read_on(engine, cursor, seen)
    assert seen == ["pay_0", "pay_1", "pay_2"]


async def test_a_reader_beside_many_writers_misses_and_repeats_nothing(engine: AsyncEngine) -> None:
    payments = Payments(partial(unit_of_work, engine), engine)
    names = [f"pay_{n}" for n in range(24)]
    await keep(payments, *(a_payment(name, f"ord_{name}") for name in names))
    seen: list[str] = []

    async def write(some: Sequence[str]) -> None:
        for name in some:
            await pay(payments, name)

    writing = asyncio.gather(*(write(names[n::4]) for n in range(4)))
    cursor = None
    while not writing.done():
        cursor = await _read_on(engine, cursor, seen)
    await writing
    await _read_on(engine, cursor, seen)
    assert sorted(seen) == sorted(names)


async def test_a_commit_with_events_wakes_the_relay_and_others_do_not(engine: AsyncEngine) -> None:
    woken: list[str] = []
    payments = Payments(partial(unit_of_work, engine, woken), engine)
    await keep(payments, a_payment())
    assert woken == []
    async with unit_of_work(engine, woken) as uow:
        payment = await uow.payments.lock("pay_1")
        assert payment is not None
        payment.record_intent(a_snapshot(), Occasion(START, ids.event_id))
        await uow.payments.save(payment)
    assert woken == []
    await pay(payments)
    assert woken == ["relay"]


async def test_a_killed_connection_is_an_unavailable_database(engine: AsyncEngine) -> None:
    await keep(Payments(partial(unit_of_work, engine), engine), a_payment())

    async def be_killed() -> None:
        async with unit_of_work(engine) as uow:
            await uow.payments.lock("pay_1")
            async with engine.connect() as other:
                await other.execute(text(_KILL))
            await uow.payments.lock("pay_1")

    with pytest.raises(DatabaseUnavailable):
        await be_killed()
    async with unit_of_work(engine) as uow:
        assert await uow.payments.get("pay_1") is not None


async def test_a_database_that_is_not_there_is_unavailable() -> None:
    engine = make_engine(
        "postgresql://nobody@127.0.0.1:1/nothing", pool_size=1, application="test", vault=VAULT
    )
    with pytest.raises(DatabaseUnavailable):
        async with unit_of_work(engine):
            pass
    await engine.dispose()


async def _kept(engine: AsyncEngine) -> list[str]:
    async with engine.connect() as connection:
        return list(
            (await connection.scalars(text("SELECT payment_id FROM payments.payment ORDER BY 1"))).all()
        )


async def test_what_is_left_without_a_commit_is_undone_however_it_was_written(engine: AsyncEngine) -> None:
    """By the driver or by SQLAlchemy, to which the connection commits each statement."""
    async with unit_of_work(engine) as uow:
        await uow.payments.add(a_payment())
        await uow.customers.put("fake", "u_1", "cus_1")
    assert await _kept(engine) == []
    async with unit_of_work(engine) as uow:
        assert await uow.customers.find("fake", "u_1") is None


async def test_a_commit_after_a_failure_that_was_swallowed_is_refused(engine: AsyncEngine) -> None:
    async with unit_of_work(engine) as uow:
        await uow.payments.add(a_payment())
        with contextlib.suppress(PaymentInProgress):
            await uow.payments.add(a_payment("pay_2"))
            await uow.payments.get("pay_2")  # what was to be written is written before anything is read
        with pytest.raises(NotCommitted):
            await uow.commit()
    assert await _kept(engine) == []


async def test_a_session_that_ended_in_the_pool_is_replaced(engine: AsyncEngine) -> None:
    async with engine.connect() as first:
        driver = driver_under(first)
        ended = asyncio.Event()
        driver.add_termination_listener(lambda _: ended.set())
        pid = driver.get_server_pid()
        async with engine.connect() as second:
            await second.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
    await ended.wait()
    await keep(Payments(partial(unit_of_work, engine), engine), a_payment())
    assert await _kept(engine) == ["pay_1"]


async def test_a_unit_of_work_that_is_interrupted_leaves_its_connection_to_nobody(
    engine: AsyncEngine,
) -> None:
    locked = asyncio.Event()

    async def work() -> None:
        async with unit_of_work(engine) as uow:
            await uow.payments.add(a_payment())
            locked.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await locked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await keep(Payments(partial(unit_of_work, engine), engine), a_payment("pay_2"))
    assert await _kept(engine) == ["pay_2"]


async def test_old_webhooks_are_found_and_changed_without_reading_all(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        await connection.execute(
            text("""
                INSERT INTO payments.webhook_event (gateway, event_id, type, created_at, received_at, body, is_known)
                SELECT 'fake', 'evt_' || n, 'charge.updated', now(), now() - n * interval '1 hour',
                       CASE WHEN n < 1000 THEN '{}'::bytea END, true
                FROM generate_series(1, 5000) AS n
            """)
        )
        await connection.execute(text("ANALYZE payments.webhook_event"))
        for statement in (_DROP_BODIES, _FORGET):
            plan = await driver_under(connection).fetch(f"EXPLAIN {statement}", START, 100)
            assert "Seq Scan" not in "\n".join(row[0] for row in plan)
